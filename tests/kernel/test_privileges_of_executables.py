"""Executables that would give privileges: they do as no_new_privs says."""

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Capabilities, Config, Container, ExecError, run
from aiocontainer._sys import libc
from tests.support.capabilities import needs
from tests.support.inside import status_fields
from tests.support.rootfs import busybox

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

STATUS = "/bin/busybox-own"
"""It goes by the first argument when its name begins like that."""
NET_RAW = 13
_setxattr = libc.function(
    "setxattr",
    *(ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int),
)


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def status(own_rootfs: Path) -> Path:
    """A busybox of its own in the root file system, to be given privileges."""
    path = own_rootfs / STATUS[1:]
    shutil.copy2(busybox(), path)
    return path


def give_capabilities(path: Path, mask: int) -> None:
    """What setcap(8) does, with the effective bit: ``struct vfs_cap_data``, revision 2
    (include/uapi/linux/capability.h)."""
    data = struct.pack("<5I", 0x02000001, mask, 0, 0, 0)
    name = b"security.capability"
    libc.call("setxattr", _setxattr, bytes(path), name, data, len(data), 0)


IDS = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) { printf("%d %d %d\n", getuid(), geteuid(), getegid()); return 0; }
"""


@pytest.fixture
def ids(own_rootfs: Path, tmp_path: Path) -> Path:
    """A program that tells its real and effective user, and its effective group."""
    (tmp_path / "ids.c").write_text(IDS)
    path = own_rootfs / "bin/ids"
    args = ["cc", "-static", "-o", str(path), str(tmp_path / "ids.c")]
    subprocess.run(args, check=True)
    return path


@needs("compiler")
@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize(
    ("no_new_privs", "told"),
    [
        pytest.param(True, b"1000 1000 1000\n", id="kept out"),
        pytest.param(False, b"1000 0 0\n", id="let in"),
    ],
)
async def test_set_user_id_works_without_no_new_privs_alone(
    own_rootfs: Path, ids: Path, no_new_privs: bool, told: bytes, joins: bool
) -> None:
    ids.chmod(0o6755)
    config = Config(rootfs=own_rootfs, user="tester", no_new_privs=no_new_privs)
    async with Container(config) as container:
        result = await container.run(["ids"], init=joins)
    assert result.stdout == told


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize(
    ("no_new_privs", "bounding", "effective"),
    [
        pytest.param(True, ["NET_RAW"], 0, id="kept out"),
        pytest.param(False, ["NET_RAW"], 1 << NET_RAW, id="let in"),
    ],
)
async def test_capabilities_of_a_file_work_without_no_new_privs_alone(
    own_rootfs: Path,
    status: Path,
    no_new_privs: bool,
    bounding: list[str],
    effective: int,
    joins: bool,
) -> None:
    give_capabilities(status, 1 << NET_RAW)
    sets = Capabilities(bounding=bounding, permitted=[], effective=[])
    config = Config(
        rootfs=own_rootfs, user="tester", no_new_privs=no_new_privs, capabilities=sets
    )
    args = [STATUS, "cat", "/proc/self/status"]
    async with Container(config) as container:
        result = await container.run(args, init=joins)
    assert result.returncode == 0, result
    found = status_fields(result.stdout.decode())
    assert int(found["CapEff"], 16) == effective
    assert int(found["CapPrm"], 16) == effective


@pytest.mark.parametrize("no_new_privs", [False, True])
async def test_a_capability_beyond_the_bounding_set_can_t_be_executed(
    own_rootfs: Path, status: Path, no_new_privs: bool
) -> None:
    """The kernel refuses an executable whose effective set it can't give (EPERM)."""
    give_capabilities(status, 1 << NET_RAW)
    sets = Capabilities(bounding=[], permitted=[], effective=[])
    config = Config(
        rootfs=own_rootfs, user="tester", no_new_privs=no_new_privs, capabilities=sets
    )
    with pytest.raises(ExecError, match="not permitted"):
        await run(config, [STATUS, "cat", "/proc/self/status"])


async def test_ambient_capabilities_reach_what_a_user_executes(
    own_rootfs: Path,
) -> None:
    sets = Capabilities(
        bounding=["NET_RAW"],
        permitted=["NET_RAW"],
        effective=["NET_RAW"],
        inheritable=["NET_RAW"],
        ambient=["NET_RAW"],
    )
    config = Config(rootfs=own_rootfs, user="tester", capabilities=sets)
    result = await run(config, ["sh", "-c", "cat /proc/self/status"])
    found = status_fields(result.stdout.decode())
    assert int(found["CapEff"], 16) == 1 << NET_RAW
