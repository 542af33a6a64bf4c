"""A process that another program started: known by its pidfd, maybe not our child."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .._sys import pidfd as sys_pidfd
from .._sys.procstat import read_stat
from .handshake import Child
from .process import Process
from .result import Usage
from .stdio import Stdio

_TICKS_PER_S: Final = 100  # USER_HZ: the unit of /proc on every architecture of ours


class AdoptedProcess(Process):
    """The first process of a loaded container.

    It has no streams here. Its exit status is known where it is our child, as long as
    its parent hasn't waited for it, and from Linux 6.15 on always; else it is said to
    be unknown (`ExitReason.UNKNOWN`).
    """

    def __init__(
        self,
        pid: int,
        pidfd: int,
        args: tuple[str, ...],
        kill_tree: Callable[[], None],
        finish: Callable[[sys_pidfd.Exit, float], tuple[Usage, int]],
        maker: Process | None = None,
    ) -> None:
        """For `KeptContainer` alone; see `Process`. ``pidfd`` is taken over.

        Args:
            maker: the same process, where this very program has started it.
        """
        self._maker = maker
        started = time.monotonic() - _age_s(pid)
        child = Child(pid, pidfd, None)
        super().__init__(args, child, Stdio(), None, started, kill_tree, finish)

    def _reap(self) -> sys_pidfd.Exit | None:
        if self._maker is not None and self._maker.ended:
            return sys_pidfd.Exit(self._maker.returncode, 0.0, 0.0, 0)
        return sys_pidfd.end_of(self._pidfd, self._pid)


def _age_s(pid: int) -> float:
    stat = read_stat(pid)
    if stat is None:
        return 0.0
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0.0, now_s - stat.start_ticks / _TICKS_PER_S)
