"""Pseudoterminals of a devpts instance of their own, with real programs on them."""

import contextlib
import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import termios

import anyio
import anyio.lowlevel
import pytest

from aiocontainer._sys import mounts
from aiocontainer._sys.terminal import (
    get_size,
    open_peer,
    open_pty,
    set_controlling,
    set_size,
)
from aiocontainer.proc.capture import Sink, drain, drain_available
from aiocontainer.proc.terminal import Terminal

pytestmark = pytest.mark.anyio


@pytest.fixture
def devpts():
    """A devpts that is mounted nowhere."""
    try:
        directory = mounts.new_filesystem(b"devpts", [(b"ptmxmode", b"0666")])
    except PermissionError:
        pytest.skip("no right to mount")
    yield directory
    os.close(directory)


@pytest.fixture
def pty(devpts):
    opened = open_pty(devpts)
    yield opened
    for number in (opened.master, opened.slave):
        with contextlib.suppress(OSError):
            os.close(number)


@pytest.fixture
def start():
    """Run a program on a slave, its controlling terminal, as the helper does."""
    started = []

    def start(slave, *command):
        def enter():
            os.setsid()
            set_controlling(slave)

        child = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=enter
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


async def everything(terminal):
    """All that is printed.

    The program may close the terminal before it ends: wait for it, too, before closing
    the master, which sends it SIGHUP.
    """
    sink = Sink(None)
    with anyio.fail_after(10):
        await drain(terminal, sink.stdout)
    return sink.stdout.getvalue()


async def read_until(terminal, end):
    got = b""
    with anyio.fail_after(10):
        while not got.endswith(end):
            got += await terminal.receive()
    return got


def test_both_sides_are_of_that_devpts_and_closed_on_exec(devpts, pty):
    for number in (pty.master, pty.slave):
        assert stat.S_ISCHR(os.fstat(number).st_mode)
        assert os.fstat(number).st_dev == os.fstat(devpts).st_dev
        assert not os.get_inheritable(number)
        assert os.get_blocking(number)
    assert os.major(os.fstat(pty.slave).st_rdev) == 136
    assert pty.name == "/dev/pts/0"


def test_each_instance_counts_for_itself(devpts, pty):
    second = open_pty(devpts)
    assert second.name == "/dev/pts/1"
    os.close(second.master)
    os.close(second.slave)


def test_opening_makes_no_controlling_terminal(devpts):
    script = (
        "import os, sys; sys.path[:0] = eval(sys.argv[2]); os.setsid();"
        "from aiocontainer._sys.terminal import open_pty; open_pty(int(sys.argv[1]));\n"
        "try: os.open('/dev/tty', os.O_RDWR)\n"
        "except OSError: sys.exit(0)\n"
        "sys.exit('has a controlling terminal')"
    )
    command = [sys.executable, "-c", script, str(devpts), repr(sys.path)]
    subprocess.run(command, check=True, pass_fds=[devpts])


@pytest.mark.parametrize("kind", ["fifo", "ptmx", "empty"])
def test_a_directory_that_is_no_devpts_is_refused(tmp_path, kind):
    """A ptmx node alone isn't enough: it would give a pty of the host's devpts."""
    if kind == "fifo":
        os.mkfifo(tmp_path / "ptmx")
    elif kind == "ptmx":
        os.mknod(tmp_path / "ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OSError) as caught:
        open_pty(directory)
    os.close(directory)
    assert caught.value.errno == errno.ENOTTY


def test_the_slave_has_no_other_side(pty):
    with pytest.raises(OSError):
        open_peer(pty.slave)


def test_a_failure_half_way_leaves_nothing_open(devpts, monkeypatch):
    def fail(*_):
        raise PermissionError(1, "refused")

    monkeypatch.setattr(termios, "tcsetattr", fail)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(PermissionError):
        open_pty(devpts)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_size_is_one_for_both_sides(pty):
    set_size(pty.master, 30, 100)
    assert get_size(pty.slave) == (30, 100)


async def test_output_arrives_unchanged_and_ends(pty, start):
    child = start(pty.slave, "printf", "a\\nb\\r\\nc")
    os.close(pty.slave)
    async with Terminal(pty.master) as terminal:
        assert await everything(terminal) == b"a\nb\r\nc"
        with pytest.raises(anyio.EndOfStream):
            await terminal.receive()
        with anyio.fail_after(5), pytest.raises(anyio.BrokenResourceError):
            await terminal.send(bytes(1_000_000))
        assert child.wait() == 0


async def test_much_output_arrives_whole(pty, start):
    child = start(pty.slave, "sh", "-c", "head -c 1000000 /dev/zero")
    os.close(pty.slave)
    async with Terminal(pty.master) as terminal:
        assert await everything(terminal) == bytes(1_000_000)
        assert child.wait() == 0


async def test_what_was_written_before_the_end_is_available_after_it(pty, start):
    child = start(pty.slave, "printf", "last words")
    assert child.wait() == 0
    # The slave is still open here, as if a grandchild held it.
    async with Terminal(pty.master) as terminal:
        sink = Sink(None)
        drain_available(terminal, sink.stdout)
        assert sink.stdout.getvalue() == b"last words"
        drain_available(terminal, sink.stdout)
        os.close(pty.slave)
        drain_available(terminal, sink.stdout)


async def test_it_is_the_controlling_terminal_of_the_program(pty, start):
    child = start(pty.slave, "sh", "-c", "echo $$ > /dev/tty; ps -o tty= 2>&1 | cat")
    os.close(pty.slave)
    async with Terminal(pty.master) as terminal:
        first = (await read_until(terminal, b"\n")).split(b"\n")[0]
        assert int(first) == child.pid
        await everything(terminal)
        child.wait()


async def test_keys_are_read_and_the_end_key_ends_the_input(pty, start):
    child = start(pty.slave, "sh", "-c", "stty -echo; echo ready; exec cat")
    os.close(pty.slave)
    async with Terminal(pty.master) as terminal:
        await read_until(terminal, b"ready\n")
        await terminal.send(b"typed\n")
        assert await read_until(terminal, b"\n") == b"typed\n"
        await terminal.send_eof()
        assert await everything(terminal) == b""
        assert child.wait() == 0


async def test_the_interrupt_key_interrupts(pty, start):
    child = start(pty.slave, "sh", "-c", "echo ready; exec sleep 100")
    os.close(pty.slave)
    async with Terminal(pty.master) as terminal:
        await read_until(terminal, b"ready\n")
        await terminal.send(b"\x03")
        assert await everything(terminal) in (b"^C", b"^C\n")
        assert child.wait() == -signal.SIGINT


async def test_resizing_tells_the_program(pty, start):
    script = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})\n"
        "print('ready', flush=True)\n"
        "signal.sigwait({signal.SIGWINCH})\n"
        "print(os.get_terminal_size())\n"
    )
    child = start(pty.slave, sys.executable, "-uIc", script)
    os.close(pty.slave)
    async with Terminal(pty.master) as terminal:
        await read_until(terminal, b"ready\n")
        terminal.resize(rows=33, columns=111)
        assert b"columns=111, lines=33" in await everything(terminal)
        assert terminal.size == os.terminal_size((111, 33))
        assert child.wait() == 0


@pytest.mark.parametrize("size", [(-1, 80), (24, 65536)])
async def test_a_size_that_the_kernel_cannot_hold_is_refused(pty, size):
    terminal = Terminal(pty.master)
    with pytest.raises(ValueError):
        terminal.resize(*size)
    terminal.close()


async def test_reading_and_sending_at_once(pty, start):
    child = start(
        pty.slave, "sh", "-c", "stty raw -echo; echo ready; exec head -c 200000"
    )
    os.close(pty.slave)
    data = os.urandom(200_000)
    async with Terminal(pty.master) as terminal:
        await read_until(terminal, b"ready\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(terminal.send, data)
            assert await everything(terminal) == data
        assert child.wait() == 0


async def test_closing_wakes_reader_and_sender(pty):
    terminal = Terminal(pty.master)

    async def expect(call, *args):
        with pytest.raises(anyio.ClosedResourceError):
            await call(*args)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect, terminal.receive)
            while not terminal.is_busy:
                await anyio.lowlevel.checkpoint()
            await terminal.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        terminal.resize(1, 1)
    with pytest.raises(OSError):
        fcntl.fcntl(pty.master, fcntl.F_GETFD)


async def test_closing_hangs_up_on_the_program(pty, start):
    child = start(pty.slave, "sh", "-c", "echo ready; exec sleep 100")
    os.close(pty.slave)
    terminal = Terminal(pty.master)
    await read_until(terminal, b"ready\n")
    await terminal.aclose()
    assert child.wait() == -signal.SIGHUP
