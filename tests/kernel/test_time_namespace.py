"""Time namespaces: clocks of a container's own."""

import time
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    IdMapping,
    Namespaces,
    SetupError,
)
from aiocontainer.config import TimeOffset, TimeOffsets
from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, look, python_config, shell, shell_in

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "time-namespace"),
]

NEW = Namespaces(time="new")
IDS = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
USER: dict[str, Any] = {
    "namespaces": Namespaces(time="new", user="new"),
    "uid_mappings": IDS,
    "gid_mappings": IDS,
}
READ = "cat /proc/uptime /proc/self/timens_offsets; readlink /proc/self/ns/time"
CLOCKS = """
import json, time
print(json.dumps([time.clock_gettime(c) for c in (
    time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_REALTIME)]))
"""


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.mark.covers("time namespace and offsets")
async def test_each_clock_is_as_far_off_as_was_asked_for() -> None:
    offsets = TimeOffsets(
        monotonic=TimeOffset(secs=-2, nanosecs=500_000_000), boottime=100_000_000
    )
    config = python_config(namespaces=NEW, time_offsets=offsets)
    before = time.monotonic()
    monotonic, boottime, now = await look(config, CLOCKS)
    assert -1.5 <= monotonic - before < 20
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 100_000_000 - 20 < boottime - uptime <= 100_000_000
    assert abs(time.time() - now) < 20


async def test_first_and_later_processes_are_in_the_same_one(rootfs: Path) -> None:
    offsets = TimeOffsets(boottime=1_000_000)
    config = Config(rootfs=rootfs, namespaces=NEW, time_offsets=offsets)
    async with Container(config) as container:
        process = await container.start(["sleep", "60"])
        first = Path(f"/proc/{process.pid}/ns/time").readlink()
        later = await shell_in(container, READ)
        assert str(first) == later.splitlines()[-1]
        assert float(later.split()[0]) > 1_000_000
        assert str(first) != procfs.namespace("time")


async def test_without_offsets_it_is_one_of_its_own_with_the_hosts_clocks(
    rootfs: Path,
) -> None:
    said = await shell(Config(rootfs=rootfs, namespaces=NEW), READ)
    assert said.splitlines()[-1] != procfs.namespace("time")
    assert abs(float(said.split()[0]) - time.clock_gettime(time.CLOCK_BOOTTIME)) < 20


async def test_beside_a_user_namespace(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, time_offsets=TimeOffsets(boottime=7_000_000), **USER)
    async with Container(config) as container:
        first = await container.start(["sleep", "60"])
        said = await shell_in(container, READ)
        assert float(said.split()[0]) > 7_000_000
        inside = Path(f"/proc/{first.pid}/ns/time").readlink()
        assert said.splitlines()[-1] == str(inside)


@pytest.mark.parametrize("user", [False, True], ids=["", "in a new user namespace"])
async def test_one_that_exists_is_joined(rootfs: Path, user: bool) -> None:
    offsets = TimeOffsets(boottime=3_000_000)
    config = Config(rootfs=rootfs, namespaces=NEW, time_offsets=offsets)
    async with Container(config) as container:
        process = await container.start(["sleep", "60"])
        path = f"/proc/{process.pid}/ns/time"
        joined = Namespaces(time=path, user="new" if user else "host")
        ids = {"uid_mappings": IDS, "gid_mappings": IDS} if user else {}
        other = Config(rootfs=rootfs, namespaces=joined, **ids)
        said = await shell(other, READ)
        assert float(said.split()[0]) > 3_000_000
        assert said.splitlines()[-1] == str(Path(path).readlink())


async def test_one_that_is_no_time_namespace_is_refused(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, namespaces=Namespaces(time="/proc/self/ns/uts"))
    async with Container(config) as container:
        with pytest.raises(SetupError, match="join namespace"):
            await container.start(["true"])


async def test_a_clock_before_its_start_is_refused_and_the_helper_stays_at_home(
    rootfs: Path,
) -> None:
    offsets = TimeOffsets(boottime=-(2**32))
    config = Config(rootfs=rootfs, namespaces=NEW, time_offsets=offsets)
    async with Container(config) as container:
        with pytest.raises(SetupError) as caught:
            await container.start(["true"])
        assert isinstance(caught.value.__cause__, OSError)
    # Who is made next is in the program's own.
    said = await shell(Config(rootfs=rootfs), READ)
    assert said.splitlines()[-1] == procfs.namespace("time")


@pytest.mark.parametrize("space", ["host", "/proc/self/ns/time"])
async def test_offsets_are_for_a_new_one_only(rootfs: Path, space: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(
            rootfs=rootfs,
            namespaces=Namespaces(time=space),
            time_offsets=TimeOffsets(monotonic=1),
        )
    assert caught.value.field == "time_offsets"


async def test_containers_started_at_once_don_t_get_each_others_clocks(
    rootfs: Path,
) -> None:
    import anyio

    found: dict[int, float] = {}

    async def one(number: int) -> None:
        shift = TimeOffsets(boottime=number * 10_000_000)
        new = {"namespaces": NEW, "time_offsets": shift} if number else {}
        said = await shell(Config(rootfs=rootfs, **new), READ)
        found[number] = float(said.split()[0])

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    for number, said in found.items():
        assert abs(said - uptime - number * 10_000_000) < 100


assert PYTHON
