"""S17: a container makes no namespaces of its own, which would open the kernel wide.

Most local holes of the kernel's file systems and networks need CAP_SYS_ADMIN in a user
namespace, and nothing more.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, Container, IdMapping, Namespaces
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, look, python_config, shell

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "user-namespace"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64"),
]

MAPPED = [IdMapping(container_id=0, host_id=200_000, size=65_536)]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


WAYS = r"""
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
KINDS = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "uts": 0x4000000,
         "ipc": 0x8000000, "network": 0x40000000, "cgroup": 0x2000000}
said = {}
def note(name, answer):
    if answer == 0 and name.startswith("clone"):
        os._exit(0)  # the child
    said[name] = ctypes.get_errno() if answer == -1 else 0
for kind, flag in KINDS.items():
    for low, word in ((0, ""), (0x80, " and time")):
        ctypes.set_errno(0)
        note("unshare " + kind + word, libc.syscall(272, ctypes.c_ulong(flag | low)))
    for high in (0, 1 << 32):
        ctypes.set_errno(0)
        flags = ctypes.c_ulong(flag | high | 17)
        note(f"clone {kind} {high}", libc.syscall(56, flags, None, None, None, None))
own = os.open("/proc/self/ns/user", os.O_RDONLY)
ctypes.set_errno(0)
note("setns", libc.syscall(308, own, 0))
arguments = (ctypes.c_uint64 * 11)(KINDS["user"], 0, 0, 0, 17)
ctypes.set_errno(0)
note("clone3", libc.syscall(435, arguments, ctypes.sizeof(arguments)))
print(json.dumps(said))
"""


def configs() -> list[Any]:
    owned = {
        "namespaces": Namespaces(user="new"),
        "uid_mappings": MAPPED,
        "gid_mappings": MAPPED,
    }
    return [
        pytest.param({}, id="default"),
        pytest.param({"user": "nobody"}, id="another user"),
        pytest.param({"no_new_privs": False}, id="without no_new_privs"),
        pytest.param(owned, id="in a user namespace"),
    ]


@pytest.mark.parametrize("settings", configs())
@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_no_way_makes_a_namespace(settings: dict[str, Any], joined: bool) -> None:
    async with Container(python_config(**settings)) as container:
        args = [PYTHON, "-I", "-c", WAYS]
        result = await container.run(args, init=joined)
    assert result.returncode == 0, result
    said = json.loads(result.stdout)
    assert len(said) == 7 * 4 + 2
    assert set(said.values()) == {errno.EPERM, errno.ENOSYS}, said
    assert said["clone3"] == errno.ENOSYS


@pytest.fixture
def mapped_rootfs(own_rootfs: Path) -> Path:
    for folder, folders, files in os.walk(own_rootfs):
        for name in (".", *folders, *files):
            os.lchown(os.path.join(folder, name), 200_000, 200_000)
    return own_rootfs


async def test_the_kernel_itself_can_be_told_to_allow_none(mapped_rootfs: Path) -> None:
    """For who needs another filter: a parameter of the container's user namespace."""
    base: dict[str, Any] = {
        "rootfs": mapped_rootfs,
        "namespaces": Namespaces(user="new"),
        "uid_mappings": MAPPED,
        "gid_mappings": MAPPED,
        "seccomp": None,
    }
    script = "unshare -U true 2>/dev/null && echo made || echo refused"
    assert await shell(Config(**base), script) == "made\n"
    closed = Config(**base, sysctl={"user.max_user_namespaces": "0"})
    assert await shell(closed, script) == "refused\n"


async def test_the_same_is_made_without_the_filter() -> None:
    """Else the tests above prove nothing."""
    source = (
        "import ctypes, json; print(json.dumps(ctypes.CDLL(None).unshare(1 << 28)))"
    )
    assert await look(python_config(seccomp=None), source) == 0
