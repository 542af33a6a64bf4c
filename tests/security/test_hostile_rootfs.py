"""Hostile root file systems: the host stays as it is, nothing hangs, all is typed."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Config, ConfigError, Container, ContainerError, run
from tests.support.capabilities import needs
from tests.support.hostile import Case, Scene, host_snapshot
from tests.support.hostile_programs import CASES, hostile_cases
from tests.support.rootfs import make_rootfs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

MOST_S = 2.0


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def small_rootfs() -> Iterator[Path]:
    """A root to be spoilt; not below pytest's own folder, which others can't enter."""
    folder = Path(tempfile.mkdtemp(prefix="rootfs-", dir="/tmp"))
    folder.chmod(0o755)
    yield make_rootfs(folder / "rootfs", ["sh", "true", "cat", "id"])
    shutil.rmtree(folder)


async def as_the_first(config: Config, args: list[str]) -> None:
    """The hostile root is there when the container is made."""
    await run(config, args, timeout=MOST_S)


async def by_joining(config: Config, args: list[str]) -> None:
    """The container runs its built-in init, and the program joins it."""
    async with Container(config) as container:
        await container.run(args, timeout=MOST_S)


async def with_a_terminal(config: Config, args: list[str]) -> None:
    """Its devpts and its console are the container's too."""
    async with Container(config) as container:
        with anyio.move_on_after(MOST_S):
            process = await container.start(args, terminal=True)
            await process.wait()


WAYS = {"first": as_the_first, "joined": by_joining, "terminal": with_a_terminal}
Way = Callable[[Config, list[str]], Awaitable[None]]


async def outcome(way: Way, config: Config, case: Case) -> ContainerError | None:
    try:
        await way(config, list(case.args))
    except ContainerError as error:
        return error
    return None


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("case", hostile_cases())
async def test_the_host_is_as_before(
    small_rootfs: Path, tmp_path: Path, case: Case, way: Way
) -> None:
    scene = Scene.set(small_rootfs, tmp_path)
    case.build(scene)
    before = host_snapshot(scene.canary)
    started = time.monotonic()
    error: ContainerError | None = None
    try:
        config = Config(rootfs=scene.root, **case.settings(scene))
    except ConfigError as refused:
        error = refused
    else:
        error = await outcome(way, config, case)
    assert time.monotonic() - started < MOST_S
    assert host_snapshot(scene.canary) == before
    if case.must_fail:
        assert error is not None
    if error is not None:
        assert str(error)
        # A cause is the kernel's answer, and never an accident of ours in the helper.
        assert error.__cause__ is None or isinstance(error.__cause__, Exception)
        assert "Error:" not in str(error)


@pytest.mark.parametrize("case", hostile_cases())
async def test_what_becomes_hostile_while_it_runs_does_no_harm_to_who_joins(
    small_rootfs: Path, tmp_path: Path, case: Case
) -> None:
    """The root of a running container changes under the processes that join it."""
    scene = Scene.set(small_rootfs, tmp_path)
    config = Config(rootfs=small_rootfs)
    async with Container(config) as container:
        await container.run(["true"])
        try:
            case.build(scene)
        except OSError:
            pytest.skip("this one can't be made under a running container")
        before = host_snapshot(scene.canary)
        settings = case.settings(scene)
        changes = {k: settings[k] for k in ("user", "cwd", "env") if k in settings}
        started = time.monotonic()
        with contextlib.suppress(ContainerError):
            await container.run(list(case.args), timeout=MOST_S, **changes)
        assert time.monotonic() - started < MOST_S
        assert host_snapshot(scene.canary) == before


def test_there_are_enough_of_them() -> None:
    assert len(CASES) > 80
