"""What this kernel lets this user do, found out by trying.

Run in an interpreter of its own (``python -c``): each attempt is made in a forked
child, so nothing is changed but by what has ended when the answers are written.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sys

from . import constants as c
from . import mounts, namespaces
from .libc import call, fail, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = list[int | str]
    """[errno, what was tried, the kernel's words]; errno 0: it works, with a value."""

_TIME_LIMIT_S = 10
_SECCOMP_GET_ACTION_AVAIL = 2
_SECCOMP_RET_ERRNO = 0x0005_0000
_SECCOMP_RET_USER_NOTIF = 0x7FC0_0000

_seccomp = syscall(c.number("seccomp"), ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p)
_landlock = syscall(444, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32)


def _enter(kinds: int, *, privileged: bool) -> None:
    """Leave namespaces; with a user namespace for those who need one."""
    if not privileged:
        uid, gid = os.geteuid(), os.getegid()
        namespaces.unshare(c.CLONE_NEWUSER)
        _write("setgroups", "deny")
        _write("gid_map", f"0 {gid} 1")
        _write("uid_map", f"0 {uid} 1")
    namespaces.unshare(kinds)


def _write(name: str, text: str) -> None:
    file = call("open", os.open, f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
    call("write", os.write, file, text.encode())
    os.close(file)


def user_namespace(_privileged: bool) -> None:
    """A user namespace, and then rights in it: AppArmor may give it without any."""
    namespaces.unshare(c.CLONE_NEWUSER)
    namespaces.unshare(c.CLONE_NEWNS)


def proc_mount(privileged: bool) -> None:
    """A proc file system for a pid namespace of one's own."""
    _enter(c.CLONE_NEWPID | c.CLONE_NEWNS, privileged=privileged)
    answer = in_child(lambda _: os.close(mounts.new_filesystem(b"proc", ())), False)
    if answer[0]:
        fail(str(answer[1]), int(answer[0]))


def sysfs_mount(privileged: bool) -> None:
    """A sysfs for a network namespace of one's own."""
    _enter(c.CLONE_NEWNET | c.CLONE_NEWNS, privileged=privileged)
    os.close(mounts.new_filesystem(b"sysfs", ()))


def overlay(privileged: bool) -> None:
    """An overlay whose upper layer is a tmpfs."""
    _enter(c.CLONE_NEWNS, privileged=privileged)
    mounts.set_root_propagation(c.MS_PRIVATE)
    scratch = mounts.new_filesystem(b"tmpfs", ())
    place = os.open("/tmp", c.O_PATH)
    mounts.attach(scratch, place)
    os.close(place)
    for name in ("lower", "upper", "work"):
        os.mkdir(name, dir_fd=scratch)
    base = b"/proc/self/fd/%d/" % scratch
    options: list[tuple[bytes, bytes | None]] = [
        (b"lowerdir", base + b"lower"),
        (b"upperdir", base + b"upper"),
        (b"workdir", base + b"work"),
    ]
    if not privileged:
        options.append((b"userxattr", None))
    os.close(mounts.new_filesystem(b"overlay", options))


def seccomp(_privileged: bool) -> None:
    """System call filters."""
    _action(_SECCOMP_RET_ERRNO)


def seccomp_notify(_privileged: bool) -> None:
    """Filters whose calls a program answers."""
    _action(_SECCOMP_RET_USER_NOTIF)


def _action(number: int) -> None:
    value = ctypes.c_uint32(number)
    call("seccomp", _seccomp, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.addressof(value))


def landlock(_privileged: bool) -> int:
    """The version of Landlock's interface."""
    version: int = call("landlock_create_ruleset", _landlock, None, 0, 1)
    return version


def clone3(_privileged: bool) -> None:
    """clone3(2), which some filters hide."""
    namespaces.probe_clone3()
    if namespaces.clone3_refused:
        fail("clone3", errno.ENOSYS)


def memfd_exec(_privileged: bool) -> None:
    """A memfd that may be executed."""
    try:
        os.close(os.memfd_create("probe", os.MFD_CLOEXEC | c.MFD_EXEC))
    except OSError as error:
        if error.errno != errno.EINVAL:  # MFD_EXEC is of Linux 6.3
            raise


PROBES: dict[str, Callable[[bool], int | None]] = {
    function.__name__: function
    for function in (
        user_namespace,
        proc_mount,
        sysfs_mount,
        overlay,
        seccomp,
        seccomp_notify,
        landlock,
        clone3,
        memfd_exec,
    )
}


def in_child(attempt: Callable[[bool], int | None], privileged: bool) -> Answer:
    """Make one attempt in a forked child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer: Answer = [errno.EIO, "probe", "it ended early"]
        try:
            signal.alarm(_TIME_LIMIT_S)
            answer = [0, "", str(attempt(privileged) or "")]
        except OSError as error:
            notes = " ".join(getattr(error, "__notes__", ()))
            answer = [error.errno or errno.EIO, notes, error.strerror or ""]
        finally:
            os.write(writer, json.dumps(answer).encode())
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        words = pipe.read()
    os.waitpid(pid, 0)
    found: Answer = json.loads(words) if words else [errno.ETIME, "probe", "no answer"]
    return found


def main() -> None:
    """Write all answers to stdout: {probe: [errno, call, the kernel's words]}."""
    privileged = sys.argv[1] == "privileged"
    found = {name: in_child(probe, privileged) for name, probe in PROBES.items()}
    for name, kind in c.NAMESPACES.items():
        found[f"{name}_namespace"] = in_child(_entering(kind), privileged)
    os.write(1, json.dumps(found).encode())


def _entering(kind: int) -> Callable[[bool], None]:
    def attempt(privileged: bool) -> None:
        _enter(kind, privileged=privileged)

    return attempt
