"""What belongs to one later process of a container; and how starts and ends fail."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ._sys import pidfd as sys_pidfd
from .cgroups import Cgroup, Entry
from .errors import CgroupError, SetupError
from .proc.handshake import Child
from .proc.launch import usage_of
from .proc.process import Process
from .proc.result import Usage

if TYPE_CHECKING:
    from .processes import Processes

_DYING_S: Final = 2.0
"""How long the descendants of a killed run are waited for."""


class Run:
    """What belongs to one later process."""

    def __init__(self, owner: Processes, child: Child, cgroup: Cgroup | None) -> None:
        self._owner = owner
        self._child = child
        self._cgroup = cgroup
        self.process: Process | None = None

    def kill(self) -> None:
        """SIGKILL for it and its descendants; without a cgroup of its own, for its
        process group."""
        if self._cgroup is not None:
            with ending():
                self._cgroup.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    async def clean_up(self) -> None:
        """Its cgroup goes once all that was killed with it is dead; what takes longer
        is tried again with each later end."""
        if self._cgroup is not None:
            with contextlib.suppress(CgroupError):
                await self._cgroup.remove(timeout_s=_DYING_S)
            self._owner.place.remove_left()

    def finish(self, ended: sys_pidfd.Exit, wall_s: float) -> tuple[Usage, int]:
        """Its last figures; its cgroup goes, unless some of it live on."""
        watching = self._owner.watching
        watching.ending(self._child.pidfd)
        usage = usage_of(ended, wall_s, self._cgroup)
        if self.process is not None:
            self._owner.later.discard(self.process)
        watching.ended(self._child.pid, ended.status, usage, init=False)
        kills = usage.oom_kills or 0
        if self._cgroup is not None:
            self._owner.kills_of_runs += kills
            self._owner.place.left_over(self._cgroup)
        return usage, kills


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Make a `SetupError` of what the kernel refuses to this program itself: no
    descriptors are left, or no memory."""
    try:
        yield
    except OSError as error:
        raise SetupError("start a process", error.strerror or str(error)) from error


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Make a `CgroupError` of what the kernel refuses while processes are ended."""
    try:
        yield
    except OSError as error:
        raise CgroupError("processes", f"can't be ended: {error.strerror}") from error


async def kill_and_remove(cgroup: Cgroup) -> None:
    """End all in a cgroup, and remove it.

    Raises:
        CgroupBusy: something in it can't be ended.
    """
    if not cgroup.try_remove():
        cgroup.kill()  # what outlives the first process without a pid namespace
        await cgroup.remove()


def entry_of(cgroup: Cgroup | None) -> Entry:
    """How a process gets into a cgroup, or stays where it is."""
    return Entry() if cgroup is None else cgroup.entry()


def killed_for_memory(cgroup: Cgroup | None) -> bool:
    """Whether the kernel killed something in it for want of memory."""
    with contextlib.suppress(CgroupError):
        return cgroup is not None and cgroup.oom_kills() > 0
    return False
