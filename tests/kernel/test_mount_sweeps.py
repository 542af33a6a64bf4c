"""Mounts that take several processes: each kernel call fails once, or ends its process;
and each await is cancelled once. Typed errors, nothing left, and the next one works.
"""

import contextlib
import errno
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    HandshakeError,
    IdMapping,
    Mount,
    Namespaces,
    SetupError,
    run,
)
from aiocontainer.proc import handshake
from tests.support import leaks
from tests.support.capabilities import needs
from tests.support.inside import parse_mounts
from tests.support.programs import program
from tests.support.sweeps import cancel_sweep, task_cancel_sweep

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.slow,
]

FULL = os.environ.get("AIOCONTAINER_SWEEP") == "full"
CODES = (errno.EIO, errno.EPERM, errno.EMFILE, errno.ENOMEM, errno.ENOENT, errno.EINVAL)
MAPPED = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
Operation = Callable[[], Awaitable[object]]


@contextlib.contextmanager
def fault(at: int, code: int) -> Iterator[None]:
    """Kernel call number ``at`` of each helper fails; with 0 it ends its process."""
    handshake.fault = ("*", at, code)
    try:
        yield
    finally:
        handshake.fault = None


class NothingLeft:
    def __init__(self) -> None:
        self.before = leaks.take()

    def __call__(self, point: object) -> None:
        assert leaks.find(self.before) == [], f"disturbed at {point}"


def mounted_paths(container: Container) -> list[str]:
    return list(parse_mounts(Path(f"/proc/{container.pid}/mountinfo").read_text()))


async def kills(operation: Operation, at: int) -> bool:
    """Whether there is a kernel call number ``at`` to be killed at."""
    try:
        with anyio.fail_after(10), fault(at, 0):
            await operation()
    except (SetupError, HandshakeError):
        return True
    return False


async def disturbed(operation: Operation, check: Callable[[object], None]) -> int:
    """Let kernel calls fail, and end their process, all over a life; how many calls
    there are."""
    calls, beyond = 1, 512
    while beyond - calls > 1:
        middle = (calls + beyond) // 2
        calls, beyond = (
            (middle, beyond) if await kills(operation, middle) else (calls, middle)
        )
        check((middle, "killed"))
    first = range(1, 12)
    for at in range(1, calls + 1) if FULL else {*first, *range(12, calls, calls // 12)}:
        await kills(operation, at)  # or not: who comes first makes a call more
        check((at, "killed"))
        for code in CODES if FULL else CODES[at % len(CODES) :][:1]:
            with anyio.fail_after(10), fault(at, code), contextlib.suppress(SetupError):
                await operation()
            check((at, errno.errorcode[code]))
    return calls


def translated(rootfs: Path, folder: Path, **settings: Any) -> Config:
    mounts = [
        Mount(
            destination="/mnt",
            source=folder,
            options=["bind", "idmap=uids=0-100000-9;gids=0-100000-9"],
        ),
        Mount(destination="/tmp", source=folder, options=["bind", "src-nofollow"]),
        Mount(destination="/sys/fs/cgroup", type="cgroup"),
    ]
    return Config(rootfs=rootfs, mounts=mounts, **settings)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
@pytest.mark.parametrize("owned", [False, True], ids=["plain", "user namespace"])
async def test_any_kernel_call_of_a_special_mount_may_fail(
    rootfs: Path, own_rootfs: Path, owned: bool
) -> None:
    folder = own_rootfs / "usr"  # anybody may enter it
    spaces = {"user": "new", "pid": "new", "network": "new", "ipc": "new"}
    settings: dict[str, Any] = {
        "namespaces": Namespaces(**spaces),
        "uid_mappings": MAPPED,
        "gid_mappings": MAPPED,
    }
    config = translated(rootfs, folder, **(settings if owned else {}))

    async def operation() -> None:
        await run(config, ["true"])

    await operation()
    assert await disturbed(operation, NothingLeft()) > 60
    await operation()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_any_kernel_call_of_a_mount_on_a_running_container_may_fail(
    own_rootfs: Path, tmp_path: Path
) -> None:
    async with Container(Config(rootfs=own_rootfs)) as container:
        await container.run(["true"])
        before = mounted_paths(container)
        nothing_left = NothingLeft()

        async def mount() -> None:
            await container.mount(Mount.bind(tmp_path, "/mnt/it"))

        async def operation() -> None:
            await mount()
            handshake.fault = None
            await container.unmount("/mnt/it")

        def check(point: object) -> None:
            nothing_left(point)
            assert mounted_paths(container) == before, point

        await operation()
        assert await disturbed(operation, check) > 5
        await operation()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_an_unmount_that_failed_can_be_tried_again(
    own_rootfs: Path, tmp_path: Path
) -> None:
    async with Container(Config(rootfs=own_rootfs)) as container:
        await container.run(["true"])
        before = mounted_paths(container)
        for at in range(1, 14):
            await container.mount(Mount.bind(tmp_path, "/mnt"))
            with fault(at, errno.EIO), contextlib.suppress(SetupError):
                await container.unmount("/mnt")
            if mounted_paths(container) != before:
                await container.unmount("/mnt")
            assert mounted_paths(container) == before, at


@pytest.fixture(params=["scope", "task"])
def sweep(request: pytest.FixtureRequest, anyio_backend: Any) -> Any:
    if request.param == "scope":
        return cancel_sweep
    if anyio_backend[0] == "trio":
        pytest.skip("trio has no Task.cancel")
    return task_cancel_sweep


async def test_a_mount_may_be_cancelled_at_any_await(
    own_rootfs: Path, tmp_path: Path, sweep: Any
) -> None:
    async with Container(Config(rootfs=own_rootfs)) as container:
        await container.run(["true"])
        before = mounted_paths(container)
        nothing_left = NothingLeft()

        def check(point: object) -> None:
            assert mounted_paths(container) == before, point
            nothing_left(point)

        async def operation() -> None:
            await container.mount(Mount.bind(tmp_path, "/mnt"))
            await container.unmount("/mnt")

        async def mounted_or_not() -> None:
            try:
                await operation()
            except BaseException:
                # Between the two it is there, and known.
                with anyio.CancelScope(shield=True):
                    if mounted_paths(container) != before:
                        await container.unmount("/mnt")
                raise

        seen = await sweep(mounted_or_not, check, limit=200)
        assert seen.points >= 3
        await operation()


async def test_a_start_with_special_mounts_may_be_cancelled_at_any_await(
    rootfs: Path, own_rootfs: Path, sweep: Any
) -> None:
    config = translated(
        rootfs,
        own_rootfs / "usr",
        namespaces=Namespaces(user="new"),
        uid_mappings=MAPPED,
        gid_mappings=MAPPED,
    )
    await run(config, ["true"])
    await sweep(lambda: run(config, ["true"]), NothingLeft(), limit=200)


PROGRAM = """
import sys, anyio
from aiocontainer import Config, Container, Mount, Rootfs

async def main():
    async with Container(Config(rootfs=sys.argv[1])) as container:
        await container.run(["true"])
        print("ready", flush=True)
        mount = Mount(destination="/mnt", source="/etc", options=["bind", sys.argv[2]])
        while True:
            await container.mount(mount)
            await container.unmount("/mnt")

anyio.run(main)
"""


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
@pytest.mark.parametrize("word", ["ro", "idmap=uids=0-5-1;gids=0-5-1"])
@pytest.mark.parametrize("delay_s", [0.0, 0.004, 0.011])
async def test_a_program_that_is_killed_while_it_mounts_leaves_nothing(
    rootfs: Path, word: str, delay_s: float
) -> None:
    with program(PROGRAM, str(rootfs), word) as child:
        assert child.line() == "ready"
        await anyio.sleep(delay_s)  # somewhere in between: that is what is tested
        child.kill()
        assert child.left_behind() == []
