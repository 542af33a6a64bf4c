"""Settings that are each tested alone, together: drawn by lot, with the lot printed."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    Container,
    Device,
    IdMapping,
    Mount,
    Namespaces,
    Rootfs,
)
from tests.support.capabilities import needs
from tests.support.inside import tree
from tests.support.rootfs import make_rootfs

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "user-namespace", "overlay"),
]

LOTS = 600 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 60
FIRST_ID = 200_000


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture(scope="module")
def roots() -> Iterator[dict[bool, Path]]:
    """{in a user namespace: a root file system that its root owns}."""
    folder = Path(tempfile.mkdtemp(prefix="combinations-", dir="/tmp"))
    folder.chmod(0o755)
    found = {owned: make_rootfs(folder / str(owned)) for owned in (False, True)}
    for where, folders, files in os.walk(found[True]):
        for name in (".", *folders, *files):
            path = os.path.join(where, name)
            facts = os.lstat(path)
            os.lchown(path, FIRST_ID + facts.st_uid, FIRST_ID + facts.st_gid)
    (folder / "volume").mkdir()
    yield found
    assert not list((folder / "volume").iterdir())
    shutil.rmtree(folder)


def draw(lot: random.Random, roots: dict[bool, Path]) -> Config:
    """A config that has to work."""
    owned = lot.random() < 0.4
    spaces = {
        kind: "host"
        for kind in ("pid", "uts", "ipc", "network", "cgroup")
        if lot.random() < 0.2
    }
    settings: dict[str, Any] = {}
    if owned:
        spaces["user"] = "new"
        mapping = [IdMapping(container_id=0, host_id=FIRST_ID, size=65_536)]
        settings.update(uid_mappings=mapping, gid_mappings=mapping)
    base, volume = roots[owned], roots[owned].parent / "volume"
    settings["mounts"] = [mount for mount in _mounts(volume) if lot.random() < 0.2]
    for name, values in _OTHERS.items():
        if lot.random() < 0.2:
            settings[name] = lot.choice(values)
    if "network" not in spaces and lot.random() < 0.2:
        settings["sysctl"] = {"net.ipv4.ip_forward": "1"}
    if "uts" not in spaces and lot.random() < 0.2:
        settings.update(hostname="name", domainname="example.org")
    rootfs = lot.choice(
        [
            Rootfs.directory(base),
            Rootfs.directory(base, readonly=True),
            Rootfs.overlay(base),
            Rootfs.overlay(base, readonly=True),
            Rootfs.host(),
        ]
    )
    return Config(rootfs=rootfs, namespaces=Namespaces(**spaces), **settings)


def _mounts(volume: Path) -> list[Mount]:
    words = ("rslave", "rshared", "rprivate", "ro", "rro")
    return [
        Mount.tmpfs("/mnt"),
        Mount.bind(volume, "/opt"),
        Mount.bind(volume, "/media", readonly=True),
        Mount(destination="/etc", type="tmpfs", options=["tmpcopyup"]),
        Mount(destination="/dev", options=["ro"]),
        *(
            Mount(destination=f"/srv-{word}", source=volume, options=["rbind", word])
            for word in words
        ),
    ]


_OTHERS: dict[str, list[Any]] = {
    "pivot_root": [False],
    "rootfs_propagation": ["slave", "shared", "unbindable"],
    "no_new_privs": [False],
    "seccomp": [None],
    "user": ["nobody", "1000", "1000:1000", "4711", "daemon"],
    "groups": [["daemon"], [4711, 4712]],
    "masked_paths": [[]],
    "readonly_paths": [[], ["/etc", "/tmp"]],
    "umask": [0o77],
    "session_keyring": [False],
    "oom_score_adj": [900],
    "rlimits": [{"nofile": 100}],
    "cwd": ["/tmp", "/root", "/usr"],
    "memory": ["64MiB"],
    "devices": [[Device(path="/dev/pipe", type="p")]],
}


@pytest.mark.parametrize("seed", range(LOTS))
async def test_what_works_alone_works_together(
    roots: dict[bool, Path], seed: int
) -> None:
    lot = random.Random(seed)
    config = draw(lot, roots)
    how = lot.choice(["first", "init", "terminal"])
    async with Container(config) as container:
        if how == "first":
            await container.start(["sleep", "100"])
        if how == "terminal":
            script = "echo hello; exit 7"
            process = await container.start(["sh", "-c", script], terminal=True)
            assert await process.wait() == 7
            return
        for _ in range(2):
            result = await container.run(["sh", "-c", "echo hello; exit 7"])
            assert (result.stdout, result.returncode) == (b"hello\n", 7), result


async def test_shared_roots_are_as_they_were(roots: dict[bool, Path]) -> None:
    """An overlay of it, whatever else is asked for, leaves a directory alone."""
    before = tree(roots[False])
    for seed in range(20):
        config = draw(random.Random(seed), roots)
        if config.namespaces.user == "new":
            continue
        changed = {name: getattr(config, name) for name in config.model_fields_set}
        changed["rootfs"] = Rootfs.overlay(roots[False])
        async with Container(Config(**changed)) as container:
            await container.run(["sh", "-c", "echo x > /new; rm -r /home /etc"])
    assert tree(roots[False]) == before
