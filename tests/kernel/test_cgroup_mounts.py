"""Mounts of type cgroup and cgroup2: a container sees its own, read-only, no more."""

from pathlib import Path
from typing import Any

import pytest

from aiocontainer import STDOUT, Config, ConfigError, IdMapping, Mount, Namespaces
from aiocontainer.cgroups import detect
from tests.support.capabilities import needs
from tests.support.inside import mounts_of, shell

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


PLACE = "/sys/fs/cgroup"
IDS = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
own_and_host = pytest.mark.parametrize("namespace", ["new", "host"])
kinds = pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])


def with_cgroups(
    rootfs: Path, kind: str, namespace: str, *words: str, **settings: Any
) -> Config:
    return Config(
        rootfs=rootfs,
        namespaces=Namespaces(cgroup=namespace),
        mounts=[Mount(destination=PLACE, type=kind, options=words)],
        **{"pids": 7, **settings},
    )


def require(kind: str) -> None:
    if kind == "cgroup2" and detect().v2 is None:
        pytest.skip("no cgroup2 is mounted")


@own_and_host
@kinds
@pytest.mark.covers("cgroup mounts")
async def test_a_container_sees_its_own_cgroup_and_no_other(
    rootfs: Path, kind: str, namespace: str
) -> None:
    require(kind)
    config = with_cgroups(rootfs, kind, namespace)
    script = f"""
cd {PLACE}; find . -name tasks -o -name cgroup.procs | sort
for file in $(find . -name cgroup.procs); do
    grep -qx $$ $file || echo not in $file
done
"""
    said = await shell(config, script)
    files = said.split()
    assert files, "nothing is shown"
    assert "not" not in files, said
    depth = 1 if kind == "cgroup2" or not detect().v1 else 2
    assert {name.count("/") for name in files} == {depth}, "no cgroup of another"


@own_and_host
@kinds
async def test_nothing_of_it_can_be_changed(
    rootfs: Path, kind: str, namespace: str
) -> None:
    require(kind)
    config = with_cgroups(rootfs, kind, namespace)
    script = f"""
for file in $(find {PLACE} -type f); do echo 1 > $file; done
for folder in $(find {PLACE} -type d); do mkdir $folder/own; done
"""
    said = await shell(config, script + "true", stderr=STDOUT)
    lines = said.splitlines()
    assert lines
    assert not [line for line in lines if "Read-only file system" not in line]


@own_and_host
@kinds
async def test_its_mounts_have_the_harmless_attributes(
    rootfs: Path, kind: str, namespace: str
) -> None:
    require(kind)
    mounts = await mounts_of(with_cgroups(rootfs, kind, namespace))
    shown = [m for path, m in mounts.items() if path.startswith(PLACE)]
    assert shown
    for mount in shown:
        assert {"ro", "nosuid", "nodev", "noexec"} <= mount.options


@needs("cgroup-v1-pids")
@own_and_host
async def test_every_hierarchy_has_its_directory_as_on_the_host(
    rootfs: Path, namespace: str
) -> None:
    config = with_cgroups(rootfs, "cgroup", namespace)
    said = await shell(config, f"ls {PLACE}; cat {PLACE}/pids/pids.max")
    *names, limit = said.split()
    layout = detect()
    own = {
        Path(hierarchy.mount).name
        for name, hierarchy in layout.v1.items()
        if not name.startswith("name=")
    }
    assert own <= set(names) <= own | {"unified", "systemd"}
    assert limit == "7"


@needs("cgroup-v1-pids")
@pytest.mark.covers("cgroup mounts")
async def test_it_is_writable_when_that_is_said(rootfs: Path) -> None:
    config = with_cgroups(rootfs, "cgroup", "new", "rw")
    script = f"mkdir {PLACE}/pids/own && echo 5 > {PLACE}/pids/own/pids.max && "
    script += f"cat {PLACE}/pids/own/pids.max; rmdir {PLACE}/pids/own"
    assert await shell(config, script) == "5\n"


@needs("cgroup-v2-pids")
async def test_cgroup2_is_writable_when_that_is_said(rootfs: Path) -> None:
    config = with_cgroups(rootfs, "cgroup2", "new", "rw")
    script = f"mkdir {PLACE}/own && rmdir {PLACE}/own && echo made"
    assert await shell(config, script) == "made\n"


@kinds
def test_without_a_namespace_of_its_own_it_is_never_writable(
    rootfs: Path, kind: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        with_cgroups(rootfs, kind, "host", "rw")
    assert caught.value.field == "mounts[0].options"


async def test_the_hosts_own_are_hidden_where_its_sysfs_is_shown(rootfs: Path) -> None:
    """CVE-2023-25809: with the host's network a user namespace gets the host's /sys."""
    config = Config(
        rootfs=rootfs,
        namespaces=Namespaces(user="new", network="host", cgroup="host"),
        uid_mappings=IDS,
        gid_mappings=IDS,
    )
    assert await shell(config, f"ls {PLACE}") == ""
    assert (await mounts_of(config))[PLACE].kind == "tmpfs"


@kinds
@own_and_host
@pytest.mark.parametrize("network", ["new", "host"])
async def test_in_a_user_namespace_too(
    rootfs: Path, kind: str, namespace: str, network: str
) -> None:
    require(kind)
    config = Config(
        rootfs=rootfs,
        namespaces=Namespaces(user="new", cgroup=namespace, network=network),
        mounts=[Mount(destination=PLACE, type=kind)],
        uid_mappings=IDS,
        gid_mappings=IDS,
        pids=7,
    )
    said = await shell(config, f"find {PLACE} -name cgroup.procs | xargs cat")
    assert said.split(), "it sees itself"
    mounts = await mounts_of(config)
    # With the host's network its /sys has the host's mounts, covered by these.
    shown = [m for path, m in mounts.items() if path.startswith(PLACE)]
    assert all("ro" in m.options for m in shown)
    assert {"nosuid", "nodev", "noexec"} <= mounts[PLACE].options
