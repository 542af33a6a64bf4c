"""A cgroup in the v1 hierarchies, with its twin in a cgroup2 mount where there is one.

On a hybrid machine the controllers are on v1, and the twin is what the kernel can
freeze and kill as a whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ...errors import CgroupError, ControllerMissing
from .. import tree
from ..base import Entry, check_name
from ..meter import Folder, Meter, Part, Reading, Texts
from ..stats import CgroupStats
from ..v2 import core
from ..v2.enabling import controllers_for
from ..writes import Undo, Write, perform, perform_or_restore
from . import blkio, cpuset, freezer, memory
from .controllers import (
    follow_up,
    parts,
    pending_writes,
    read_usage,
    wanted_of_twin,
)

if TYPE_CHECKING:
    from ...config import Resources
    from ..stats import Usage

__all__ = ("V1Cgroup",)


_COUNTING: Final = frozenset({"memory", "cpuacct", "pids", "blkio"})
"""Controllers whose figures tell of a process by itself."""


class V1Cgroup:
    """See `aiocontainer.cgroups.base.Cgroup`."""

    version: Final = 1

    def __init__(
        self,
        name: str,
        paths: Mapping[str, str],
        unified: str | None,
        *,
        parents: int = 0,
        required: frozenset[str] = frozenset(),
        outer: V1Cgroup | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            name: last component of all the paths.
            paths: controller -> its directory; co-mounted controllers share one.
            unified: directory in the cgroup2 hierarchy.
            parents: how many directories above may be made where they are missing.
            required: controllers that must be had; the others are left out where this
                user may not make them.
            outer: the cgroup that it is a child of.
        """
        self.name: Final = name
        self.paths: Mapping[str, str] = dict(paths)
        self.unified = unified
        self._parents = parents
        self.made_parents: list[str] = []
        self._required = required
        self._outer = outer
        self._past_oom_kills = 0
        self.limits_set = 0
        self._meter: Meter | None = None
        self._shared: tuple[str, ...] = ()  # of outer ones, which our processes join
        self._set_directories()

    def _set_directories(self) -> None:
        # Several controllers may be mounted as one hierarchy: each directory once.
        found = dict.fromkeys(self.paths.values())
        if self.unified is not None:
            found[self.unified] = None
        self._own: tuple[str, ...] = tuple(found)

    @property
    def directories(self) -> tuple[str, ...]:
        """As `Cgroup.directories`."""
        return self._own

    # -- making and removing -----------------------------------------------------

    def create(self) -> None:
        """As `Cgroup.create`."""
        made: list[str] = []
        refused: dict[str, CgroupError] = {}
        try:
            for directory in self._own:
                try:
                    self._make(directory)
                except CgroupError as error:
                    if not tree.is_refusal(error):
                        raise
                    refused[directory] = error
                else:
                    made.append(directory)
            if refused:
                self._do_without(refused)
            if "cpuset" in self.paths:
                with tree.translated(self.name):
                    cpuset.inherit(self.paths["cpuset"])
        except BaseException as error:
            tree.unmake(reversed(made), error)
            tree.prune(reversed(self.made_parents))
            raise

    async def acreate(self, resources: Resources | None = None) -> None:
        """As `create`, which doesn't wait."""
        self.create()

    def _make(self, directory: str) -> None:
        is_cpuset = directory == self.paths.get("cpuset")
        prepare = cpuset.pass_on if is_cpuset else None
        made = self.made_parents
        tree.make(directory, parents=self._parents, prepare=prepare, made=made)

    def _do_without(self, refused: Mapping[str, CgroupError]) -> None:
        """Leave out what this user may not have; a required one is raised."""
        for controller, directory in self.paths.items():
            if directory in refused and controller in self._required:
                missing = ControllerMissing(directory, controller)
                raise missing from refused[directory]
        self.paths = {c: d for c, d in self.paths.items() if d not in refused}
        if self.unified in refused:
            self.unified = None
        self._set_directories()

    def try_remove(self) -> bool:
        """As `Cgroup.try_remove`."""
        self._meter = None
        kills = self._kills_to_hand_on()
        busy = tree.remove_all(self._own[::-1])
        if self.paths.get("memory") not in busy:
            self._hand_on(kills)
        return not busy

    async def remove(self, *, timeout_s: float = 5.0) -> None:
        """As `Cgroup.remove`."""
        if self.try_remove():
            return
        kills = self._kills_to_hand_on()
        await tree.remove_soon(self._own[::-1], timeout_s)
        self._hand_on(kills)

    def _kills_to_hand_on(self) -> int:
        """Those that would be forgotten with the directory that counts them."""
        if self._outer is None:
            return 0
        with contextlib.suppress(CgroupError):
            return self.oom_kills()
        return self._past_oom_kills

    def _hand_on(self, kills: int) -> None:
        """Have the outer cgroup remember, now that the directory is gone."""
        outer, self._outer = self._outer, None
        if outer is not None:
            outer._past_oom_kills += kills

    def child(self, name: str, *, nested: bool = False) -> V1Cgroup:
        """As `Cgroup.child`. Without ``nested`` it is one only in the hierarchies that
        count or kill; in the others its processes are in this one, whose limits hold
        for all: that halves what it costs to make and to remove."""
        end = "/" + check_name(name)
        needed = _COUNTING if self.unified is not None else {*_COUNTING, "freezer"}
        own = {
            directory
            for controller, directory in self.paths.items()
            if nested or controller in needed
        }
        child = V1Cgroup(
            name,
            {c: d + end for c, d in self.paths.items() if d in own},
            None if self.unified is None else self.unified + end,
            required=self._required if nested else frozenset(),
            outer=self,
        )
        others = dict.fromkeys(d for d in self.paths.values() if d not in own)
        child._shared = (*self._shared, *others)
        return child

    # -- processes ---------------------------------------------------------------

    def entry(self) -> Entry:
        """As `Cgroup.entry`."""
        v1 = (d for d in self._own if d != self.unified)
        joined = (*v1, *self._shared)
        return Entry(tuple(d + "/tasks" for d in joined), self.unified)

    def pids(self, *, recursive: bool = True) -> list[int]:
        """As `Cgroup.pids`."""
        directory = self._members_directory()
        return [] if directory is None else tree.members(directory, recursive=recursive)

    def _members_directory(self) -> str | None:
        """The hierarchy that is asked who is inside: one that processes can't leave or
        subdivide by accident, as they can in those of systemd or cpuset."""
        for controller in ("pids", "memory", "freezer", "devices"):
            if controller in self.paths:
                return self.paths[controller]
        return self._own[0] if self._own else None

    def kill(self) -> None:
        """As `Cgroup.kill`."""
        killed = self.unified is not None and core.kill(self.unified)
        if killed:  # one on its way in may not have come to the twin yet
            tree.kill_listed(self.pids)
        directory = self.paths.get("freezer")
        if directory is not None and not (killed and freezer.thawed(directory)):
            freezer.kill(directory)
        elif not killed:
            tree.kill_until_none(self.pids)

    async def wait_empty(self, *, timeout_s: float = 10.0) -> None:
        """As `Cgroup.wait_empty`."""
        await tree.wait_empty(self.name, self.pids, self.unified, timeout_s)

    # -- freezing ----------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """As `Cgroup.frozen`."""
        directory = self.paths.get("freezer")
        return (self.unified is not None and core.frozen(self.unified)) or (
            directory is not None and freezer.frozen(directory)
        )

    async def freeze(self, *, timeout_s: float = 10.0) -> None:
        """As `Cgroup.freeze`; by the cgroup2 twin where there is one."""
        if self.unified is not None and core.can_freeze(self.unified):
            await core.freeze(self.unified, timeout_s)
        elif "freezer" in self.paths:
            await freezer.freeze(self.paths["freezer"], timeout_s)
        else:
            raise ControllerMissing(self.name, "freezer")

    async def thaw(self, *, timeout_s: float = 10.0) -> None:
        """As `Cgroup.thaw`; undoes both ways of freezing."""
        if "freezer" in self.paths:
            freezer.thaw(self.paths["freezer"])
        if self.unified is not None and core.can_freeze(self.unified):
            await core.thaw(self.unified, timeout_s)

    # -- figures -----------------------------------------------------------------

    def stats(self) -> CgroupStats:
        """As `Cgroup.stats`."""
        return CgroupStats.of(self.read_now())

    def read_now(self) -> Reading:
        """As `Cgroup.read_now`."""
        with tree.translated(self.name):
            if self._meter is None:
                self._meter = self.meter()
            return self._meter.read()

    def meter(
        self, only: Collection[str] | None = None, *, keeps: bool = False
    ) -> Meter:
        """As `Cgroup.meter`."""
        return Meter(1, self, only=only, keeps=keeps)

    def parts(self) -> Mapping[str, Part]:
        """As `Measured.parts`."""
        return parts(self.paths, self.unified)

    def settled(self, texts: Texts) -> Collection[str]:
        """As `Measured.settled`."""
        return memory.settled(texts) | blkio.settled(texts)

    def other_kills(self) -> int:
        """As `Measured.other_kills`: those in cgroups inside, past and present."""
        directory = self.paths.get("memory")
        # Two links: no cgroup inside.
        if directory is None or os.stat(directory).st_nlink == 2:
            return self._past_oom_kills
        return self._past_oom_kills + memory.oom_kills_below(directory)

    def follow_up(self, texts: Texts) -> Sequence[Folder]:
        """As `Measured.follow_up`."""
        return follow_up(self.paths, texts)

    def usage(self) -> Usage:
        """As `Cgroup.usage`."""
        with tree.translated(self.name):
            return read_usage(self.paths, self._past_oom_kills)

    def oom_kills(self) -> int:
        """As `Cgroup.oom_kills`; 0 without the memory controller."""
        directory = self.paths.get("memory")
        if directory is None:
            return 0
        with tree.translated(self.name):
            return self._past_oom_kills + memory.oom_kills(directory)

    # -- limits ------------------------------------------------------------------

    def apply(self, resources: Resources) -> None:
        """As `Cgroup.apply`."""
        perform(self._pending(resources, is_new=True))

    def update(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `Cgroup.update`; v1 itself refuses a memory limit that would kill."""
        self._update_files(resources)

    def _update_files(self, resources: Resources) -> Undo:
        with tree.translated(self.name):
            return perform_or_restore(self._pending(resources, is_new=False))

    async def aupdate(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `update`, which doesn't wait."""
        self.update(resources, may_kill=may_kill)

    def _pending(self, resources: Resources, *, is_new: bool) -> dict[str, list[Write]]:
        self.limits_set += 1
        twin = self.unified
        wanted = [] if twin is None else wanted_of_twin(self.paths, resources)
        if twin is not None and wanted:
            have = controllers_for(twin, wanted, self._parents)
            self.paths = {**self.paths, **dict.fromkeys(have, twin)}
        return pending_writes(self.paths, resources, is_new=is_new, unified=twin)
