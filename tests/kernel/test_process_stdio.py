"""Streams, files, descriptors and terminals of processes in containers."""

import gc
import os
import signal

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    ExitReason,
)
from aiocontainer.proc.stdio import PIPE
from tests.support.capabilities import needs
from tests.support.shells import READY, started

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs)


# -- streams and descriptors -----------------------------------------------------------


async def test_stdin_and_stdout_are_streams(config):
    async with Container(config) as container:
        process = await container.start(["cat"], stdin=PIPE, stdout=PIPE)
        for word in (b"one", b"two"):
            await process.stdin.send(word)
            assert await process.stdout.receive() == word
        await process.stdin.aclose()
        with pytest.raises(anyio.EndOfStream):
            await process.stdout.receive()
        assert await process.wait() == 0


async def test_output_can_be_read_line_by_line_after_the_end(config):
    async with Container(config) as container:
        long = "head -c 200000 /dev/zero | tr '\\0' x"
        process = await container.start(
            ["sh", "-c", f"echo a; {long}; echo; printf end"], stdout=PIPE
        )
        lines = [line async for line in process.stdout.lines()]
        await process.wait()
    assert lines == [b"a\n", b"x" * 200_000 + b"\n", b"end"]


async def test_streams_that_were_read_to_their_end_need_no_closing(config):
    """That is a ResourceWarning otherwise, which fails this test."""
    async with Container(config) as container:
        await container.run(["true"])
        for _ in range(3):
            process = await container.start(["echo", "x"], stdout=PIPE, stderr=PIPE)
            assert [chunk async for chunk in process.stdout] == [b"x\n"]
            assert [chunk async for chunk in process.stderr] == []
            assert await process.wait() == 0
            del process
            gc.collect()


async def test_stderr_can_go_where_stdout_goes(config):
    async with Container(config) as container:
        result = await container.run(
            ["sh", "-c", "echo 1; echo 2 >&2; echo 3"], stderr=-2
        )
    assert (result.stdout, result.stderr) == (b"1\n2\n3\n", b"")


async def test_nothing_is_shared_unless_asked_for(config, capfd):
    async with Container(config) as container:
        process = await container.start(["sh", "-c", "echo quiet; cat; ls /proc/$$/fd"])
        assert await process.wait() == 0
    assert capfd.readouterr().out == ""


async def test_none_is_the_callers_own(config, capfd):
    async with Container(config) as container:
        process = await container.start(
            ["sh", "-c", "echo hello; echo oops >&2"], stdout=None, stderr=None
        )
        assert await process.wait() == 0
    assert capfd.readouterr() == ("hello\n", "oops\n")


async def test_a_file_can_be_given(config, tmp_path):
    path = tmp_path / "out"
    async with Container(config) as container:
        await container.run(["true"])
        with path.open("wb") as file:
            process = await container.start(["echo", "written"], stdout=file)
            assert await process.wait() == 0
        with path.open("rb") as file:
            result = await container.run(["cat"], stdin=file)
    assert result.stdout == b"written\n"


async def test_one_process_can_read_what_another_writes(config):
    async with Container(config) as container:
        await container.run(["true"])
        writer = await container.start(["seq", "1", "1000"], stdout=PIPE)
        result = await container.run(["wc", "-l"], stdin=writer.stdout)
        await writer.wait()
    assert result.stdout.strip() == b"1000"


async def test_passed_descriptors_keep_their_numbers_and_no_others_are_there(config):
    pairs = [os.pipe() for _ in range(3)]
    try:
        for _, writer in pairs:
            os.set_inheritable(writer, True)
        given = pairs[1][1]
        script = f"echo through >&{given}; ls -l /proc/self/fd"
        async with Container(config) as container:
            result = await container.run(["sh", "-c", script], pass_fds=[given])
        links = [line.split()[-3:] for line in result.stdout.decode().splitlines()]
        numbers = {int(link[0]) for link in links if link[1:2] == ["->"]}
        assert numbers == {0, 1, 2, given}  # ls can't read the link of its own folder
        assert os.read(pairs[1][0], 100) == b"through\n"
    finally:
        for pair in pairs:
            for number in pair:
                os.close(number)


@pytest.mark.parametrize("init", [True, False], ids=["joined", "first"])
async def test_a_terminal_has_a_size_that_can_change(config, init):
    script = "trap 'stty size; exit 9' WINCH; tty; stty size; while :; do sleep 1; done"
    async with Container(config) as container:
        if init:
            await container.run(["true"])
        process = await container.start(["sh", "-c", script], terminal=(30, 100))
        shown = b""
        with anyio.fail_after(20):
            while b"30 100" not in shown:
                shown += await process.terminal.receive()
            assert b"/dev/pts/" in shown
            process.terminal.resize(40, 120)
            while b"40 120" not in shown:
                shown += await process.terminal.receive()
            assert await process.wait() == 9


async def test_a_terminal_in_which_the_interrupt_key_works(config):
    async with Container(config) as container:
        await container.run(["true"])
        process = await container.start(["sh", "-c", READY], terminal=True)
        shown = b""
        while b"ready" not in shown:
            shown += await process.terminal.receive()
        await process.terminal.send(b"\x03")
        assert await process.wait() in (-signal.SIGINT, 128 + signal.SIGINT)


async def test_settings_of_one_process_are_its_own(config):
    async with Container(config) as container:
        show = ["sh", "-c", "id -u; pwd; echo $WORD; umask"]
        changed = await container.run(
            show,
            user="tester",
            cwd="/tmp",
            env={"WORD": "x", "PATH": "/bin"},
            umask=0o77,
        )
        plain = await container.run(show)
    assert changed.stdout.split() == [b"1000", b"/tmp", b"x", b"0077"]
    assert plain.stdout.split() == [b"0", b"/", b"0022"]


async def test_without_cgroups_all_still_ends(rootfs):
    config = Config(rootfs=rootfs, cgroup={"mode": "off"})
    async with Container(config) as container:
        first = await started(container, READY)
        later = await started(container, "sleep 60 & " + READY)
        assert container.processes() == sorted((first.pid, later.pid))
        result = await container.run(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.3)
        assert result.reason is ExitReason.TIMED_OUT
    assert later.returncode == -signal.SIGKILL
