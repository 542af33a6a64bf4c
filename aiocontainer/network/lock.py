"""One program at a time: a lock on what the programs of one network namespace share."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from .._sys import inotify
from .._sys.libc import call
from ..errors import NetworkError
from ..state.folder import default_root
from .parts import Helper

_SO_NETNS_COOKIE: Final = 71
_PATIENCE_S: Final = 20.0
_IN_CLOSE: Final = 0x18  # IN_CLOSE_WRITE | IN_CLOSE_NOWRITE


def lock_path() -> str:
    """The lock file of the caller's network namespace: in a directory of this user
    beside the state root, by a number that the namespace alone has until the next boot.

    Raises:
        StateError: this user has no directory for such files.
    """
    return f"{default_root()}-network/{namespace_number()}.lock"


def namespace_number() -> int:
    """Tells the caller's network namespace from all others that there ever were."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            cookie = sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError:  # before Linux 5.14; comes again when the namespace is gone
            return os.stat("/proc/self/ns/net").st_ino
    (number,) = struct.unpack("=Q", cookie)
    return int(number)


@asynccontextmanager
async def locked(helper: Helper) -> AsyncIterator[str]:
    """Hold the lock, while some messages go to the kernel and come back; its path.

    The file is there only as long as somebody holds it or waits; the spawner removes
    that of a program that is killed. Cancelled, it isn't held.

    Raises:
        NetworkError: another program keeps it.
        OSError: it can't be made.
        SpawnerError: there is no spawner to be had.
    """
    path = lock_path()
    _make_directory(os.path.dirname(path))
    key = helper.new_key()
    try:
        await helper.bequeath(key, (("lock", path),), ())
        descriptor = -1
        with anyio.move_on_after(_PATIENCE_S):
            descriptor = await _lock(path)
        if descriptor < 0:
            raise NetworkError("", "lock", f"another program keeps {path}")
        try:
            yield path
        finally:
            # While it is held: who waits for this file finds it gone, makes another.
            try:
                os.unlink(path)
            finally:
                os.close(descriptor)
    finally:
        helper.forget(key)


def _make_directory(path: str) -> None:
    try:
        call("mkdir", os.mkdir, path, 0o700, path=path)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            reason = f"{path} is no directory of this user's"
            raise NetworkError("", "lock", reason) from None


async def _lock(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        descriptor: int = call("open", os.open, path, flags, 0o600, path=path)
        try:
            if not _try(descriptor):
                await _wait(descriptor)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has removed it


def _try(descriptor: int) -> bool:
    try:
        call("flock", fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _wait(descriptor: int) -> None:
    """Lock the file as soon as another closes it, which its end does, too."""
    watch = inotify.inotify_init()
    try:
        inotify.inotify_add_watch(watch, f"/proc/self/fd/{descriptor}", _IN_CLOSE)
        while not _try(descriptor):
            await anyio.wait_readable(watch)
            inotify.inotify_read(watch)
    finally:
        os.close(watch)
