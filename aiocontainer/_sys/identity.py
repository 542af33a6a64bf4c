"""Who a process is and what it may do: ids, capabilities, prctl options, keyring.

python-prctl sets the options it knows; what it lacks (capset by number, the ambient
set, capabilities newer than the libcap it was built with) is done beside it, here. Its
C module is imported alone: the Python one makes 200 closures that nobody calls here, in
a process whose every page is copied for every container.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from ctypes import c_char_p, c_int, c_ulong

import _prctl

from . import constants as c
from .libc import call, fail, function, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4


_capset = syscall(c.number("capset"), c_char_p, c_char_p)
_cap_header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
_cap_data = struct.Struct("6I").pack  # effective, permitted, inheritable: low, high
_keyctl = syscall(c.number("keyctl"), c_int, c_char_p)
_raw_prctl = function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)


def set_dumpable(dumpable: bool) -> None:
    """prctl(2) ``PR_SET_DUMPABLE``: False keeps others from our memory and
    ``/proc/<pid>``. The kernel sets it anew after every change of ids."""
    call("prctl", _prctl.prctl, _prctl.PR_SET_DUMPABLE, int(dumpable))


def set_no_new_privs() -> None:
    """prctl(2) ``PR_SET_NO_NEW_PRIVS``; there is no way back."""
    call("prctl", _prctl.prctl, _prctl.PR_SET_NO_NEW_PRIVS, 1)


def set_keepcaps(keep: bool) -> None:
    """prctl(2) ``PR_SET_KEEPCAPS``: keep the permitted set through a change of ids."""
    call("prctl", _prctl.prctl, _prctl.PR_SET_KEEPCAPS, int(keep))


def set_name(name: str) -> None:
    """prctl(2) ``PR_SET_NAME``: what ``ps`` shows; at most 15 bytes."""
    call("prctl", _prctl.prctl, _prctl.PR_SET_NAME, name)


def set_arguments(text: bytes) -> None:
    """Replace our command line. Everybody may read /proc/<pid>/cmdline, in a container
    that we join too, and ours has paths of the host."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc(5)
    room = end - start
    ctypes.memmove(start, text[: room - 1].ljust(room, b"\0"), room)


def drop_bounding(dropped: int) -> None:
    """Take the capabilities of the bit mask ``dropped`` from the bounding set.

    Needs ``CAP_SETPCAP``, so it comes before the effective set is given up.
    """
    number = 0
    while dropped:
        if dropped & 1:
            call("prctl", _raw_prctl, _prctl.PR_CAPBSET_DROP, number, 0, 0, 0)
        dropped >>= 1
        number += 1


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three capability sets of this thread, as bit masks (capset(2))."""
    sets = (effective, permitted, inheritable)
    data = _cap_data(*(s & 0xFFFFFFFF for s in sets), *(s >> 32 for s in sets))
    call("capset", _capset, _cap_header, data)


def set_ambient(numbers: Iterable[int]) -> None:
    """Make the ambient set exactly ``numbers`` (capabilities(7), Linux 4.3)."""
    call("prctl", _raw_prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in numbers:
        call("prctl", _raw_prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)


def set_ids(uid: int, gid: int, groups: list[int] | None) -> None:
    """Change groups (None: leave them), then group, then user: real, effective, saved.

    Non-dumpable again at once: the kernel resets it on a change of ids.
    """
    if groups is not None:
        call("setgroups", os.setgroups, groups)
    call("setresgid", os.setresgid, gid, gid, gid)
    call("setresuid", os.setresuid, uid, uid, uid)
    set_dumpable(False)


def set_limit(kind: int, soft: int, hard: int) -> None:
    """setrlimit(2), by ``resource``, which makes a ``ValueError`` of EPERM."""
    try:
        call("setrlimit", resource.setrlimit, kind, (soft, hard))
    except ValueError:
        fail("setrlimit", errno.EPERM)


def new_session_keyring() -> None:
    """Leave the session keyring for a new one without a name (keyctl(2)).

    With a name, one that somebody else had made and opened to all would be joined.
    """
    call("keyctl", _keyctl, c.KEYCTL_JOIN_SESSION_KEYRING, None)
