"""What is known of a container's processes, for those who look at it while it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from .cgroups import Cgroup
from .proc.process import Process
from .proc.result import Usage

if TYPE_CHECKING:
    from .event_streams import Streams
    from .notify import EventHub


class Watching:
    """Tells the streams of one container. Costs nothing while there are none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.looks: dict[int, Callable[[], None]] = {}
        """Of each process that runs: its pidfd, and what collects its end."""
        self.first: Process | None = None
        """The container's own."""
        self.over = False
        """The container is."""

    @cached_property
    def streams(self) -> Streams:
        """Where to look. What that takes is loaded when it is wanted."""
        from .event_streams import Streams

        return Streams(self._name, self)

    @property
    def _streams(self) -> Streams | None:
        found: Streams | None = self.__dict__.get("streams")
        return found

    @property
    def _hub(self) -> EventHub | None:
        streams = self._streams
        return None if streams is None else streams.hub

    def started(self, process: Process) -> None:
        """A process has been started; the first of them is the container's own."""
        self.first = self.first or process
        if (streams := self._streams) is not None:
            streams.exits.add(process.pidfd, process.look)
        else:
            self.looks[process.pidfd] = process.look

    def ending(self, pidfd: int) -> None:
        """A process has ended, and its figures can still be read: kills come first."""
        if (streams := self._streams) is None:
            self.looks.pop(pidfd, None)
            return
        streams.exits.remove(pidfd)
        if streams.hub is not None:
            streams.hub.check()

    def froze(self, cgroup: Cgroup, *, frozen: bool) -> None:
        """It was paused or resumed from here: only cgroup2 tells of that by itself."""
        if (hub := self._hub) is not None and cgroup.unified is None:
            from .notify import Paused, Resumed

            record = Paused if frozen else Resumed
            hub.publish(record(cgroup.paths.get("freezer", cgroup.name)))

    def ended(self, pid: int, status: int | None, usage: Usage, *, init: bool) -> None:
        """A process has ended; with the first one, all is over."""
        if (hub := self._hub) is not None:
            from .notify import Exit

            kills = usage.oom_kills or 0
            hub.publish(Exit(pid, status, kills, init, usage))
        if init:
            self.end()

    def end(self) -> None:
        """The container is over: last samples, then all streams end."""
        if self.over:
            return
        self.over = True
        if (streams := self._streams) is not None:
            streams.end()
