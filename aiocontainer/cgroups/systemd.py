"""Cgroups in a scope that systemd is asked for.

    <slice>/aiocontainer-<name>.scope      systemd's; it may set anything here
    <scope>/aside                          a process that keeps the scope alive
    <scope>/<name>                         ours: limits, figures, events
    <scope>/<name>/main, <child>           processes (v2)

On v1 and hybrid machines ours is in each hierarchy, also in those that systemd doesn't
use, and the scope's processes are also in systemd's own hierarchy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import anyio

from ..errors import UnsupportedFeature
from . import tree
from .files import read
from .systemd_properties import Property, properties_of
from .systemd_scope import Scope, slice_path, unit_name
from .v1.manager import V1Cgroup
from .v2.manager import V2Cgroup
from .writes import restore

if TYPE_CHECKING:
    from ..config import Resources
    from ..config.systemd import PropertyValue
    from .detect import Hierarchy, Layout

__all__ = ("SystemdCgroup", "SystemdV1Cgroup", "slice_path", "unit_name")


class SystemdCgroup(V2Cgroup):
    """See `aiocontainer.cgroups.base.Cgroup`; has to be made by `acreate`."""

    def __init__(
        self,
        v2: Hierarchy,
        name: str,
        parent: str | None,
        wanted: Collection[str],
        required: frozenset[str] = frozenset(),
        uid: int | None = None,
        properties: Mapping[str, PropertyValue] | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            v2: the cgroup2 hierarchy.
            name: of the container.
            parent: the slice; ``None`` is ``machine.slice``, or ``user.slice`` of a
                user's own manager.
            wanted: controllers to enable as far as they can be had.
            required: those that must be had.
            uid: whose manager is asked; 0 is the system's, ``None`` is our own.
            properties: more of the scope's, by name.

        Raises:
            ConfigError: the parent isn't a slice.
        """
        uid = os.geteuid() if uid is None else uid
        slice_ = parent or ("user.slice" if uid else "machine.slice")
        root = _manager_root(v2.own, uid)
        place = v2.directory(f"{root}{slice_path(slice_)}/{unit_name(name)}")
        self._scope = Scope(place, name, slice_, uid, properties)
        super().__init__(f"{place}/{name}", wanted, required=required)

    @property
    def unit(self) -> dict[str, int | str]:
        """Where the scope is, for who opens it again: its manager and its slice."""
        return {"uid": self._scope.uid, "slice": self._scope.slice}

    @property
    def directories(self) -> tuple[str, ...]:
        """As `Cgroup.directories`, without the scope, which is systemd's to remove."""
        return (self._scope.aside, *super().directories)

    def create(self) -> None:
        """Refuse.

        Raises:
            UnsupportedFeature: always; it takes waiting.
        """
        raise UnsupportedFeature("create", "systemd has to be awaited: use acreate")

    async def acreate(self, resources: Resources | None = None) -> None:
        """As `Cgroup.acreate`; raises as `Scope.start`, too."""
        limits = [] if resources is None else properties_of(resources)
        await self._scope.start(limits)
        try:
            self._scope.step_aside()
            super().create()
        except BaseException:
            self._end_keeper()
            with anyio.CancelScope(shield=True):
                await self.remove()
            raise

    async def aupdate(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `Cgroup.aupdate`; systemd has half a minute to answer."""
        back = self._update_files(resources, may_kill)
        try:
            await self._scope.tell(_changed(resources, self._bandwidth))
        except BaseException as error:
            restore(back, error)
            raise
        self._update_devices(resources)

    def _bandwidth(self) -> tuple[str, str]:
        quota, period = read(f"{self.directory}/cpu.max").split()
        return quota, period

    def try_remove(self) -> bool:
        """As `Cgroup.try_remove`."""
        if tree.remove_all(super().directories[::-1]):
            return False
        self._end_keeper()
        busy = tree.remove_all(self.directories[:1])
        return not busy and not os.path.isdir(self._scope.directory)

    async def remove(self, *, timeout_s: float = 5.0) -> None:
        """As `Cgroup.remove`; the scope itself is removed by systemd."""
        await tree.remove_soon(super().directories[::-1], timeout_s)
        self._end_keeper()
        await tree.remove_soon(self.directories[:1], timeout_s)
        await self._scope.gone(timeout_s)

    def _end_keeper(self) -> None:
        self._scope.end_keeper()


class SystemdV1Cgroup(V1Cgroup):
    """The same on a machine whose controllers are on v1. The limits are in the files
    alone: whenever a property is set, systemd removes empty cgroups of the slice from
    hierarchies that it sees no need of, and ours may be empty for a moment."""

    def __init__(
        self,
        layout: Layout,
        name: str,
        parent: str | None,
        required: frozenset[str] = frozenset(),
        properties: Mapping[str, PropertyValue] | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            layout: all hierarchies, of which one is systemd's.
            name: of the container.
            parent: the slice; ``None`` is ``machine.slice``.
            required: controllers that must be had.
            properties: more of the scope's, by name.

        Raises:
            ConfigError: the parent isn't a slice.
        """
        slice_ = parent or "machine.slice"
        inside = f"{slice_path(slice_)}/{unit_name(name)}"
        tracked = layout.v1["name=systemd"].directory(inside)
        # systemd tells an empty scope by cgroup2, where there is one.
        place = tracked if layout.v2 is None else layout.v2.directory(inside)
        self._scope = Scope(place, name, slice_, 0, properties)
        paths = {
            controller: f"{hierarchy.directory(inside)}/{name}"
            for controller, hierarchy in layout.v1.items()
            if not controller.startswith("name=")
        }
        unified = None if layout.v2 is None else f"{place}/{name}"
        depth = inside.count("/")
        super().__init__(name, paths, unified, parents=depth, required=required)
        self._shared = (tracked,)

    @property
    def unit(self) -> dict[str, int | str]:
        """As `SystemdCgroup.unit`."""
        return {"uid": self._scope.uid, "slice": self._scope.slice}

    @property
    def directories(self) -> tuple[str, ...]:
        """As `Cgroup.directories`, without the scope, which is systemd's to remove."""
        if self.unified is None:
            return self._own
        return (self._scope.aside, *self._own)

    def create(self) -> None:
        """Refuse.

        Raises:
            UnsupportedFeature: always; it takes waiting.
        """
        raise UnsupportedFeature("create", "systemd has to be awaited: use acreate")

    async def acreate(self, resources: Resources | None = None) -> None:
        """As `Cgroup.acreate`; raises as `Scope.start`, too."""
        await self._scope.start([])
        try:
            if self.unified is not None:
                self._scope.step_aside()
            super().create()
        except BaseException:
            self._end_keeper()
            with anyio.CancelScope(shield=True):
                await self.remove()
            raise

    def try_remove(self) -> bool:
        """As `Cgroup.try_remove`."""
        if not super().try_remove():
            return False
        self._end_keeper()
        if self.unified is not None and tree.remove_all((self._scope.aside,)):
            return False
        if os.path.isdir(self._scope.directory):
            return False
        self._prune()
        return True

    async def remove(self, *, timeout_s: float = 5.0) -> None:
        """As `Cgroup.remove`; the scope itself is removed by systemd."""
        await tree.remove_soon(self._own[::-1], timeout_s)
        self._end_keeper()
        if self.unified is not None:
            await tree.remove_soon((self._scope.aside,), timeout_s)
        await self._scope.gone(timeout_s)
        self._prune()

    def _prune(self) -> None:
        """Remove what is left of the scope in hierarchies where systemd doesn't, or not
        always: after a reload it forgets that it has made one."""
        scopes = dict.fromkeys(path.rpartition("/")[0] for path in self._own)
        tree.prune([*scopes, *reversed(self.made_parents)])

    def _end_keeper(self) -> None:
        self._scope.end_keeper()


def _changed(
    resources: Resources, bandwidth: Callable[[], tuple[str, str]]
) -> list[Property]:
    """The properties of an update, which has been made in the files."""
    changes: dict[str, object] = {}
    if "devices" not in resources.model_fields_set:
        changes["devices"] = ()
    cpu = resources.cpu
    if (cpu.quota_us is None) != (cpu.period_us is None):
        # Of the two one was given; what the other is the kernel knows by now.
        quota, period = bandwidth()
        both = {
            "quota_us": "unlimited" if quota == "max" else int(quota),
            "period_us": int(period),
        }
        changes["cpu"] = cpu.model_copy(update=both)
    return properties_of(resources.model_copy(update=changes))


def _manager_root(own: str, uid: int) -> str:
    """The cgroup that a manager's slices are in; the system's are in the root."""
    if uid == 0:
        return ""
    service = f"user@{uid}.service"
    before, found, _ = own.partition("/" + service)
    above = before if found else f"/user.slice/user-{uid}.slice"
    return f"{above}/{service}"
