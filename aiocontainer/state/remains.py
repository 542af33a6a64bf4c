"""What is left of a container whose program can't see to it: ended and removed."""

from __future__ import annotations

import _signal
import errno
import os

from .record import this_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from .record import Record

_MOST_OPEN: Final = 200
"""Descriptors at a time: of a thousand that a process may have by default."""


class Remains:
    """The processes and cgroups that a record tells of, and that are still the same.

    Nothing here waits: `kill`, then `remove` until nothing is busy.

        remains = Remains(record)
        while not remains.remove():
            remains.kill()
            await anyio.sleep(0.01)       # or time.sleep
    """

    def __init__(self, record: Record) -> None:
        """Look at nothing yet."""
        self._init = record.init
        is_of_today = record.boot_id == this_boot()
        self._directories = record.directories if is_of_today else {}
        if not is_of_today:
            self._init = None

    def members(self) -> list[int]:
        """Ids of all its processes, sorted."""
        found: set[int] = set()
        for directory in self._present():
            for path in _walk(directory):
                found.update(_members(path))
            if found:
                break  # each process is in every hierarchy
        if self._init is not None and self._init.is_alive:
            found.add(self._init.pid)
        return sorted(found)

    def signal(self, number: int) -> None:
        """Send a signal to all its processes, and to no others."""
        if number == _signal.SIGKILL:
            self.kill()
        else:
            _signal_listed(self.members, number)

    def kill(self) -> None:
        """Send SIGKILL to all its processes, and to no others."""
        pidfd = None if self._init is None else self._init.open()
        if pidfd is not None:
            try:
                _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.close(pidfd)
        for directory in self._present():
            _kill_all(directory)

    def _present(self) -> Iterator[str]:
        """Those of its cgroups that are still the same."""
        for directory, inode in self._directories.items():
            # No process of ours was in a cgroup whose inode hadn't been noted yet.
            if inode is not None and _inode(directory) == inode:
                yield directory

    def remove(self) -> bool:
        """Remove what is empty; whether nothing is left, process or cgroup.

        Raises:
            OSError: the kernel refused for another reason than use.
        """
        left = self._init is not None and self._init.is_alive
        for directory, inode in reversed(self._directories.items()):
            if _inode(directory) in (None, 0):
                continue
            if inode is not None and _inode(directory) != inode:
                continue  # somebody else's, who took the name since
            left = not _remove_tree(directory) or left
        return not left


def _inode(directory: str) -> int | None:
    try:
        return os.stat(directory, follow_symlinks=False).st_ino
    except OSError:
        return None


def _kill_all(directory: str) -> None:
    """SIGKILL for a cgroup and all inside it, as a whole where the kernel can (v2)."""
    if _write(f"{directory}/cgroup.kill", b"1"):
        return
    for path in _walk(directory):
        _write(f"{path}/freezer.state", b"THAWED")
        _kill_members(path)


def _kill_members(directory: str) -> None:
    _signal_listed(lambda: _members(directory), _signal.SIGKILL)


def _signal_listed(listing: Callable[[], list[int]], number: int) -> None:
    """Who is listed once more after its pidfd was opened is the one meant."""
    pids = listing()
    for first in range(0, len(pids), _MOST_OPEN):
        _signal_some(pids[first : first + _MOST_OPEN], listing, number)


def _signal_some(
    pids: list[int], listing: Callable[[], list[int]], number: int
) -> None:
    opened = {}
    try:
        for pid in pids:
            try:
                opened[pid] = os.pidfd_open(pid)
            except OSError:
                continue
        listed = set(listing())
        for pid, pidfd in opened.items():
            if pid in listed:
                try:
                    _signal.pidfd_send_signal(pidfd, number)
                except OSError:
                    pass
    finally:
        for pidfd in opened.values():
            os.close(pidfd)


def _members(directory: str) -> list[int]:
    try:
        descriptor = os.open(f"{directory}/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    text = b""
    try:
        while some := os.read(descriptor, 1 << 16):  # the kernel gives a page at a time
            text += some
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return [pid for pid in map(int, text.split()) if pid]


def _write(path: str, data: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, data)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _walk(directory: str) -> Iterator[str]:
    """The cgroup and all below it, inner ones first."""
    try:
        with os.scandir(directory) as entries:
            inner = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for path in inner:
        yield from _walk(path)
    yield directory


def _remove_tree(directory: str) -> bool:
    is_gone = True
    for path in _walk(directory):
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOENT, errno.ENOTEMPTY):
                raise
            is_gone = is_gone and error.errno == errno.ENOENT
    return is_gone
