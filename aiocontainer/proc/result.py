"""How a run ended, and what it used."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass

from ..errors import ProcessFailed


class ExitReason(enum.StrEnum):
    """Why a process ended. Never guessed: the kernel counts kills for memory, and the
    others are what we did ourselves."""

    EXITED = "exited"
    """It ended by itself, with an exit status."""
    SIGNALED = "signaled"
    """A signal ended it, sent by itself, by others, or by `Process.send_signal`."""
    OOM_KILLED = "oom_killed"
    """The kernel killed it, or a part of it that it did not survive, for memory."""
    TIMED_OUT = "timed_out"
    """We killed it: its time was over."""
    OUTPUT_LIMIT = "output_limit"
    """We killed it: it printed too much."""
    CANCELLED = "cancelled"
    """We killed it: the task that waited was cancelled, or its container ended."""
    UNKNOWN = "unknown"
    """Somebody else's ``wait`` took the status, on a kernel that doesn't keep it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants used. ``None``: this machine can't tell."""

    wall_s: float
    """From the request to the end, in seconds."""
    cpu_user_s: float
    """CPU time in user mode, in seconds."""
    cpu_system_s: float
    """CPU time in the kernel, in seconds."""
    memory_peak_bytes: int | None = None
    """Most memory at any time, in bytes: of the cgroup (caches included), or without
    one the largest resident set of a single process."""
    swap_peak_bytes: int | None = None
    """Most swap at any time, in bytes."""
    io_read_bytes: int | None = None
    """Read from block devices."""
    io_write_bytes: int | None = None
    """Written to block devices."""
    throttled_periods: int | None = None
    """Periods in which the CPU quota was used up."""
    throttled_s: float | None = None
    """Time spent waiting for the quota, in seconds."""
    oom_kills: int | None = None
    """Processes that the kernel killed for want of memory."""
    pids_peak: int | None = None
    """Most processes and threads at any time."""

    @property
    def cpu_s(self) -> float:
        """CPU time, user and system together, in seconds."""
        return self.cpu_user_s + self.cpu_system_s


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run."""

    args: tuple[str, ...]
    """What was executed."""
    returncode: int | None
    """Exit status, or the negative number of the signal; ``None`` if unknown."""
    reason: ExitReason
    stdout: bytes
    """What was captured; empty where stdout went elsewhere."""
    stderr: bytes
    usage: Usage
    truncated: bool = False
    """More was printed than was kept."""

    def check(self) -> Result:
        """Return the result itself if the run ended with status 0.

        Raises:
            ProcessFailed: it didn't.
        """
        if self.returncode != 0 or self.reason is not ExitReason.EXITED:
            raise ProcessFailed(self)
        return self

    def describe(self) -> str:
        """One line for people: ``sh: killed by SIGKILL (out of memory)``."""
        name = self.args[0] if self.args else "process"
        words = {
            ExitReason.OOM_KILLED: " (out of memory)",
            ExitReason.TIMED_OUT: " (time limit)",
            ExitReason.OUTPUT_LIMIT: " (output limit)",
            ExitReason.CANCELLED: " (cancelled)",
        }
        if self.returncode is None and self.reason is ExitReason.TIMED_OUT:
            return f"{name}: could not be started (time limit)"
        return f"{name}: {_how(self.returncode)}{words.get(self.reason, '')}"


def _how(returncode: int | None) -> str:
    if returncode is None:
        return "ended, status unknown"
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
