"""S16: capabilities that are as good as being the host's root are not given."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Capabilities, Mount
from aiocontainer.config import DEFAULT_CAPABILITIES
from tests.support.capabilities import needs
from tests.support.inside import look, python_config

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64"),
]

AS_GOOD_AS_ROOT = {
    *("DAC_READ_SEARCH", "SYS_MODULE", "SYS_RAWIO", "SYS_ADMIN", "SYS_PTRACE", "BPF"),
    *("MKNOD", "NET_ADMIN", "NET_RAW", "SYS_BOOT", "SYS_TIME", "SYSLOG", "SETFCAP"),
    *("PERFMON", "CHECKPOINT_RESTORE", "MAC_ADMIN", "MAC_OVERRIDE", "AUDIT_CONTROL"),
    *("LINUX_IMMUTABLE", "SYS_RESOURCE", "SYS_NICE", "IPC_LOCK", "WAKE_ALARM"),
}


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def test_none_of_them_is_among_the_defaults() -> None:
    given = {name.removeprefix("CAP_") for name in DEFAULT_CAPABILITIES.bounding}
    assert not given & AS_GOOD_AS_ROOT


SHOCKER = r"""
import ctypes, fcntl, json, os, socket, struct
disk = os.makedev(DISK >> 20, DISK & 0xFFFFF)
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    answer = libc.syscall(ctypes.c_long(number), *args)
    return answer if answer >= 0 else -ctypes.get_errno()
def attempt(function, *args):
    try:
        return function(*args)
    except OSError as error:
        return -error.errno
# A handle for inode 2, the root directory of most file systems: "shocker", 2014.
handle = ctypes.create_string_buffer(struct.pack("IiII", 8, 1, 2, 0))
where = os.open("/usr", os.O_RDONLY)
said = {"open_by_handle_at": call(304, where, handle, os.O_RDONLY),
        "iopl": call(172, 3), "ioperm": call(173, 0x70, 2, 1),
        "init_module": call(175, handle, 16, handle),
        "ptrace": call(101, 16, 1, 0, 0),
        "mknod": attempt(os.mknod, "/tmp/disk", 0o60600, disk),
        "raw": attempt(socket.socket, 2, 3, 1),
        "kmsg": attempt(os.mknod, "/tmp/kmsg", 0o20600, os.makedev(1, 11)),
        "immutable": attempt(fcntl.ioctl, where, 0x40086602, struct.pack("l", 16)),
        "nice": attempt(os.nice, -1),
        "reboot": call(169, 0xFEE1DEAD, 672274793, 0, 0),
        "clock": call(227, 0, handle)}
print(json.dumps(said))
"""


def disk() -> int:
    """Number of a block device that holds a file system of the host."""
    for name in ("/", "/usr", "/tmp"):
        device = os.stat(name).st_dev
        if os.major(device):
            return os.major(device) << 20 | os.minor(device)
    return 8 << 20


@pytest.mark.parametrize("filtered", [True, False], ids=["filter", "no filter"])
async def test_the_known_ways_to_the_host_are_closed(filtered: bool) -> None:
    """With the filter, and by missing capabilities alone."""
    settings: dict[str, Any] = {} if filtered else {"seccomp": None}
    source = f"DISK = {disk()}\n{SHOCKER}"
    said = await look(python_config(**settings), source)
    assert set(said.values()) <= {-1, -3, -13, -30, -38}, said


@pytest.mark.needs("cgroup-v1-devices")
async def test_a_node_of_the_hosts_disk_may_be_made_but_not_opened() -> None:
    source = f"""
import json, os
disk = {disk()}
os.mknod("/dev/disk", 0o60600, os.makedev(disk >> 20, disk & 0xFFFFF))
os.mknod("/dev/kmsg", 0o20600, os.makedev(1, 11))
said = []
for path in ("/dev/disk", "/dev/kmsg", "/dev/null", "/dev/full"):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        said.append(0)
    except OSError as error:
        said.append(error.errno)
print(json.dumps(said))
"""
    capabilities = Capabilities.of(*DEFAULT_CAPABILITIES.bounding, "MKNOD")
    config = python_config(capabilities=capabilities)
    assert await look(config, source) == [1, 1, 0, 0]


async def test_set_user_id_files_made_inside_do_nothing_on_mounts_of_ours(
    tmp_path: Path,
) -> None:
    """A container's root leaves a file for the host's users to run."""
    config = python_config(mounts=[Mount.bind(tmp_path, "/tmp/shared")])
    source = """
import json, os
file = os.open("/tmp/shared/shell", os.O_WRONLY | os.O_CREAT, 0o755)
os.fchmod(file, 0o4755)
flags = os.statvfs("/tmp/shared").f_flag
print(json.dumps([bool(flags & os.ST_NOSUID), bool(flags & os.ST_NODEV)]))
"""
    assert await look(config, source) == [True, True]
    # What it means on the host is the host's mount's to say: the mode itself is kept.
    assert (tmp_path / "shell").stat().st_mode & stat.S_ISUID
