"""File systems that tests mount for themselves."""

import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiocontainer._sys import libc, mounts
from aiocontainer.config import parse_options

_mount = libc.function("mount", *[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = libc.function("umount2", ctypes.c_char_p, ctypes.c_int)
MNT_DETACH = 2


@contextmanager
def tmpfs(options: bytes) -> Iterator[Path]:
    """A tmpfs with these options (``b"size=1m,nr_inodes=10"``), for a block."""
    folder = Path(tempfile.mkdtemp(prefix="tmpfs-"))
    try:
        with tmpfs_at(folder, options):
            folder.chmod(0o755)
            yield folder
    finally:
        folder.rmdir()


@contextmanager
def tmpfs_at(folder: Path, options: bytes = b"size=1m") -> Iterator[None]:
    """A tmpfs on a directory that is there, for a block."""
    target = os.fsencode(folder)
    libc.call("mount", _mount, b"tmpfs", target, b"tmpfs", 0, options)
    try:
        yield
    finally:
        libc.call("umount2", _umount2, target, MNT_DETACH)


@contextmanager
def bound_on_itself(folder: Path, word: str) -> Iterator[None]:
    """Mount a directory of the host on itself, with one attribute."""
    place = os.open(folder, os.O_PATH)
    tree = mounts.clone_tree(place)
    try:
        wanted = parse_options([word])
        mounts.set_attributes(tree, wanted.attr_set, wanted.attr_clear)
        mounts.attach(tree, place)
    finally:
        os.close(tree)
        os.close(place)
    try:
        yield
    finally:
        mounts.unmount_detach(os.fsencode(folder))
