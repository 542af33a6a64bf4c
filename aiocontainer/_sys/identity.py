"""Who a process is and what it may do: ids, capabilities, prctl options, keyring.

python-prctl sets the options it knows; what it lacks (capset by number, the ambient
set, capabilities newer than the libcap it was built with) is done beside it, here. Its
C module is imported alone: the Python one makes 200 closures that nobody calls here, in
a process whose every page is copied for every container.
"""

from __future__ import annotations

import os
from ctypes import Structure, byref, c_char_p, c_int, c_uint32, c_ulong, c_void_p

import _prctl

from . import constants as c
from .libc import call, function, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4


class _CapHeader(Structure):
    _fields_ = (("version", c_uint32), ("pid", c_int))


class _CapData(Structure):
    _fields_ = (
        ("effective", c_uint32),
        ("permitted", c_uint32),
        ("inheritable", c_uint32),
    )


_capset = syscall(c.number("capset"), c_void_p, c_void_p)
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


def last_capability() -> int:
    """Number of the newest capability this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        return int(file.read())


def drop_bounding(keep: int, last: int) -> None:
    """Take every capability that is not in the bit mask ``keep`` from the bounding set.

    Needs ``CAP_SETPCAP``, so it comes before the effective set is given up.
    """
    for number in range(last + 1):
        if not keep >> number & 1:
            call("prctl", _raw_prctl, _prctl.PR_CAPBSET_DROP, number, 0, 0, 0)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three capability sets of this thread, as bit masks (capset(2))."""
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    low = 0xFFFFFFFF
    data = (_CapData * 2)(
        _CapData(effective & low, permitted & low, inheritable & low),
        _CapData(effective >> 32, permitted >> 32, inheritable >> 32),
    )
    call("capset", _capset, byref(header), byref(data))


def set_ambient(numbers: Iterable[int]) -> None:
    """Make the ambient set exactly ``numbers`` (capabilities(7), Linux 4.3)."""
    call("prctl", _raw_prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in numbers:
        call("prctl", _raw_prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)


def set_ids(uid: int, gid: int, groups: list[int]) -> None:
    """Change groups, then group, then user: real, effective and saved.

    Non-dumpable again at once: the kernel resets it on a change of ids.
    """
    call("setgroups", os.setgroups, groups)
    call("setresgid", os.setresgid, gid, gid, gid)
    call("setresuid", os.setresuid, uid, uid, uid)
    set_dumpable(False)


def join_session_keyring(name: bytes) -> None:
    """Leave the session keyring for a new one (keyctl(2))."""
    call("keyctl", _keyctl, c.KEYCTL_JOIN_SESSION_KEYRING, name)
