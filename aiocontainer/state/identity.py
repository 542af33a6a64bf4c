"""A process that is known by more than its number, which may be another's by now."""

from __future__ import annotations

import os

from .._sys.procstat import Stat, pid_namespace, read_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Identity:
    """A process: pid, start time, and the pid namespace that the pid is a number in."""

    __slots__ = ("pid", "pid_namespace", "start_ticks")

    def __init__(self, pid: int, start_ticks: int, pid_namespace: int) -> None:
        """Take the three as they were found.

        Args:
            pid: its number.
            start_ticks: when it was started, in clock ticks since boot.
            pid_namespace: inode of the namespace of whoever found it.
        """
        self.pid = pid
        self.start_ticks = start_ticks
        self.pid_namespace = pid_namespace

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.as_list() == other.as_list()

    def __hash__(self) -> int:
        return hash((self.pid, self.start_ticks, self.pid_namespace))

    def __repr__(self) -> str:
        return f"Identity{(self.pid, self.start_ticks, self.pid_namespace)}"

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this number now.

        Raises:
            ProcessLookupError: there is none.
        """
        stat = read_stat(pid)
        if stat is None:
            raise ProcessLookupError(pid, "no such process")
        return cls(pid, stat.start_ticks, pid_namespace())

    @classmethod
    def own(cls) -> Self:
        """This program."""
        return cls.of(os.getpid())

    @property
    def is_near(self) -> bool:
        """Our pids are numbers in the same namespace, so it can be looked for."""
        return self.pid_namespace == pid_namespace()

    def stat(self) -> Stat | None:
        """What the kernel tells of it; ``None`` when it is gone, or can't be seen."""
        if not self.is_near:
            return None
        stat = read_stat(self.pid)
        return (
            stat if stat is not None and stat.start_ticks == self.start_ticks else None
        )

    @property
    def is_alive(self) -> bool:
        """It runs. One that is on its way out, or waits to be reaped, does not."""
        stat = self.stat()
        return stat is not None and not stat.is_over

    def open(self) -> int | None:
        """A pidfd of it, the caller's to close; ``None`` when it is gone.

        Looked at once more after the pidfd was opened: had the number passed on before
        that, it would have another start time now.
        """
        if self.stat() is None:
            return None
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.stat() is not None:
            return pidfd
        os.close(pidfd)
        return None

    def as_list(self) -> list[int]:
        """For a record: [pid, start time, namespace]."""
        return [self.pid, self.start_ticks, self.pid_namespace]
