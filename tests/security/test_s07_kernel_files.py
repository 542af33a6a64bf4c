"""S7: what is meant for kernel files goes to the kernel's, and not to the image's."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, ConfigError, Container, Mount, SetupError, run
from aiocontainer.config import SYSTEM_MOUNTS
from tests.support.capabilities import needs
from tests.support.inside import shell

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


async def test_a_parameter_is_set_in_the_kernel_and_not_in_the_image(
    own_rootfs: Path,
) -> None:
    """The helper has a proc of its own for that (CVE-2025-52881)."""
    fake = own_rootfs / "proc/sys/net/ipv4/ip_forward"
    fake.parent.mkdir(parents=True)
    fake.write_text("untouched")
    (own_rootfs / "proc/sys/net/ipv4/ip_default_ttl").symlink_to(CORE_PATTERN)
    before = CORE_PATTERN.read_bytes()
    sysctl = {"net.ipv4.ip_forward": "1", "net.ipv4.ip_default_ttl": "99"}
    config = Config(rootfs=own_rootfs, sysctl=sysctl)
    read = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_default_ttl"
    assert (await shell(config, read)).split() == ["1", "99"]
    assert fake.read_text() == "untouched"
    assert CORE_PATTERN.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        *("kernel.core_pattern", "kernel.modprobe", "vm.overcommit_memory"),
        *("net.ipv4.conf.all.../../../kernel/core_pattern", "net...kernel.sysrq"),
        *("net/ipv4/../../kernel/core_pattern", "fs.mqueue.../file-max"),
        *("kernel.domainname/../core_pattern", "user.max_user_namespaces"),
    ],
)
async def test_no_name_reaches_a_parameter_of_the_host(rootfs: Path, name: str) -> None:
    before = CORE_PATTERN.read_bytes()
    with pytest.raises((ConfigError, SetupError)):
        await run(Config(rootfs=rootfs, sysctl={name: "|/evil"}), ["true"])
    assert CORE_PATTERN.read_bytes() == before


async def test_a_value_is_one_value(rootfs: Path) -> None:
    """CVE-2022-0811: a second line, or a word smuggled in."""
    for value in ("1\nkernel.core_pattern=|/evil", "1\0", "1\n"):
        with pytest.raises(ConfigError):
            Config(rootfs=rootfs, sysctl={"net.ipv4.ip_forward": value})


NULL_LIKE = [
    pytest.param(lambda path: path.symlink_to(CORE_PATTERN), id="link"),
    pytest.param(lambda path: path.write_text("kept"), id="file"),
    pytest.param(os.mkfifo, id="fifo"),
    pytest.param(
        lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)), id="zero"
    ),
]


@pytest.mark.parametrize("make", NULL_LIKE)
async def test_masks_are_made_of_a_null_that_is_one(
    own_rootfs: Path, make: Any
) -> None:
    """CVE-2025-31133: the image's own /dev/null was mounted over what was to be masked,
    and was a link to a kernel file."""
    make(own_rootfs / "dev/null")
    (own_rootfs / "masked").write_text("secret")
    before = CORE_PATTERN.read_bytes()
    no_dev = [m for m in SYSTEM_MOUNTS if not m.destination.startswith("/dev")]
    config = Config(
        rootfs=own_rootfs,
        system_mounts=no_dev,
        system_devices=[],
        masked_paths=["/masked", "/proc/keys"],
    )
    script = "echo x > /masked; cat /masked /proc/keys; stat -c '%t:%T' /masked"
    assert await shell(config, script) == "1:3\n"
    assert (own_rootfs / "masked").read_text() == "secret"
    assert CORE_PATTERN.read_bytes() == before


async def test_masks_hold_against_a_root_that_may_mount(rootfs: Path) -> None:
    """Not with CAP_SYS_ADMIN: that is what it is. Without it nothing uncovers them."""
    script = """
umount /proc/keys; umount -l /proc/keys; umount /proc
mount -t proc proc /mnt; mount --bind /proc /mnt; mount -o remount,rw /proc/sys
mkdir -p /tmp/x && chroot /tmp/x /bin/true
cat /proc/keys | wc -c; echo x > /proc/sys/kernel/core_pattern
"""
    said = await shell(Config(rootfs=rootfs), script + "true")
    assert said == "0\n"


CONSOLES = [
    pytest.param(lambda root, canary: None, id="nothing"),
    pytest.param(lambda root, canary: (root / "dev/console").touch(), id="file"),
    pytest.param(
        lambda root, canary: (root / "dev/console").symlink_to(canary), id="link"
    ),
    pytest.param(
        lambda root, canary: (root / "dev/console").symlink_to("pts/0"), id="terminal"
    ),
    pytest.param(
        lambda root, canary: (root / "dev/console").symlink_to("/proc/sysrq-trigger"),
        id="kernel file",
    ),
    pytest.param(lambda root, canary: os.mkfifo(root / "dev/console"), id="fifo"),
]


@pytest.mark.parametrize("prepare", CONSOLES)
@pytest.mark.parametrize("own_dev", [True, False], ids=["dev", "image's dev"])
async def test_the_console_goes_over_what_is_inside_only(
    own_rootfs: Path, tmp_path: Path, prepare: Any, own_dev: bool
) -> None:
    """CVE-2025-52565: /dev/console is a link to a terminal, or to a kernel file."""
    canary = tmp_path / "canary"
    canary.write_text("kept")
    prepare(own_rootfs, canary)
    mounts = [
        m for m in SYSTEM_MOUNTS if own_dev or m.destination not in ("/dev", "/dev/shm")
    ]
    config = Config(rootfs=own_rootfs, system_mounts=mounts)
    try:
        async with Container(config) as container:
            process = await container.start(
                ["sh", "-c", "echo hello > /dev/console; cat /proc/sysrq-trigger"],
                terminal=True,
            )
            await process.wait()
    except SetupError:
        pass
    assert canary.read_text() == "kept"


async def test_a_terminal_is_made_in_a_real_devpts_only(own_rootfs: Path) -> None:
    """/dev/pts of an image may be anything; its ptmx may be a link to the host's."""
    pts = own_rootfs / "dev/pts"
    pts.mkdir()
    os.mknod(pts / "ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    bare = [m for m in SYSTEM_MOUNTS if not m.destination.startswith("/dev")]
    for mounts in (
        bare,
        [*bare, Mount(destination="/dev/pts", type="tmpfs")],
    ):
        async with Container(Config(rootfs=own_rootfs, system_mounts=mounts)) as box:
            with pytest.raises(SetupError, match="terminal"):
                await box.start(["true"], terminal=True)
