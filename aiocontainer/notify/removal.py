"""Learning that a v2 cgroup was removed.

No file of a v2 cgroup tells that (measured on 6.18: rmdir wakes neither EPOLLPRI on a
held ``cgroup.events`` nor IN_DELETE_SELF while a file is held). What does tell is
inotify on the directory above. One inotify descriptor serves all watches of an event
loop, so a watch costs none.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable
from typing import Final

import anyio.lowlevel

from .._sys.inotify import (
    IN_DELETE,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    inotify_add_watch,
    inotify_init,
    inotify_read,
    inotify_rm_watch,
)
from .kernfs import Poller, current_poller

__all__ = ("RemovalWatch",)


class _Above:
    """A directory above watched ones, and who watches for which name in it."""

    __slots__ = ("watches", "wd")

    def __init__(self) -> None:
        self.wd = -1
        self.watches: dict[str, list[RemovalWatch]] = {}


class _Removals:
    """The watches of one event loop."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self._fd = -1
        self._above: dict[str, _Above] = {}
        self._by_wd: dict[int, _Above] = {}

    def add(self, watch: RemovalWatch) -> None:
        if self._fd < 0:
            self._fd = inotify_init()
            self.poller.add(self._fd, select.EPOLLIN, self._read, forgets=False)
        try:
            # The same number as before, unless the directory was made anew meanwhile.
            wd = inotify_add_watch(self._fd, watch.above, IN_DELETE | IN_ONLYDIR)
        except OSError:
            self._close_if_unused()
            raise
        above = self._above.setdefault(watch.above, _Above())
        self._by_wd.pop(above.wd, None)
        above.wd = wd
        self._by_wd[wd] = above
        above.watches.setdefault(watch.name, []).append(watch)

    def remove(self, watch: RemovalWatch) -> None:
        above = self._above[watch.above]
        same_name = above.watches[watch.name]
        same_name.remove(watch)
        if not same_name:
            del above.watches[watch.name]
        if not above.watches:
            del self._above[watch.above]
            self._by_wd.pop(above.wd, None)
            # A forked child shares the inotify instance; closing its copy is harmless.
            if self.poller.pid == os.getpid():
                with contextlib.suppress(OSError):  # the kernel dropped it by itself
                    inotify_rm_watch(self._fd, above.wd)
        self._close_if_unused()

    def _read(self) -> None:
        for event in inotify_read(self._fd):
            above = self._by_wd.get(event.wd)
            if event.mask & IN_Q_OVERFLOW:
                everything = list(self._above.values())
                called = [w for a in everything for n in a.watches.values() for w in n]
            else:
                called = list(above.watches.get(event.name, ())) if above else []
            for watch in called:
                watch.removed()

    def _close_if_unused(self) -> None:
        if not self._above and self._fd >= 0:
            fd, self._fd = self._fd, -1
            self.poller.remove(fd)
            os.close(fd)


_current: Final = anyio.lowlevel.RunVar[_Removals]("aiocontainer.notify.removals")


def _current_removals() -> _Removals:
    removals = _current.get(None)
    if removals is None or removals.poller is not current_poller():
        removals = _Removals(current_poller())
        _current.set(removals)
    return removals


class RemovalWatch:
    """Has ``removed`` called when a directory was removed, or perhaps was.

    Does without if the directory above can't be watched: it may not be ours.

    Args:
        directory: the cgroup's directory.
        removed: called from some waiting task; must neither wait nor raise.
    """

    __slots__ = ("_removals", "above", "name", "removed")

    def __init__(self, directory: str, removed: Callable[[], None]) -> None:
        self.above, self.name = os.path.split(directory)
        self.removed = removed
        self._removals: _Removals | None = _current_removals()
        try:
            self._removals.add(self)
        except OSError:
            self._removals = None

    def close(self) -> None:
        """Stop watching. Does nothing the second time."""
        removals, self._removals = self._removals, None
        if removals is not None:
            removals.remove(self)
