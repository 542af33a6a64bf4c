"""Users and groups from the container's own files, by a parser of our own.

``pwd`` and ``grp`` would ask NSS, which loads libraries that the container brought.
"""

from __future__ import annotations

import errno
import os
import stat

from ..._sys import paths
from ..._sys.libc import call, fail

_MAX_BYTES = 1 << 20
_MAX_LINES = 1 << 16
_MAX_ID = 0xFFFFFFFE


def find(
    root: int, user: bytes, additional: tuple[bytes, ...]
) -> tuple[int, int, list[int], bytes]:
    """(uid, gid, supplementary groups, home) of ``user``: "uid", "name", "uid:gid"...

    A number is never looked up as a name. A name has to be in /etc/passwd (a group's in
    /etc/group); a number need not. Without a group, the user's own group and its
    memberships count, as with login.
    """
    name, _, group = user.partition(b":")
    entry = _find_user(root, name)
    if entry is None:
        if not name.isdigit():
            fail("find_user", errno.ENOENT, b"user " + name + b" in /etc/passwd")
        login, uid, gid, home = b"", int(name), 0, b"/"
    else:
        login, uid, gid, home = entry
    memberships: list[int] = []
    if group or additional or login:
        groups = _read(root, b"/etc/group")
        if group:
            gid = _group_id(groups, group)
        elif login:
            memberships = [
                int(fields[2])
                for fields in _entries(groups, login, 4)
                if login in fields[3].split(b",")
            ]
        memberships += [_group_id(groups, wanted) for wanted in additional]
    return uid, gid, sorted(set(memberships)), home


def _find_user(root: int, name: bytes) -> tuple[bytes, int, int, bytes] | None:
    wanted_uid = int(name) if name.isdigit() else None
    having = name if wanted_uid is None else b":%d:" % wanted_uid
    for fields in _entries(_read(root, b"/etc/passwd"), having, 4):
        if not _is_id(fields[3]):
            continue
        matches = (
            fields[0] == name if wanted_uid is None else int(fields[2]) == wanted_uid
        )
        if matches:
            home = fields[5] if len(fields) > 5 and fields[5].startswith(b"/") else b"/"
            return fields[0], int(fields[2]), int(fields[3]), home
    return None


def _group_id(groups: bytes, wanted: bytes) -> int:
    if wanted.isdigit():
        return int(wanted)
    for fields in _entries(groups, wanted, 3):
        if fields[0] == wanted:
            return int(fields[2])
    return fail("find_group", errno.ENOENT, b"group " + wanted + b" in /etc/group")


def _read(root: int, path: bytes) -> bytes:
    """A file of users or groups; nothing if there is none.

    The container may have put anything there: a FIFO, a device, an endless file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    file = paths.try_open_in_root(root, path, flags)
    if file < 0:
        if -file in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return b""
        fail("openat2", -file, path)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            fail("open", errno.EINVAL, path)
        if status.st_size > _MAX_BYTES:
            fail("read", errno.EFBIG, path)
        data = call("read", os.read, file, _MAX_BYTES, path=path)
    finally:
        os.close(file)
    if data.count(b"\n") >= _MAX_LINES:
        fail("read", errno.EFBIG, path)  # what is left out might be the answer
    return data  # type: ignore[no-any-return]


def _entries(data: bytes, having: bytes, width: int) -> list[list[bytes]]:
    """Lines of a colon-separated file with ``having`` in them, whose third field is an
    id. The others aren't taken apart: that would be most of what a user costs."""
    if having not in data:
        return []
    lines = [line for line in data.split(b"\n") if having in line and b"\0" not in line]
    entries = [line.split(b":") for line in lines]
    return [fields for fields in entries if len(fields) >= width and _is_id(fields[2])]


def _is_id(text: bytes) -> bool:
    # Digits only, and few: int() refuses more than 4300. All ones means "no change" to
    # setresgid(2), which would leave root's group.
    return text.isdigit() and len(text) <= 10 and int(text) <= _MAX_ID
