"""Root file systems on odd file systems: without exec, read-only, immutable, full, and
one that never answers."""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    ExecError,
    ExitReason,
    Mount,
    Rootfs,
    SetupError,
    run,
)
from tests.support.capabilities import needs
from tests.support.inside import shell
from tests.support.rootfs import make_rootfs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

MS_RDONLY, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 4, 8, 32


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


libc = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, where: Path, flags: int, options: str) -> None:
    answer = libc.mount(
        kind.encode(), str(where).encode(), kind.encode(), flags, options.encode()
    )
    if answer != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind}")


@contextmanager
def mounted(where: Path, flags: int = 0, options: str = "") -> Iterator[Path]:
    """A tmpfs of the host, gone after the block."""
    where.mkdir(exist_ok=True)
    mount("tmpfs", where, 0, options)
    try:
        root = make_rootfs(where / "rootfs")
        if flags:
            mount("tmpfs", where, flags | MS_REMOUNT, options)
        yield root
    finally:
        assert libc.umount2(str(where).encode(), 2) == 0


async def test_a_root_without_exec_is_an_exec_error(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", MS_NOEXEC) as root:
        with pytest.raises(ExecError) as caught:
            await run(Config(rootfs=root), ["true"])
        assert isinstance(caught.value.__cause__, PermissionError)


async def test_a_root_on_a_read_only_file_system_works_as_long_as_nothing_is_missing(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path / "m", MS_RDONLY) as root:
        said = await shell(Config(rootfs=root), "echo x > /x || echo refused")
        assert said == "refused\n"
        overlay = Config(rootfs=Rootfs.overlay(root))
        assert await shell(overlay, "echo x > /x; cat /x") == "x\n"
        missing = Config(rootfs=root, mounts=[Mount.tmpfs("/no/such/directory")])
        with pytest.raises(SetupError) as caught:
            await run(missing, ["true"])
        assert caught.value.__cause__.errno == errno.EROFS  # type: ignore[union-attr]


async def test_a_root_without_devices_still_has_the_containers_own(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path / "m", MS_NODEV) as root:
        script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c"
        assert await shell(Config(rootfs=root), script) == "3\n"


async def test_a_full_file_system_is_told_as_one(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", options="nr_inodes=600") as root:
        free = os.statvfs(root).f_favail
        for number in range(free):
            (root / f"tmp/{number}").touch()
        config = Config(rootfs=root, mounts=[Mount.tmpfs("/no/such/directory")])
        with pytest.raises(SetupError) as caught:
            await run(config, ["true"])
        assert caught.value.__cause__.errno == errno.ENOSPC  # type: ignore[union-attr]
        assert await shell(Config(rootfs=root), "echo works") == "works\n"


FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND = 0x10, 0x20


@contextmanager
def attributes(path: Path, flags: int) -> Iterator[None]:
    """chattr +i or +a for the length of the block."""
    number = os.open(path, os.O_RDONLY)
    try:
        try:
            answer = fcntl.ioctl(number, FS_IOC_GETFLAGS, bytes(8))
            before = struct.unpack("l", answer)[0]
            request = struct.pack("l", before | flags)
            fcntl.ioctl(number, FS_IOC_SETFLAGS, request)
        except OSError as error:
            pytest.skip(f"no attributes here: {error}")
        try:
            yield
        finally:
            fcntl.ioctl(number, FS_IOC_SETFLAGS, struct.pack("l", before))
    finally:
        os.close(number)


@pytest.mark.parametrize("flags", [IMMUTABLE, APPEND], ids=["immutable", "append"])
async def test_directories_that_can_not_be_changed(
    own_rootfs: Path, flags: int
) -> None:
    with attributes(own_rootfs, flags):
        assert await shell(Config(rootfs=own_rootfs), "echo works") == "works\n"
        config = Config(rootfs=own_rootfs, mounts=[Mount.tmpfs("/new")])
        if flags == IMMUTABLE:
            with pytest.raises(SetupError) as caught:
                await run(config, ["true"])
            assert isinstance(caught.value.__cause__, PermissionError)
        else:
            assert await shell(config, "echo works") == "works\n"
    if flags == APPEND:
        (own_rootfs / "new").rmdir()


# -- a file system that never answers --------------------------------------------------


@contextmanager
def silent(where: Path) -> Iterator[Path]:
    """A FUSE mount whose server never says a word: every look at it hangs."""
    where.mkdir()
    server = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        mount("fuse", where, 0, options)
        try:
            yield where
        finally:
            os.close(server)
            server = -1
            assert libc.umount2(str(where).encode(), 2) == 0
    finally:
        if server >= 0:
            os.close(server)


@pytest.mark.needs("fuse")
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(lambda silent, root: {"rootfs": silent}, id="root"),
        pytest.param(lambda silent, root: {"rootfs": silent / "below"}, id="below"),
        pytest.param(
            lambda silent, root: {"rootfs": Rootfs.overlay(silent, root)}, id="overlay"
        ),
        pytest.param(
            lambda silent, root: {
                "rootfs": root,
                "mounts": [Mount.bind(silent / "x", "/mnt")],
            },
            id="source",
        ),
        pytest.param(
            lambda silent, root: {
                "rootfs": root,
                "mounts": [Mount.bind(silent, "/mnt"), Mount.tmpfs("/mnt/below")],
            },
            id="destination",
        ),
        pytest.param(
            lambda silent, root: {
                "rootfs": root,
                "mounts": [Mount.bind(silent, "/mnt")],
                "cwd": "/mnt/below",
            },
            id="working directory",
        ),
        pytest.param(
            lambda silent, root: {
                "rootfs": root,
                "mounts": [Mount.bind(silent, "/etc")],
                "user": "tester",
            },
            id="user files",
        ),
        pytest.param(
            lambda silent, root: {
                "rootfs": root,
                "mounts": [Mount.bind(silent, "/mnt")],
                "env": {"PATH": "/mnt:/bin"},
            },
            id="PATH",
        ),
    ],
)
async def test_a_file_system_that_never_answers_holds_up_nobody_else(
    rootfs: Path, tmp_path: Path, settings: Any
) -> None:
    """Neither the event loop, nor other containers, nor the time limit."""
    with silent(tmp_path / "silent") as where:
        config = Config(**settings(where, rootfs))
        began = anyio.current_time()
        ticks = 0

        async def hang() -> None:
            result = await run(config, ["true"], timeout=0.3)
            assert result.reason is ExitReason.TIMED_OUT
            assert result.returncode is None

        async with anyio.create_task_group() as group:
            group.start_soon(hang)
            while anyio.current_time() - began < 0.2:
                await anyio.sleep(0.01)
                ticks += 1
            result = await run(Config(rootfs=rootfs), ["echo", "other"])
            assert result.stdout == b"other\n"
        assert ticks > 5
        assert anyio.current_time() - began < 2


@pytest.mark.needs("fuse")
async def test_a_start_that_hangs_can_be_cancelled(
    rootfs: Path, tmp_path: Path
) -> None:
    with silent(tmp_path / "silent") as where:
        config = Config(rootfs=rootfs, mounts=[Mount.bind(where, "/mnt")])
        async with Container(config) as container:
            with anyio.move_on_after(0.1) as scope:
                await container.start(["true"])
            assert scope.cancelled_caught
            assert container.pid is None
