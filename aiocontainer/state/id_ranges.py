"""Ranges of the host's ids that automatic user namespaces get: no two at once the same.

    <root>-ids/<first uid>-<first gid>     locked while its container is there

A lock goes with its program; what the file says (pid, start time, pid namespace of the
first process) holds for containers that live on without one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterable
from typing import Final, Self

from ..errors import StateError
from .folder import default_root
from .identity import Identity

__all__ = ("IdRange",)

_ATTEMPTS: Final = 16


class IdRange:
    """A range of user ids, and one of group ids, for one container."""

    def __init__(self, uid: int, gid: int, descriptor: int = -1) -> None:
        """Use `lease`; or take over what another program has leased."""
        self.uid: Final = uid
        """The first user id."""
        self.gid: Final = gid
        self._descriptor = descriptor

    @classmethod
    def lease(cls, uids: Iterable[int], gids: Iterable[int]) -> Self:
        """The first free range.

        Args:
            uids: the first user ids of all ranges that may be given out.
            gids: the same of groups.

        Raises:
            StateError: all are taken, or the directory can't be used.
        """
        folder = _folder()
        pairs = list(zip(uids, gids, strict=False))
        for uid, gid in pairs:
            path = f"{folder}/{uid}-{gid}"
            try:
                descriptor = _try_lock(path)
            except OSError as error:
                raise StateError(path, error.strerror or "can't be locked") from error
            if descriptor >= 0:
                return cls(uid, gid, descriptor)
        raise StateError(folder, f"all {len(pairs)} ranges of ids are taken")

    def belong_to(self, pid: int) -> None:
        """It is taken for as long as this process lives, whoever holds the lock."""
        if self._descriptor >= 0:
            words = json.dumps(Identity.of(pid).as_list()).encode()
            os.pwrite(self._descriptor, words, 0)

    def release(self) -> None:
        """Give it back. May be called twice."""
        with contextlib.suppress(OSError):
            os.unlink(f"{_folder()}/{self.uid}-{self.gid}")
        self.let_go()

    def let_go(self) -> None:
        """Close the lock: the container lives on."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # getattr: __init__ may have failed
        if getattr(self, "_descriptor", -1) >= 0:
            self.release()


def _folder() -> str:
    """The directory, made if it is missing.

    Raises:
        StateError: it isn't this user's alone.
    """
    path = f"{default_root()}-ids"
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        status = os.lstat(path)
    except OSError as error:
        raise StateError(path, error.strerror or "can't be made") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StateError(path, "is no directory of this user")
    return path


def _try_lock(path: str) -> int:
    """A descriptor of the locked file, or -1 where it is taken."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for _ in range(_ATTEMPTS):
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_taken(descriptor):
                os.close(descriptor)
                return -1
            if os.fstat(descriptor).st_nlink:
                os.ftruncate(descriptor, 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return -1
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it as we opened it
    return -1


def _is_taken(descriptor: int) -> bool:
    """A container of a program that is gone, or has let it go, still lives."""
    try:
        words = json.loads(os.pread(descriptor, 4096, 0) or b"null")
        pid, start_ticks, namespace = words
        holder = Identity(int(pid), int(start_ticks), int(namespace))
    except (ValueError, TypeError):
        return False
    return holder.is_alive or not holder.is_near  # who can't be seen may live
