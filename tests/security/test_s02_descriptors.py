"""S2: no descriptor but those that were given reaches a container (CVE-2024-21626)."""

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import PIPE, Config, ConfigError, Container, SetupError, run
from aiocontainer.proc import spawner
from tests.support import procfs
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

LIST = ["ls", "-l", "/proc/self/fd"]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def many(tmp_path: Path) -> Iterator[list[int]]:
    """500 descriptors to files, directories, pipes and sockets, all inheritable."""
    opened: list[int] = []
    (tmp_path / "secret").write_text("the host's")
    for number in range(100):
        opened.append(os.open(tmp_path / "secret", os.O_RDWR))
        opened.append(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
        opened.append(os.open("/etc", os.O_PATH))
        opened += os.pipe() if number % 2 else ()
        opened += [one.detach() for one in socket.socketpair()] if number % 2 else ()
    for descriptor in opened:
        os.set_inheritable(descriptor, True)
    assert len(opened) == 500
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def numbers(listing: bytes) -> dict[int, str]:
    """{number: target} of ``ls -l``, without the descriptor that lists."""
    pairs = re.findall(r" (\d+) -> (.*)", listing.decode())
    return {int(n): target for n, target in pairs if not target.endswith("/fd")}


async def test_five_hundred_descriptors_stay_outside(
    rootfs: Path, many: list[int]
) -> None:
    result = await run(Config(rootfs=rootfs), LIST)
    assert set(numbers(result.stdout)) == {0, 1, 2}
    async with Container(Config(rootfs=rootfs)) as container:
        result = await container.run(LIST)
        assert set(numbers(result.stdout)) == {0, 1, 2}
        assert container.pid is not None
        assert set(procfs.descriptors(container.pid)) == {0, 1, 2}
        result = await container.run(["ls", "-l", "/proc/1/fd"])
        assert set(numbers(result.stdout)) == {0, 1, 2}


async def test_a_new_spawner_takes_none_along(rootfs: Path, many: list[int]) -> None:
    """It is a child of the program, and forks all helpers."""
    running = spawner.peek()
    if running is not None:
        os.kill(running.pid, 9)
    try:
        await run(Config(rootfs=rootfs), ["true"])
    except Exception:  # the loss of the old one is noticed at first use
        await run(Config(rootfs=rootfs), ["true"])
    started = spawner.peek()
    assert started is not None
    targets = set(procfs.descriptors(started.pid).values())
    allowed = re.compile(
        r"/dev/null|socket:\[\d+\]|anon_inode:\[(pidfd|eventpoll)\]|pid:\[\d+\]"
        r"|/memfd:.*|/init.*|/"
    )
    assert not [target for target in targets if not allowed.fullmatch(target)]
    assert len(procfs.descriptors(started.pid)) < 16
    secrets = {target for target in targets if "secret" in target or target == "/etc"}
    assert not secrets


async def test_the_three_are_what_they_were_asked_to_be(
    rootfs: Path, many: list[int]
) -> None:
    with tempfile.TemporaryFile() as file:
        result = await run(Config(rootfs=rootfs), LIST, stderr=file)
        shown = numbers(result.stdout)
        assert shown[0] == "/dev/null"
        assert shown[1].startswith("pipe:")
        assert "deleted" in shown[2] or shown[2].startswith("/")


async def test_given_descriptors_keep_their_numbers_and_no_others_come(
    rootfs: Path, many: list[int]
) -> None:
    reader, writer = os.pipe()
    try:
        script = f"echo hello >&{writer}; ls -l /proc/self/fd"
        config = Config(rootfs=rootfs)
        async with Container(config) as container:
            result = await container.run(
                ["sh", "-c", script], pass_fds=[writer, many[0]]
            )
            assert os.read(reader, 100) == b"hello\n"
            assert set(numbers(result.stdout)) == {0, 1, 2, writer, many[0]}
            # What one process was given the next one hasn't got.
            result = await container.run(LIST)
            assert set(numbers(result.stdout)) == {0, 1, 2}
    finally:
        os.close(reader)
        os.close(writer)


# -- the working directory -------------------------------------------------------------

WAYS_OUT = [
    *(f"/proc/self/fd/{number}" for number in range(0, 64, 1)),
    *("/proc/self/fd/3/etc", "/proc/self/fd/7/../../../..", "/proc/thread-self/fd/5"),
    *(
        "/proc/1/fd/3",
        "/proc/1/fd/7/..",
        "/proc/self/cwd",
        "/proc/1/cwd",
        "/proc/1/root",
    ),
]


async def test_no_descriptor_of_the_helper_is_a_way_out_by_the_working_directory(
    own_rootfs: Path, many: list[int]
) -> None:
    """Each number in turn, plain and by a link in the image. What can be entered is
    the container's own."""
    (own_rootfs / "i-am-the-container").write_text("")
    async with Container(Config(rootfs=own_rootfs)) as container:
        await container.run(["true"])
        for cwd in WAYS_OUT:
            (own_rootfs / "way").unlink(missing_ok=True)
            (own_rootfs / "way").symlink_to(cwd)
            for path in (cwd, "/way"):
                for joined in (True, False):
                    said = await _list_in(container, path, joined)
                    assert said is None or "i-am-the-container" in said, path


async def _list_in(container: Container, cwd: str, joined: bool) -> str | None:
    """What a program sees in its working directory and at the top of it; None where it
    could not be started."""
    script = "ls -a; cd ../../../../../..; ls -a"
    args = ["sh", "-c", script]
    try:
        if joined:
            result = await container.run(args, cwd=cwd)
        else:
            config = Config(rootfs=container.config.rootfs, cwd=cwd)
            result = await run(config, args)
    except SetupError:
        return None
    return result.stdout.decode()


@pytest.mark.parametrize("number", [3, 5, 7, 8, 9, 10, 12, 20])
async def test_a_program_behind_a_descriptor_is_not_executed(
    rootfs: Path, many: list[int], number: int
) -> None:
    for path in (f"/proc/self/fd/{number}/usr/bin/id", f"/proc/self/fd/{number}"):
        with pytest.raises(SetupError):
            await run(Config(rootfs=rootfs), [path])


# -- what is given on purpose ----------------------------------------------------------


async def test_a_directory_can_not_be_given_as_a_stream(rootfs: Path) -> None:
    for flags in (os.O_RDONLY | os.O_DIRECTORY, os.O_PATH):
        directory = os.open("/etc", flags)
        try:
            async with Container(Config(rootfs=rootfs)) as container:
                with pytest.raises(ConfigError, match="stdin"):
                    await container.start(["true"], stdin=directory)
        finally:
            os.close(directory)


async def test_the_ends_of_the_callers_pipes_are_not_inside(rootfs: Path) -> None:
    """Else the program would keep its own stdin open, and never see its end."""
    async with Container(Config(rootfs=rootfs)) as container:
        one = await container.start(["cat"], stdin=PIPE, stdout=PIPE)
        other = await container.start(["cat"], stdin=PIPE, stdout=PIPE)
        for process in (other, one):  # the first one last: its end is everybody's
            assert process.stdin
            await process.stdin.aclose()
            assert await process.wait() == 0
