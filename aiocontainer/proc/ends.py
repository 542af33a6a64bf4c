"""Collects the ends of processes that joined a container, while its first one ends.

Pid 1 of a pid namespace ends last: the kernel holds it back until every other process
in it has been *reaped* (zap_pid_ns_processes in kernel/pid_namespace.c). Those
that joined are children of this program. Whoever waits for pid 1 must therefore reap
them too, or both wait for ever.
"""

from __future__ import annotations

import select
from collections.abc import Callable

__all__ = ("Ends",)


class Ends:
    """The pidfds of a first process and of those that joined, as one descriptor.

    An epoll descriptor is readable when one of those in it is.
    """

    __slots__ = ("_epoll", "_look")

    def __init__(self, first: int) -> None:
        """Watch the pidfd of the first process."""
        self._epoll = select.epoll()
        self._look: dict[int, Callable[[], None]] = {}
        self._epoll.register(first, select.EPOLLIN)

    def fileno(self) -> int:
        """What to wait on; readable until all that has ended is `remove`d."""
        return self._epoll.fileno()

    def add(self, pidfd: int, look: Callable[[], None]) -> None:
        """Watch another process; ``look`` reaps it, and calls `remove`."""
        self._epoll.register(pidfd, select.EPOLLIN)
        self._look[pidfd] = look

    def remove(self, pidfd: int) -> None:
        """Watch it no more. Before it is closed: numbers come again."""
        if self._look.pop(pidfd, None) is not None:
            self._epoll.unregister(pidfd)

    def collect(self) -> None:
        """Have everything reaped that has ended, but for the first process."""
        while self._look:
            ended = [pidfd for pidfd, _ in self._epoll.poll(0) if pidfd in self._look]
            for pidfd in ended:
                self._look[pidfd]()
            if not ended:
                return

    def close(self) -> None:
        """The first process has ended."""
        self._epoll.close()
        self._look.clear()
