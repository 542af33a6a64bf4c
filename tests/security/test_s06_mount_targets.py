"""S6: a mount lands where it was checked to land, whoever moves the target meanwhile.

CVE-2021-30465 and its like: between the look and the mount(2), a directory of a shared
volume is exchanged for a symbolic link to the host.
"""

import collections
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Config, Container, ContainerError, Device, Mount, run
from tests.support.capabilities import needs
from tests.support.hostile import host_snapshot

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "compiler"),
]

FULL = os.environ.get("AIOCONTAINER_SWEEP") == "full"
RUNS = 2000 if FULL else 200

SWAPPER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
/* Exchanges two names until its input ends; prints how often. */
int main(int argc, char **argv) {
    struct pollfd input = {0, POLLIN, 0};
    long count = 0;
    while (poll(&input, 1, 0) == 0)
        for (int i = 0; i < 64; i++)
            count += renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2],
                               RENAME_EXCHANGE) == 0;
    printf("%ld\n", count);
    return 0;
}
"""


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture(scope="module")
def swapper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swapper")
    (folder / "swapper.c").write_text(SWAPPER)
    command = ["cc", "-O1", "-o", folder / "swapper", folder / "swapper.c"]
    subprocess.run(command, check=True)
    return folder / "swapper"


@contextmanager
def swapping(swapper: Path, one: Path, other: Path) -> Iterator[list[int]]:
    """Exchange two names all the time; the list has the count afterwards."""
    counts: list[int] = []
    process = subprocess.Popen(
        [swapper, one, other], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield counts
    finally:
        said, _ = process.communicate(timeout=10)
        counts.append(int(said))


TARGET = "/vol/target"
OTHER = "vol/other"


def bound(source: Path, destination: str, *words: str) -> Mount:
    return Mount(destination=destination, source=source, options=["bind", *words])


ATTACKS: list[Any] = [
    pytest.param(
        lambda volume: {"mounts": [Mount.bind(volume, TARGET)]}, id="directory"
    ),
    pytest.param(
        lambda volume: {"mounts": [Mount.bind(volume, f"{TARGET}/below/it")]},
        id="made below",
    ),
    pytest.param(
        lambda volume: {"mounts": [Mount.bind(volume / "file", f"{TARGET}/file")]},
        id="file",
    ),
    pytest.param(lambda volume: {"mounts": [Mount.tmpfs(TARGET)]}, id="tmpfs"),
    pytest.param(
        lambda volume: {
            "mounts": [
                Mount(destination=TARGET, type="tmpfs", options=["tmpcopyup", "ro"])
            ]
        },
        id="copied up",
    ),
    pytest.param(
        lambda volume: {"devices": [Device(path=f"{TARGET}/null", major=1, minor=3)]},
        id="device",
    ),
    pytest.param(
        lambda volume: {"devices": [Device(path=f"{TARGET}/pipe", type="p", uid=5)]},
        id="owned device",
    ),
    pytest.param(
        lambda volume: {
            "masked_paths": [TARGET, f"{TARGET}/file", f"{TARGET}/directory"]
        },
        id="masked",
    ),
    pytest.param(
        lambda volume: {"readonly_paths": [TARGET, f"{TARGET}/directory"]},
        id="read-only",
    ),
    pytest.param(lambda volume: {"cwd": TARGET}, id="working directory"),
    pytest.param(
        lambda volume: {"mounts": [bound(volume, TARGET, "dest-nofollow")]},
        id="destination itself",
    ),
    pytest.param(
        lambda volume: {
            "mounts": [bound(volume / "file", f"{TARGET}/file", "dest-nofollow")]
        },
        id="destination below",
    ),
    pytest.param(
        lambda volume: {
            "mounts": [bound(volume / "link", f"{TARGET}/new", "copy-symlink")]
        },
        id="copied link",
    ),
    pytest.param(
        lambda volume: {
            "mounts": [bound(volume, f"{TARGET}/it", "idmap=uids=0-7-1;gids=0-7-1")]
        },
        id="id-mapped",
    ),
    pytest.param(
        lambda volume: {"mounts": [Mount(destination=TARGET, type="cgroup")]},
        id="cgroups",
    ),
    pytest.param(
        lambda volume: {
            "mounts": [Mount(destination=TARGET, options=["ro", "noexec"])]
        },
        id="changed",
    ),
    pytest.param(lambda volume: {"pivot_dir": TARGET}, id="pivot dir"),
    pytest.param(
        lambda volume: {
            "mounts": [Mount(destination=TARGET, type="proc")],
            "system_mounts": [],
        },
        id="proc",
    ),
]
LINKS = [
    pytest.param("{canary}", id="absolute"),
    pytest.param("../../../../../../../../../..{canary}", id="dots"),
]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.covers("paths resolved inside the root")
async def test_the_host_is_unharmed_while_a_target_is_a_link_half_of_the_time(
    own_rootfs: Path, tmp_path: Path, swapper: Path, attack: Any, link: str
) -> None:
    canary = tmp_path / "canary"
    (canary / "directory").mkdir(parents=True)
    (canary / "file").write_text("the host's")
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("the volume's")
    (volume / "link").symlink_to("file")
    target = own_rootfs / TARGET.lstrip("/")
    (target / "directory").mkdir(parents=True)
    (target / "file").write_text("the image's")
    (own_rootfs / OTHER).symlink_to(link.format(canary=canary))
    before = host_snapshot(canary)
    config = Config(rootfs=own_rootfs, **attack(volume))
    outcomes: collections.Counter[str] = collections.Counter()

    async def some(count: int) -> None:
        for _ in range(count):
            try:
                result = await run(config, ["true"], timeout=10)
                outcomes[str(result.returncode)] += 1
            except ContainerError as error:
                outcomes[type(error).__name__] += 1

    with swapping(swapper, target, own_rootfs / OTHER) as swaps:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(some, RUNS // len(ATTACKS) // len(LINKS) // 4 + 1)
    assert host_snapshot(canary) == before
    # That no mount has come on the host is seen by the leak check.
    assert set(outcomes) <= {"0", "SetupError"}, outcomes
    assert swaps[0] > 1000


async def test_who_joins_is_unharmed_while_files_are_exchanged(
    own_rootfs: Path, tmp_path: Path, swapper: Path
) -> None:
    """The container exchanges its user files and its directories for links."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "passwd").write_text("tester:x:0:0::/:/bin/sh\n")
    before = host_snapshot(canary)
    other = own_rootfs / "etc/other"
    other.symlink_to(f"/proc/1/root{canary}/passwd")
    users: collections.Counter[str] = collections.Counter()
    async with Container(Config(rootfs=own_rootfs)) as container:
        await container.run(["true"])
        with swapping(swapper, own_rootfs / "etc/passwd", other) as swaps:
            for _ in range(RUNS // 4):
                try:
                    result = await container.run(["id", "-u"], user="tester")
                    users[result.stdout.decode().strip()] += 1
                except ContainerError as error:
                    users[type(error).__name__] += 1
    assert set(users) <= {"1000", "SetupError"}, users
    assert users["1000"], users
    assert host_snapshot(canary) == before
    assert swaps[0] > 1000
