"""Ends of processes as events: for a container's stream that nobody waits beside."""

from __future__ import annotations

import select
from collections.abc import Callable, Hashable
from typing import ClassVar

from .kernfs import Poller, current_poller
from .records import Event, Exit
from .source import Source

__all__ = ("ExitSource",)


class ExitSource(Source):
    """Has the ends of processes noticed, while somebody reads the stream.

    It publishes nothing itself: ``look`` collects the end, and whoever does that knows
    what the process used and publishes the `Exit`. No descriptor of its own.

    Args:
        name: of the container, for the error messages.
        looks: of the processes that run already, kept up to date: by pidfd.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({Exit})

    def __init__(self, name: str, looks: dict[int, Callable[[], None]]) -> None:
        super().__init__(name)
        self._looks = looks
        self._poller: Poller | None = None

    @property
    def key(self) -> Hashable:
        return (ExitSource, self.path)

    def add(self, pidfd: int, look: Callable[[], None]) -> None:
        """Watch another process. ``look`` collects its end, and has `remove` called."""
        self._looks[pidfd] = look
        if self._poller is not None:
            self._poller.add(pidfd, select.EPOLLIN, look, forgets=False)

    def remove(self, pidfd: int) -> None:
        """Watch it no more; before its number is closed."""
        if self._looks.pop(pidfd, None) is not None and self._poller is not None:
            self._poller.remove(pidfd)

    def _watch(self) -> None:
        self._poller = current_poller()
        for pidfd, look in self._looks.items():
            self._poller.add(pidfd, select.EPOLLIN, look, forgets=False)

    def _open(self) -> None:
        return

    def _check(self) -> None:
        # An end is noticed by its pidfd alone: this is called while one is dealt with.
        return

    def _unwatch(self) -> None:
        poller, self._poller = self._poller, None
        if poller is not None:
            for pidfd in self._looks:
                poller.remove(pidfd)
