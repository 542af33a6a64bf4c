"""Devices of a container: all kinds, from the host, and what may be opened."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    STDOUT,
    Capabilities,
    Config,
    ConfigError,
    Container,
    Device,
    IdMapping,
    Mount,
    Namespaces,
    Rootfs,
    SetupError,
    run,
)
from tests.support.capabilities import needs
from tests.support.inside import shell

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


MAPPED = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
OWNED: dict[str, Any] = {
    "namespaces": Namespaces(user="new"),
    "uid_mappings": MAPPED,
    "gid_mappings": MAPPED,
}
LOOK = "stat -c '%n %F %a %u %g %t:%T'"


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("c", "character special file 640 7 8 1:7"),
        ("u", "character special file 640 7 8 1:7"),
        ("b", "block special file 640 7 8 1:7"),
        ("p", "fifo 640 7 8 0:0"),
    ],
)
async def test_every_type_has_the_mode_and_owner_asked_for(
    rootfs: Path, kind: Any, seen: str
) -> None:
    device = Device(
        path="/dev/some/it",
        type=kind,
        major=1,
        minor=7,
        file_mode=0o640,
        uid=7,
        gid=8,
    )
    config = Config(rootfs=rootfs, devices=[device], umask=0o077)
    assert await shell(config, f"{LOOK} /dev/some/it") == f"/dev/some/it {seen}\n"


async def test_a_device_is_taken_over_from_the_host(
    rootfs: Path, tmp_path: Path
) -> None:
    os.mknod(tmp_path / "full", stat.S_IFCHR, os.makedev(1, 7))
    (tmp_path / "full").chmod(0o604)
    os.chown(tmp_path / "full", 1000, 29)
    (tmp_path / "link").symlink_to("full")
    device = Device.from_host(tmp_path / "link", "/dev/mine")
    assert (device.type, device.major, device.minor) == ("c", 1, 7)
    assert device.host_path == str(tmp_path / "full")
    config = Config(rootfs=rootfs, devices=[device])
    said = await shell(config, f"{LOOK} /dev/mine; echo x > /dev/mine; true")
    assert said == "/dev/mine character special file 604 1000 29 1:7\n"


async def test_a_fifo_and_the_same_path_can_be_taken_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    device = Device.from_host(tmp_path / "pipe")
    assert (device.type, device.path) == ("p", str(tmp_path / "pipe"))


@pytest.mark.parametrize("name", ["file", "folder", "missing", "nul\0"])
def test_what_is_no_device_is_a_config_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        Device.from_host(tmp_path / name)
    assert caught.value.field == "host_path"


@pytest.mark.covers("device nodes, or binds of them")
async def test_in_a_user_namespace_the_hosts_own_is_shown(
    rootfs: Path, tmp_path: Path
) -> None:
    device = Device.from_host("/dev/null", "/dev/other")
    config = Config(rootfs=rootfs, devices=[device], **OWNED)
    script = f"{LOOK} /dev/other; echo x > /dev/other; cat /dev/other"
    said = await shell(config, script)
    mode = stat.S_IMODE(os.stat("/dev/null").st_mode)
    assert said == f"/dev/other character special file {mode:o} 65534 65534 1:3\n"


async def test_there_it_has_to_be_that_device(rootfs: Path) -> None:
    device = Device(path="/dev/other", major=1, minor=7, host_path="/dev/null")
    with pytest.raises(SetupError, match="/dev/null") as caught:
        await run(Config(rootfs=rootfs, devices=[device], **OWNED), ["true"])
    assert isinstance(caught.value.__cause__, OSError)


# -- what may be opened ----------------------------------------------------------------

BLOCK = next(
    (
        f"/dev/{name}"
        for name in ("loop7", "loop0", "vda")
        if os.path.exists(f"/dev/{name}")
    ),
    "/dev/null",
)
has_block = pytest.mark.skipif(BLOCK == "/dev/null", reason="no block device")


@has_block
async def test_a_block_device_that_is_given_can_be_opened(rootfs: Path) -> None:
    device = Device.from_host(BLOCK, "/dev/disk")
    assert device.type == "b"
    config = Config(rootfs=rootfs, devices=[device])
    result = await run(config, ["dd", "if=/dev/disk", "of=/dev/null", "count=1"])
    assert result.returncode == 0, result


@has_block
async def test_one_that_is_not_given_can_not_even_if_it_can_be_made(
    rootfs: Path,
) -> None:
    facts = os.stat(BLOCK).st_rdev
    script = f"""
mknod /dev/shm/disk b {os.major(facts)} {os.minor(facts)} && echo made
dd if=/dev/shm/disk of=/dev/null count=1 && echo read
true
"""
    config = Config(
        rootfs=rootfs,
        capabilities=Capabilities.of("MKNOD"),
        mounts=[Mount(destination="/dev/shm", options=["remount", "dev"])],
    )
    said = await shell(config, script, stderr=STDOUT)
    assert "made" in said
    assert "read" not in said
    assert "Operation not permitted" in said


async def test_a_node_that_the_image_brought_is_of_no_use_either(
    own_rootfs: Path,
) -> None:
    os.mknod(own_rootfs / "tmp/kmsg", stat.S_IFCHR | 0o666, os.makedev(1, 11))
    said = await shell(
        Config(rootfs=own_rootfs), "cat /tmp/kmsg || true", stderr=STDOUT
    )
    assert "Operation not permitted" in said


# -- consoles and the rest of /dev -----------------------------------------------------


async def test_there_is_a_console_with_a_terminal_only(rootfs: Path) -> None:
    assert await shell(Config(rootfs=rootfs), "ls /dev | grep -c console || true") == (
        "0\n"
    )
    async with Container(Config(rootfs=rootfs)) as container:
        script = 'test "$(stat -c %t:%T /dev/console)" = "$(stat -Lc %t:%T /dev/fd/0)"'
        process = await container.start(["sh", "-c", script], terminal=True)
        assert await process.wait() == 0


async def test_nothing_of_binfmt_misc_is_touched(rootfs: Path) -> None:
    """It would be the host's: programs of one container could be run by another's."""
    place = Path("/proc/sys/fs/binfmt_misc")
    before = sorted(os.listdir(place)), os.path.ismount(place)
    script = f"""
ls {place} | wc -l; mount -t binfmt_misc none {place}
echo ':x:M::xx::/bin/sh:' > {place}/register
"""
    said = await shell(Config(rootfs=rootfs), script + "true", stderr=STDOUT)
    assert said.splitlines()[0] == "0"
    assert "can't create" in said
    assert (sorted(os.listdir(place)), os.path.ismount(place)) == before


# -- read-only roots -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["directory", "overlay"])
@pytest.mark.parametrize("pivot", [{}, {"pivot_root": False}, {"pivot_dir": "/.old"}])
async def test_a_read_only_root_has_volumes_and_devices_where_nothing_was(
    own_rootfs: Path, tmp_path: Path, kind: str, pivot: dict[str, Any]
) -> None:
    (tmp_path / "volume").mkdir()
    root = getattr(Rootfs, kind)(own_rootfs, readonly=True)
    config = Config(
        rootfs=root,
        mounts=[
            Mount.bind(tmp_path / "volume", "/a/b"),
            Mount.tmpfs("/c/d"),
            Mount.bind("/etc/hostname", "/e/file"),
        ],
        devices=[Device(path="/n/null", major=1, minor=3)],
        **pivot,
    )
    script = """
echo x > /a/b/file; echo x > /c/d/file; echo x > /n/null; test -s /e/file && echo shown
for path in /x /a/x /bin/x /n/x; do touch $path; done
ls -a / | grep -c old
"""
    said = await shell(config, script + "true", stderr=STDOUT)
    assert said.count("Read-only file system") == 4
    assert said.startswith("shown\n")
    assert (tmp_path / "volume/file").read_text() == "x\n"


@pytest.mark.covers("PivotDir")
async def test_a_pivot_dir_holds_the_old_root_for_an_instant_only(
    own_rootfs: Path,
) -> None:
    config = Config(rootfs=own_rootfs, pivot_dir="/old/here")
    script = "ls -a /old/here; grep -c old /proc/self/mountinfo || true"
    assert await shell(config, script) == ".\n..\n0\n"


async def test_a_pivot_dir_that_leads_out_stays_inside(
    own_rootfs: Path, tmp_path: Path
) -> None:
    (own_rootfs / "old").symlink_to(tmp_path)
    inside = own_rootfs / str(tmp_path).lstrip("/")
    inside.mkdir(parents=True)
    await shell(Config(rootfs=own_rootfs, pivot_dir="/old"), "true")
    assert not list(tmp_path.iterdir())
