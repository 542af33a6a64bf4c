"""The terminal, and a pidfd, of a process go to who listens at a socket."""

import array
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Config, ConfigError, Container, Runtime, SetupError
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

SLEEP = ["sleep", "60"]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@contextlib.contextmanager
def receiver(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        yield sock


def take(sock: socket.socket) -> tuple[bytes, int]:
    """(message, descriptor) that somebody sent."""
    connection, _ = sock.accept()
    with connection:
        connection.settimeout(10)
        room = socket.CMSG_SPACE(4)
        message, ancillary, _, _ = connection.recvmsg(4096, room)
    found = array.array("i")
    found.frombytes(ancillary[0][2][:4])
    return message, found[0]


@pytest.mark.covers("console socket and pidfd socket")
async def test_the_terminal_goes_to_who_listens(rootfs: Path, tmp_path: Path) -> None:
    with receiver(tmp_path / "console") as sock:
        async with Container(Config(rootfs=rootfs)) as container:
            process = await container.start(
                ["sh", "-c", "echo hello; read line; echo got $line"],
                terminal=(10, 20),
                console_socket=tmp_path / "console",
            )
            assert process.terminal is None
            message, master = take(sock)
            assert message == b"/dev/ptmx"
            assert os.isatty(master)
            assert os.get_blocking(master)
            os.write(master, b"you\n")
            await process.wait()
            said = os.read(master, 4096)
            assert b"hello" in said
            os.close(master)


async def test_a_pidfd_goes_to_who_listens(rootfs: Path, tmp_path: Path) -> None:
    with receiver(tmp_path / "pidfd") as sock:
        async with Container(Config(rootfs=rootfs)) as container:
            await container.start(SLEEP)
            path = tmp_path / "pidfd"
            process = await container.start(SLEEP, pidfd_socket=path)
            _, pidfd = take(sock)
            info = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
            assert f"Pid:\t{process.pid}\n" in info
            os.close(pidfd)


@pytest.mark.parametrize("option", ["console_socket", "pidfd_socket"])
async def test_without_a_listener_nothing_is_started(
    rootfs: Path, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").touch()
    async with Container(Config(rootfs=rootfs)) as container:
        for path in (tmp_path / "nothing", tmp_path / "file", "/" + "x" * 200):
            with pytest.raises(SetupError, match="connect to the"):
                await container.start(SLEEP, terminal=True, **{option: path})
        assert container.pid is None


async def test_a_console_socket_needs_a_terminal(rootfs: Path, tmp_path: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        with pytest.raises(ConfigError) as caught:
            await container.start(SLEEP, console_socket=tmp_path / "x")
        assert caught.value.field == "console_socket"


@pytest.mark.parametrize("option", ["console_socket", "pidfd_socket"])
async def test_a_failed_start_closes_the_connection(
    rootfs: Path, tmp_path: Path, option: str
) -> None:
    with receiver(tmp_path / "it") as sock:
        async with Container(Config(rootfs=rootfs)) as container:
            path = tmp_path / "it"
            with pytest.raises(SetupError):
                await container.start(["/nothing"], terminal=True, **{option: path})
        connection, _ = sock.accept()
        with connection:
            assert connection.recv(10) == b""


async def test_who_listens_gets_a_created_container_before_it_is_started(
    rootfs: Path, tmp_path: Path
) -> None:
    paths = {"console_socket": tmp_path / "console", "pidfd_socket": tmp_path / "pidfd"}
    runtime = Runtime(tmp_path / "state")
    with receiver(paths["console_socket"]) as a, receiver(paths["pidfd_socket"]) as b:
        async with await runtime.create(
            None, Config(rootfs=rootfs), ["echo", "hello"], terminal=True, **paths
        ) as container:
            (_, master), (_, pidfd) = take(a), take(b)
            assert f"Pid:\t{container.pid}\n" in (
                Path(f"/proc/self/fdinfo/{pidfd}").read_text()
            )
            assert container.status() == "created"
            assert os.get_blocking(master)
            process = await container.start()
            assert process.terminal is None
            assert await process.wait() == 0
            assert b"hello" in os.read(master, 100)
            os.close(master)
            os.close(pidfd)


@pytest.mark.parametrize("option", ["console_socket", "pidfd_socket"])
async def test_where_nobody_listens_any_more_no_container_is_left(
    rootfs: Path, tmp_path: Path, option: str
) -> None:
    runtime = Runtime(tmp_path / "state")

    async def create() -> None:
        config = Config(rootfs=rootfs)
        path = {option: tmp_path / "it"}
        await runtime.create("c", config, SLEEP, terminal=True, detach=True, **path)

    with pytest.raises(SetupError, match="connect to the"):
        await create()
    with receiver(tmp_path / "it") as sock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang_up, sock)
            with pytest.raises(SetupError, match="hand over the"):
                await create()
    assert runtime.list() == []


async def hang_up(listening: socket.socket) -> None:
    """Close the first connection, which is there before anything is made."""
    await anyio.wait_readable(listening)
    listening.accept()[0].close()


async def test_a_full_backlog_is_waited_for(rootfs: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock, contextlib.ExitStack() as others:
        sock.bind(str(tmp_path / "it"))
        sock.listen(0)
        first = others.enter_context(socket.socket(socket.AF_UNIX))
        first.connect(str(tmp_path / "it"))
        async with Container(Config(rootfs=rootfs)) as container:
            with anyio.move_on_after(0.05) as scope:
                await container.start(SLEEP, pidfd_socket=tmp_path / "it")
            assert scope.cancelled_caught
            assert container.pid is None
            sock.accept()[0].close()
            await container.start(SLEEP, pidfd_socket=tmp_path / "it")
            os.close(take(sock)[1])
