"""File systems that tests mount for themselves."""

import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiocontainer._sys import libc

_mount = libc.function("mount", *[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = libc.function("umount2", ctypes.c_char_p, ctypes.c_int)
MNT_DETACH = 2


@contextmanager
def tmpfs(options: bytes) -> Iterator[Path]:
    """A tmpfs with these options (``b"size=1m,nr_inodes=10"``), for a block."""
    folder = tempfile.mkdtemp(prefix="tmpfs-")
    target = os.fsencode(folder)
    libc.call("mount", _mount, b"tmpfs", target, b"tmpfs", 0, options)
    try:
        os.chmod(folder, 0o755)
        yield Path(folder)
    finally:
        libc.call("umount2", _umount2, target, MNT_DETACH)
        os.rmdir(folder)
