"""What this machine can do, found out by trying, once, in a forked child.

    pytestmark = [pytest.mark.anyio, needs("mount-namespace")]

A test whose capability is missing is skipped. Where the environment variable
``AIOCONTAINER_REQUIRE`` (names, separated by commas) promised it, the test fails
instead, so a machine that lost something can't pass quietly.
"""

import ctypes
import functools
import os
import platform
import shutil
import signal
import socket
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from aiocontainer._sys import libc

from . import procfs

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWTIME = 0x00000080
MS_NODEV = 4

Attempt = Callable[[], None]


class Lacking(Exception):
    """A probe's way to say what is missing when no system call says it."""


def needs(*names: str) -> pytest.MarkDecorator:
    """Mark tests that need these capabilities, by their names in `PROBES`."""
    unknown = set(names) - PROBES.keys()
    assert not unknown, f"no probe for {sorted(unknown)}"
    return pytest.mark.needs(*names)


def promised(name: str) -> bool:
    """Whether ``AIOCONTAINER_REQUIRE`` names this capability."""
    return name in os.environ.get("AIOCONTAINER_REQUIRE", "").split(",")


@functools.cache
def lack(name: str) -> str | None:
    """Why this machine can't do ``name``, or ``None`` when it can."""
    return outcome_in_child(PROBES[name])


def available() -> list[str]:
    """Names of everything that this machine can do."""
    return [name for name in PROBES if lack(name) is None]


def outcome_in_child(attempt: Attempt) -> str | None:
    """Run ``attempt`` in a forked child; the words of its failure, or ``None``."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Threads of the test process don't matter: the child only makes system calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        words = b""
        try:
            attempt()
        except BaseException as error:
            words = (str(error) or type(error).__name__).encode()[:4096]
        finally:
            os.write(writer, words)
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        words = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return words or (None if status == 0 else f"probe ended with {status}")


def describe_machine() -> list[str]:
    """Kernel, cgroup layout and user, for the head of a test report."""
    mounts = procfs.cgroup_mounts()
    v1 = sorted(filter(None, mounts.values()))
    if v1:
        layout = f"v1 ({' '.join(v1)})" + (
            " + cgroup2" if "" in mounts.values() else ""
        )
    else:
        layout = f"v2 ({' '.join(_controllers2())})"
    return [
        f"kernel {platform.release()}, uid {os.geteuid()}, cgroups: {layout}",
        f"required: {os.environ.get('AIOCONTAINER_REQUIRE') or 'nothing'}",
    ]


# -- probes: each is run in a child of its own -----------------------------------------

_unshare = libc.function("unshare", ctypes.c_int)
_mount = libc.function("mount", *[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)


def _unsharing(flags: int) -> Attempt:
    def attempt() -> None:
        libc.call("unshare", _unshare, flags)

    return attempt


def _mounting(kind: bytes, options: Callable[[str], str]) -> Attempt:
    """Mount a file system of this kind in a mount namespace of the child's own."""

    def attempt() -> None:
        libc.call("unshare", _unshare, CLONE_NEWNS)
        private = 0x4000 | 1 << 18  # MS_REC | MS_PRIVATE: nothing reaches the host
        libc.call("mount", _mount, None, b"/", None, private, None)
        libc.call("mount", _mount, b"tmpfs", b"/tmp", b"tmpfs", 0, b"size=1m")
        folder = tempfile.mkdtemp(dir="/tmp")
        data = options(folder).encode()
        libc.call("mount", _mount, kind, folder.encode(), kind, MS_NODEV, data)

    return attempt


def _overlay_options(folder: str) -> str:
    for name in ("lower", "upper", "work"):
        os.mkdir(f"{folder}/{name}")
    return f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"


def _need_root() -> None:
    if os.geteuid() != 0:
        raise Lacking("not root")


def _need_unprivileged() -> None:
    if os.geteuid() == 0:
        raise Lacking("running as root")


def _v1_point(controller: str) -> str:
    for point, controllers in procfs.cgroup_mounts().items():
        if controller in controllers.split(","):
            return point
    raise Lacking(f"no v1 hierarchy with {controller}")


def _v2_point() -> str:
    for point, controllers in procfs.cgroup_mounts().items():
        if not controllers:
            return point
    raise Lacking("no cgroup2 mount")


def _controllers2() -> list[str]:
    return Path(_v2_point(), "cgroup.controllers").read_text().split()


def _try_group(point: str) -> None:
    folder = tempfile.mkdtemp(prefix="aiocontainer-test-probe-", dir=point)
    os.rmdir(folder)


def _cgroup_v1(controller: str) -> Attempt:
    return lambda: _try_group(_v1_point(controller))


def _cgroup_v2(controller: str) -> Attempt:
    def attempt() -> None:
        if controller not in _controllers2():
            raise Lacking(f"cgroup2 has no controller {controller}")
        _try_group(_v2_point())

    return attempt


def _any_cgroup_v2() -> None:
    _try_group(_v2_point())


def _pure_v2() -> None:
    _try_group(_v2_point())
    if any(procfs.cgroup_mounts().values()):
        raise Lacking("v1 hierarchies are mounted")


def _seccomp_filter() -> None:
    # PR_GET_SECCOMP answers EINVAL where the kernel was built without.
    prctl = libc.function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)
    libc.call("prctl", prctl, 21, 0, 0, 0, 0)


def _file(path: str) -> Attempt:
    return lambda: os.close(os.open(path, os.O_RDONLY))


def _landlock() -> None:
    version = libc.syscall(444, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32)
    libc.call("landlock_create_ruleset", version, None, 0, 1)


def _apparmor() -> None:
    if Path("/sys/module/apparmor/parameters/enabled").read_text().strip() != "Y":
        raise Lacking("AppArmor is off")
    _need_programs("apparmor_parser")


def _systemd() -> None:
    if not os.path.isdir("/run/systemd/system"):
        raise Lacking("systemd is not running")
    with socket.socket(socket.AF_UNIX) as bus:
        bus.connect("/run/dbus/system_bus_socket")


def _swap() -> None:
    if len(Path("/proc/swaps").read_text().splitlines()) < 2:
        raise Lacking("no swap")


def _need_programs(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            raise Lacking(f"{name} is not installed")


def _programs(*names: str) -> Attempt:
    return lambda: _need_programs(*names)


def _two_processors() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        raise Lacking("one processor")


def _nftables() -> None:
    """A table in a network namespace of the child's own."""
    libc.call("unshare", _unshare, CLONE_NEWNET)
    from aiocontainer.network.nftables import Table

    table = Table("probe")
    anyio.run(lambda: table.create("probe0", [], internal=True))


_V1 = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
_V2 = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")

PROBES: dict[str, Attempt] = {
    "root": _need_root,
    "unprivileged": _need_unprivileged,
    "mount-namespace": _unsharing(CLONE_NEWNS),
    "pid-namespace": _unsharing(CLONE_NEWPID),
    "uts-namespace": _unsharing(CLONE_NEWUTS),
    "ipc-namespace": _unsharing(CLONE_NEWIPC),
    "network-namespace": _unsharing(CLONE_NEWNET),
    "cgroup-namespace": _unsharing(CLONE_NEWCGROUP),
    "user-namespace": _unsharing(CLONE_NEWUSER),
    "time-namespace": _unsharing(CLONE_NEWTIME),
    "overlay": _mounting(b"overlay", _overlay_options),
    "seccomp": _seccomp_filter,
    "landlock": _landlock,
    "apparmor": _apparmor,
    "systemd": _systemd,
    "pressure": _file("/proc/pressure/memory"),
    "fuse": _file("/dev/fuse"),
    "swap": _swap,
    "two-processors": _two_processors,
    "newuidmap": _programs("newuidmap", "newgidmap"),
    "criu": _programs("criu"),
    "podman": _programs("podman", "conmon"),
    "docker": _programs("docker", "dockerd", "containerd"),
    "containerd": _programs("containerd", "ctr"),
    "runc": _programs("runc"),
    "compiler": _programs("cc"),
    "iproute2": _programs("ip"),
    "nftables": _nftables,
    "strace": _programs("strace"),
    "cgroup-v2": _any_cgroup_v2,
    "cgroup-v2-pure": _pure_v2,
    **{f"cgroup-v1-{name}": _cgroup_v1(name) for name in _V1},
    **{f"cgroup-v2-{name}": _cgroup_v2(name) for name in _V2},
}
