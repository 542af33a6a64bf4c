"""Landlock: rules that a process puts on itself (landlock(7)).

Names and numbers are those of ``include/uapi/linux/landlock.h``.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_void_p

from .libc import attempt, call, syscall

_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1
_RULE_NET_PORT = 2

# struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped.
_attr = struct.Struct("=QQQ").pack
_path_beneath = struct.Struct("=Qi").pack  # allowed_access, parent_fd; packed
_net_port = struct.Struct("=QQ").pack  # allowed_access, port

_create_ruleset = syscall(444, c_char_p, c_size_t, c_uint)
_add_rule = syscall(445, c_int, c_int, c_char_p, c_uint)
_restrict_self = syscall(446, c_int, c_uint)
_version = syscall(444, c_void_p, c_size_t, c_uint)

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15
BIND_TCP = 1 << 0
CONNECT_TCP = 1 << 1
SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
SCOPE_SIGNAL = 1 << 1

_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""Rights that a rule for what isn't a directory may have."""

_SIZES = ((6, 24), (4, 16), (1, 8))
"""From which version on the attribute has which size."""


def version() -> int:
    """Version of Landlock in this kernel, 0 where it isn't there or was not enabled."""
    found = attempt("landlock_create_ruleset", _version, None, 0, _CREATE_VERSION)
    return max(found, 0)


def create_ruleset(files: int, network: int, scoped: int) -> int:
    """A descriptor of a set of rules, which denies these rights but for what is added.

    Parts that this kernel doesn't know have to be 0.
    """
    present = version()
    size = next((size for since, size in _SIZES if present >= since), 8)
    attr = _attr(files, network, scoped)[:size]
    made: int = call("landlock_create_ruleset", _create_ruleset, attr, size, 0)
    return made


def allow_beneath(ruleset: int, descriptor: int, access: int) -> None:
    """Allow ``access`` to a file, or to a directory and all below it."""
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        access &= _OF_FILES
    rule = _path_beneath(access, descriptor)
    answer = attempt(
        "landlock_add_rule", _add_rule, ruleset, _RULE_PATH_BENEATH, rule, 0
    )
    # EBADFD: files of pipefs and the like, which no rule is needed for.
    if answer < 0 and -answer != errno.EBADFD:
        raise OSError(-answer, os.strerror(-answer))


def allow_port(ruleset: int, port: int, access: int) -> None:
    """Allow a TCP port to be bound or connected to."""
    rule = _net_port(access, port)
    call("landlock_add_rule", _add_rule, ruleset, _RULE_NET_PORT, rule, 0)


def restrict_self(ruleset: int) -> None:
    """Put the rules in force for this thread and all it starts, for ever.

    Needs no_new_privs or ``CAP_SYS_ADMIN``.
    """
    call("landlock_restrict_self", _restrict_self, ruleset, 0)
