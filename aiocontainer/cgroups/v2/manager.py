"""A cgroup in the cgroup2 hierarchy.

The kernel's rule of "no internal processes" (Documentation/admin-guide/cgroup-v2.rst)
lets controllers be enabled for children only where no process is. So a cgroup that may
get children has its own processes in a leaf:

    <parent>/<name>           limits, figures, events, kill, freeze
    <parent>/<name>/main      its own processes
    <parent>/<name>/<child>   those of one child
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ...errors import ConfigError, ControllerMissing
from .. import tree
from ..base import Entry, check_name
from ..meter import Folder, Meter, Part, Reading, Texts
from ..stats import CgroupStats
from ..writes import Undo, perform, perform_or_restore
from . import core, devices, memory
from .controllers import parts, pending_writes, read_usage
from .enabling import controllers_for, enable

if TYPE_CHECKING:
    from ...config import Resources
    from ..stats import Usage

__all__ = ("CONTROLLERS", "WITHOUT_ENABLING", "V2Cgroup")

CONTROLLERS: Final = (
    *("cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"),
)
"""All controllers that have to be enabled; the kernel's others always are."""

WITHOUT_ENABLING: Final = frozenset({"devices", "freezer", "perf_event"})
"""What v2 has in every cgroup, as a program or under another name."""

_LEAF: Final = "main"


class V2Cgroup:
    """See `aiocontainer.cgroups.base.Cgroup`."""

    version: Final = 2

    def __init__(
        self,
        directory: str,
        wanted: Collection[str],
        *,
        leaf: bool = True,
        parents: int = 0,
        required: frozenset[str] = frozenset(),
    ) -> None:
        """Touch nothing yet.

        Args:
            directory: its absolute directory.
            wanted: controllers to enable as far as they can be had.
            leaf: it may get children, so its own processes go into a leaf.
            parents: how many directories above belong to us: those are made where
                they are missing, and in the one above them controllers are enabled.
            required: those of ``wanted`` that must be had.
        """
        self.name: Final = directory.rpartition("/")[2]
        self.directory: Final = directory
        self.unified: str | None = directory
        self._inside = f"{directory}/{_LEAF}" if leaf else directory
        self._leaf = leaf
        self._parents = parents
        self.made_parents: list[str] = []
        self._required = required
        self.limits_set = 0
        self._meter: Meter | None = None
        self._set_controllers(frozenset(wanted) - WITHOUT_ENABLING)

    def _set_controllers(self, names: Collection[str]) -> None:
        self.paths: Mapping[str, str] = dict.fromkeys(sorted(names), self.directory)

    @property
    def directories(self) -> tuple[str, ...]:
        """As `Cgroup.directories`."""
        return (self.directory, self._inside) if self._leaf else (self.directory,)

    # -- making and removing -----------------------------------------------------

    def create(self) -> None:
        """As `Cgroup.create`."""
        made: list[str] = []
        try:
            tree.make(self.directory, parents=self._parents, made=self.made_parents)
            made.append(self.directory)
            with tree.translated(self.directory):
                self._enable()
                if self._leaf:
                    enable(self.directory, self.paths)
            if self._leaf:
                tree.make(self._inside)
        except BaseException as error:
            tree.unmake(reversed(made), error)
            tree.prune(reversed(self.made_parents))
            raise

    async def acreate(self, resources: Resources | None = None) -> None:
        """As `create`, which doesn't wait."""
        self.create()

    def _enable(self) -> None:
        """Have the wanted controllers enabled above, and see which there are now."""
        have = controllers_for(self.directory, tuple(self.paths), self._parents)
        for controller in sorted(self._required - have - WITHOUT_ENABLING):
            raise ControllerMissing(self.directory, controller)
        self._set_controllers(have)

    def try_remove(self) -> bool:
        """As `Cgroup.try_remove`."""
        self._meter = None
        return not tree.remove_all(self.directories[::-1])

    async def remove(self, *, timeout_s: float = 5.0) -> None:
        """As `Cgroup.remove`."""
        await tree.remove_soon(self.directories[::-1], timeout_s)

    def child(self, name: str, *, nested: bool = False) -> V2Cgroup:
        """As `Cgroup.child`.

        Raises:
            ConfigError: this one was made without ``nested`` and can have none.
        """
        if not self._leaf:
            raise ConfigError("cgroup", f"{self.name} was not made to have children")
        if name == _LEAF:
            raise ConfigError("cgroup name", f"{name} is taken")
        directory = f"{self.directory}/{check_name(name)}"
        return V2Cgroup(directory, self.paths, leaf=nested, required=self._required)

    # -- processes ---------------------------------------------------------------

    def entry(self) -> Entry:
        """As `Cgroup.entry`."""
        return Entry(clone_directory=self._inside)

    def pids(self, *, recursive: bool = True) -> list[int]:
        """As `Cgroup.pids`."""
        top = self.directory if recursive else self._inside
        return tree.members(top, recursive=recursive)

    def kill(self) -> None:
        """As `Cgroup.kill`."""
        if not core.kill(self.directory):
            tree.kill_until_none(self.pids)

    async def wait_empty(self, *, timeout_s: float = 10.0) -> None:
        """As `Cgroup.wait_empty`."""
        await tree.wait_empty(self.directory, self.pids, self.directory, timeout_s)

    # -- freezing ----------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """As `Cgroup.frozen`."""
        return core.frozen(self.directory)

    async def freeze(self, *, timeout_s: float = 10.0) -> None:
        """As `Cgroup.freeze`."""
        await core.freeze(self.directory, timeout_s)

    async def thaw(self, *, timeout_s: float = 10.0) -> None:
        """As `Cgroup.thaw`."""
        await core.thaw(self.directory, timeout_s)

    # -- figures -----------------------------------------------------------------

    def stats(self) -> CgroupStats:
        """As `Cgroup.stats`."""
        return CgroupStats.of(self.read_now())

    def read_now(self) -> Reading:
        """As `Cgroup.read_now`."""
        with tree.translated(self.directory):
            if self._meter is None:
                self._meter = self.meter()
            return self._meter.read()

    def meter(
        self, only: Collection[str] | None = None, *, keeps: bool = False
    ) -> Meter:
        """As `Cgroup.meter`."""
        return Meter(2, self, only=only, keeps=keeps)

    def parts(self) -> Mapping[str, Part]:
        """As `Measured.parts`."""
        return parts(self.directory, self.paths)

    def settled(self, texts: Texts) -> Collection[str]:
        """As `Measured.settled`: nothing more."""
        return ()

    def other_kills(self) -> int:
        """As `Measured.other_kills`: v2 counts those below by itself."""
        return 0

    def follow_up(self, texts: Texts) -> Sequence[Folder]:
        """As `Measured.follow_up`: nothing."""
        return ()

    def usage(self) -> Usage:
        """As `Cgroup.usage`."""
        with tree.translated(self.directory):
            return read_usage(self.directory, self.paths)

    def oom_kills(self) -> int:
        """As `Cgroup.oom_kills`; 0 without the memory controller."""
        if "memory" not in self.paths:
            return 0
        with tree.translated(self.directory):
            return memory.oom_kills(self.directory)

    # -- limits ------------------------------------------------------------------

    def apply(self, resources: Resources) -> None:
        """As `Cgroup.apply`."""
        self.limits_set += 1
        perform(pending_writes(self.directory, self.paths, resources))
        if resources.devices:
            self._apply_devices(resources)

    def update(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `Cgroup.update`."""
        self._update_files(resources, may_kill)
        self._update_devices(resources)

    async def aupdate(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `update`, which doesn't wait."""
        self.update(resources, may_kill=may_kill)

    def _update_files(self, resources: Resources, may_kill: bool) -> Undo:
        with tree.translated(self.directory):
            pending = pending_writes(self.directory, self.paths, resources)
            limit = resources.memory.limit_bytes
            careful = not may_kill or resources.memory.check_before_update
            if isinstance(limit, int) and careful:
                memory.make_room(self.directory, limit)
            self.limits_set += 1
            return perform_or_restore(pending)

    def _update_devices(self, resources: Resources) -> None:
        """Last, since there is no way back from it; and only if anything is said."""
        if resources.devices and "devices" in resources.model_fields_set:
            self._apply_devices(resources)

    def _apply_devices(self, resources: Resources) -> None:
        """Put device rules in force; ``paths`` tells whether they are."""
        if devices.apply(self.directory, resources.devices):
            self.paths = {**self.paths, "devices": self.directory}
        elif "devices" in self._required:
            raise ControllerMissing(self.directory, "devices")
