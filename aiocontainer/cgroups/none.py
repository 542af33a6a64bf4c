"""No cgroup at all: for machines that have none, and for those who want none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..errors import ControllerMissing, UnsupportedFeature
from .base import Entry, check_name
from .meter import Folder, Meter, Part, Reading, Texts
from .stats import CgroupStats, Usage

if TYPE_CHECKING:
    from ..config import Resources

__all__ = ("NoCgroup",)


class NoCgroup:
    """See `aiocontainer.cgroups.base.Cgroup`. Nothing is in it, counted or limited."""

    version: Final = 0
    directories: tuple[str, ...] = ()
    paths: Mapping[str, str] = {}
    made_parents: Sequence[str] = ()
    unified: str | None = None
    frozen: bool = False

    def __init__(self, name: str, required: Collection[str] = ()) -> None:
        """Touch nothing.

        Args:
            name: what it would be called.
            required: controllers that must be had, which there are none of.
        """
        self.name: Final = name
        self._required = sorted(required)

    def create(self) -> None:
        """Make nothing.

        Raises:
            ControllerMissing: a controller must be had.
        """
        for controller in self._required:
            raise ControllerMissing("cgroups are off", controller)

    async def acreate(self, resources: Resources | None = None) -> None:
        """As `create`, which doesn't wait."""
        self.create()

    def apply(self, resources: Resources) -> None:
        """Accept resources that limit nothing.

        Raises:
            ControllerMissing: something is to be limited.
        """
        from .v1.controllers import pending_writes  # only then is all of it needed

        pending_writes({}, resources, is_new=True)

    def update(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `apply`."""
        self.apply(resources)

    async def aupdate(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `apply`."""
        self.apply(resources)

    def entry(self) -> Entry:
        """Nothing to join."""
        return Entry()

    def child(self, name: str, *, nested: bool = False) -> NoCgroup:
        """Another one that isn't."""
        return NoCgroup(check_name(name))

    def pids(self, *, recursive: bool = True) -> list[int]:
        """Nobody is in it."""
        return []

    def stats(self) -> CgroupStats:
        """Nothing is counted."""
        return CgroupStats(version=1)

    def read_now(self) -> Reading:
        """Nothing is read."""
        return self.meter().read()

    def meter(
        self, only: Collection[str] | None = None, *, keeps: bool = False
    ) -> Meter:
        """Nothing is read."""
        return Meter(1, self, only=only, keeps=keeps)

    limits_set: Final = 0

    def parts(self) -> Mapping[str, Part]:
        """Nothing."""
        return {}

    def settled(self, texts: Texts) -> Collection[str]:
        """Nothing changes."""
        return ()

    def other_kills(self) -> int:
        """None is known of."""
        return 0

    def follow_up(self, texts: Texts) -> Sequence[Folder]:
        """Nothing."""
        return ()

    def usage(self) -> Usage:
        """Nothing is known."""
        return Usage()

    def oom_kills(self) -> int:
        """None is known of."""
        return 0

    async def freeze(self, *, timeout_s: float = 10.0) -> None:
        """Refuse.

        Raises:
            UnsupportedFeature: always.
        """
        raise UnsupportedFeature("pause", "there is no cgroup to freeze")

    async def thaw(self, *, timeout_s: float = 10.0) -> None:
        """Nothing was frozen."""

    def kill(self) -> None:
        """Kill nobody: whoever started the processes has to."""

    async def wait_empty(self, *, timeout_s: float = 10.0) -> None:
        """Nobody is in it."""

    def try_remove(self) -> bool:
        """Nothing is left."""
        return True

    async def remove(self, *, timeout_s: float = 5.0) -> None:
        """Nothing is there."""
