"""What the kernel tells of any process, not only of children: proc_pid_stat(5)."""

from __future__ import annotations

import os

_PF_EXITING = 0x4  # include/linux/sched.h; in /proc/<pid>/stat as "flags"


class Stat:
    """The fields of ``/proc/<pid>/stat`` that identify a process and tell its end."""

    __slots__ = ("exit_code", "flags", "start_ticks", "state")

    def __init__(self, text: bytes) -> None:
        """Read the line of one process."""
        # The name may have spaces and brackets in it: only the last bracket ends it.
        fields = text.rpartition(b")")[2].split()
        self.state = fields[0].decode()
        self.flags = int(fields[6])
        self.start_ticks = int(fields[19])
        """When it was started, in clock ticks since boot."""
        self.exit_code = int(fields[49]) if len(fields) > 49 else 0
        """As wait(2) has it; 0 until it has ended, and for who may not see it."""

    @property
    def is_over(self) -> bool:
        """It has ended, or is on its way out: its namespaces are gone or going."""
        return self.state in "ZXx" or bool(self.flags & _PF_EXITING)

    @property
    def is_zombie(self) -> bool:
        """It has ended, and nobody has waited for it yet."""
        return self.state == "Z"


def read_stat(pid: int) -> Stat | None:
    """The present state of a process; ``None`` when there is none of that number."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return Stat(os.read(descriptor, 4096))
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)


def pid_namespace() -> int:
    """Inode of the pid namespace that our pids are numbers in."""
    return os.stat("/proc/self/ns/pid").st_ino
