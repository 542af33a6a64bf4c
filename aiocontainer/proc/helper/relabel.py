"""The step that gives a volume's files the label of the container (``z``, ``Z``)."""

from __future__ import annotations

import errno
import os
import stat

from ..._sys import constants as c
from ..._sys.libc import call, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context

_ATTRIBUTE = b"security.selinux"
_DIRECTORY = os.O_RDONLY | c.O_DIRECTORY | c.O_NOFOLLOW | c.O_CLOEXEC
_DEEPEST = 256

# A label on all of these would lock the host itself out.
_NEVER = b"""
/ /bin /boot /dev /etc /home /lib /lib64 /media /opt /proc /root /run /sbin /srv /sys
/tmp /usr /usr/bin /usr/lib /usr/lib64 /usr/local /usr/sbin /usr/share /var /var/lib
/var/log /var/tmp
"""


def relabel(_context: Context, source: bytes, label: bytes) -> None:
    """Label a file or directory of the host, with all below it on its file system."""
    place = call("open", os.open, source, c.O_PATH | c.O_CLOEXEC, path=source)
    facts = os.fstat(place)
    _refuse_the_hosts(facts, source)
    name = b"self/fd/%d" % place
    proc = call("open", os.open, b"/proc", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)
    call("fchdir", os.fchdir, proc)
    _set(name, label, follow=True)
    if stat.S_ISDIR(facts.st_mode):
        directory = call("openat", os.open, name, os.O_RDONLY | c.O_CLOEXEC)
        _below(directory, facts.st_dev, label, 0)
        os.close(directory)
    call("chdir", os.chdir, b"/")
    os.close(proc)
    os.close(place)


def _refuse_the_hosts(facts: os.stat_result, source: bytes) -> None:
    """By what it is and not by its name, which may be another of the same."""
    for path in _NEVER.split():
        try:
            never = os.stat(path)
        except OSError:
            continue
        if (never.st_dev, never.st_ino) == (facts.st_dev, facts.st_ino):
            fail("setxattr", errno.EPERM, source)


def _below(directory: int, device: int, label: bytes, depth: int) -> None:
    """All that is in a directory. Names are used where we stand, since there is no
    system call with a descriptor that leaves links alone (before Linux 6.13)."""
    if depth == _DEEPEST:
        fail("setxattr", errno.ELOOP)
    for name in map(os.fsencode, os.listdir(directory)):
        call("fchdir", os.fchdir, directory)
        try:
            found = os.stat(name, follow_symlinks=False)
            if found.st_dev != device:
                continue
            _set(name, label, follow=False)
            if not stat.S_ISDIR(found.st_mode):
                continue
            inner = call("openat", os.open, name, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue  # it has gone meanwhile, or is another thing
        if os.fstat(inner).st_dev == device:
            _below(inner, device, label, depth + 1)
        os.close(inner)


def _set(name: bytes, label: bytes, *, follow: bool) -> None:
    try:
        if os.getxattr(name, _ATTRIBUTE, follow_symlinks=follow).rstrip(b"\0") == label:
            return
    except OSError:
        pass  # it has none
    call("setxattr", _set_attribute, name, label, follow)


def _set_attribute(name: bytes, label: bytes, follow: bool) -> None:
    # With the zero byte at its end, as the kernel itself writes it.
    os.setxattr(name, _ATTRIBUTE, label + b"\0", follow_symlinks=follow)
