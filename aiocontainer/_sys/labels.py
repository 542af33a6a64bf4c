"""SELinux labels of files (``security.selinux``, xattr(7))."""

from __future__ import annotations

import os

from .libc import call

_ATTRIBUTE = "security.selinux"


def set_label(path: bytes, label: bytes) -> None:
    """Give one file a label, never through a symbolic link."""
    value = label + b"\0"
    call(
        "lsetxattr",
        lambda: os.setxattr(path, _ATTRIBUTE, value, follow_symlinks=False),
        path=path,
    )


def set_labels(directory: int, label: bytes) -> None:
    """Give a directory and all below it a label; symbolic links get one, too, and are
    not followed. Mounts in it belong to it.

    Files that come and go meanwhile are nobody's fault.
    """
    value = label + b"\0"
    call("fsetxattr", os.setxattr, directory, _ATTRIBUTE, value)
    for _, names, files, folder in os.fwalk(".", dir_fd=directory):
        here = f"/proc/self/fd/{folder}"
        for name in (*names, *files):
            try:
                set_label(os.fsencode(f"{here}/{name}"), label)
            except FileNotFoundError:
                continue
