"""S14: the library opens no way in: no named socket, no file that others can read."""

import os
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import PIPE, Config, Container
from aiocontainer.proc import spawner
from tests.support import procfs
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def sockets_of(pid: int) -> set[int]:
    targets = procfs.descriptors(pid).values()
    return {int(t[8:-1]) for t in targets if t.startswith("socket:[")}


def named_unix_sockets() -> dict[int, str]:
    """{inode: path, or @name for one without a file}."""
    found = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8:
            found[int(fields[6])] = fields[7]
    return found


async def test_all_sockets_are_pairs_without_a_name(rootfs: Path) -> None:
    """Who shares the network namespace reaches abstract names (CVE-2020-15257)."""
    before = named_unix_sockets()
    async with Container(Config(rootfs=rootfs)) as container:
        process = await container.start(["cat"], stdin=PIPE, stdout=PIPE)
        running = spawner.peek()
        assert running is not None
        ours = sockets_of(os.getpid()) | sockets_of(running.pid)
        assert ours
        new = named_unix_sockets().items() - before.items()
        assert not [name for inode, name in new if inode in ours]
        assert sockets_of(process.pid) == set()


async def test_another_user_can_not_look_into_the_spawner(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await container.run(["true"])
    running = spawner.peek()
    assert running is not None
    for name in ("environ", "mem", "maps", "fd"):
        facts = os.stat(f"/proc/{running.pid}/{name}")
        assert facts.st_uid == 0
    listed = Path(f"/proc/{running.pid}/status").read_text()
    assert "NoNewPrivs" in listed


async def test_cgroups_of_containers_are_the_callers_alone(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        process = await container.start(["sleep", "100"])
        for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for point, names in procfs.cgroup_mounts().items():
                folder = Path(point + path)
                if names == controllers and path != "/" and folder.is_dir():
                    facts = (folder / "cgroup.procs").stat()
                    assert facts.st_uid == os.geteuid()
                    assert not facts.st_mode & 0o022
