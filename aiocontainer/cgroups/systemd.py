"""A cgroup that systemd is asked for: a transient scope, delegated to us.

    <slice>/aiocontainer-<name>.scope      systemd's; it may set anything here
    <scope>/aside                          a process that keeps the scope alive
    <scope>/<name>                         ours: limits, figures, events
    <scope>/<name>/main, <child>           processes

systemd writes its own idea of limits to the scope again whenever it reloads, so ours
are set one level below, in what it has delegated and leaves alone; and it is told them
as properties of the scope. It starts no scope without a process, and ends one without
processes; so a sleeping one is put there first, and taken away last.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import anyio

from .._sys.libc import call
from ..config.systemd import PROPERTY_SIGNATURES
from ..errors import CgroupError, ConfigError, UnsupportedFeature
from . import tree
from .files import read, write
from .systemd_bus import set_properties, start_scope
from .systemd_properties import INFINITE, Property, properties_of
from .v2.manager import V2Cgroup
from .writes import restore

if TYPE_CHECKING:
    from ..config import Resources
    from ..config.systemd import PropertyValue
    from .detect import Hierarchy

__all__ = ("SystemdCgroup", "slice_path", "unit_name")

_ASIDE: Final = "aside"
_TIMEOUT_S: Final = 30.0


def unit_name(name: str) -> str:
    """The scope of a container; what units may not be called is escaped.

    A name that is a scope's already is taken as it is: engines look for that.
    """
    stem = "".join(map(_escaped, name))
    return stem if stem.endswith(".scope") else f"aiocontainer-{stem}.scope"


def _escaped(character: str) -> str:
    if (character.isascii() and character.isalnum()) or character in "-:_.":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def slice_path(name: str) -> str:
    """Where a slice is: ``a-b.slice`` is in ``a.slice``.

    Raises:
        ConfigError: it isn't the name of a slice.
    """
    stem = name.removesuffix(".slice")
    parts = stem.split("-")
    if not name.endswith(".slice") or "/" in name or not all(parts):
        raise ConfigError("cgroup.parent", f"{name!r} is not the name of a slice")
    levels = ("-".join(parts[: n + 1]) for n in range(len(parts)))
    return "".join(f"/{level}.slice" for level in levels)


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
        self._uid = os.geteuid() if uid is None else uid
        self._slice = parent or ("user.slice" if self._uid else "machine.slice")
        self._unit = unit_name(name)
        root = _manager_root(v2.own, self._uid)
        self._scope = v2.directory(f"{root}{slice_path(self._slice)}/{self._unit}")
        self._keeper: int | None = None
        self._properties = dict(properties or {})
        super().__init__(f"{self._scope}/{name}", wanted, required=required)

    @property
    def unit(self) -> dict[str, int | str]:
        """Where the scope is, for who opens it again: its manager and its slice."""
        return {"uid": self._uid, "slice": self._slice}

    @property
    def directories(self) -> tuple[str, ...]:
        """As `Cgroup.directories`, without the scope: were it removed by us, systemd
        would not see it become empty, and never forget it."""
        return (f"{self._scope}/{_ASIDE}", *super().directories)

    def create(self) -> None:
        """Refuse.

        Raises:
            UnsupportedFeature: always; it takes waiting.
        """
        raise UnsupportedFeature("create", "systemd has to be awaited: use acreate")

    async def acreate(self, resources: Resources | None = None) -> None:
        """As `Cgroup.acreate`; systemd has half a minute to answer.

        Raises:
            CgroupError: systemd refused, or didn't answer.
            UnsupportedFeature: there is no bus, or dbus-fast isn't installed.
        """
        self._keeper = _start_keeper()
        is_ours = False
        try:
            properties = self._first_properties(self._keeper, resources)
            with anyio.move_on_after(_TIMEOUT_S) as scope:
                await start_scope(self._uid, self._unit, properties)
            if scope.cancelled_caught:
                raise CgroupError(self._scope, "systemd did not answer in time")
            is_ours = True
            self._step_aside()
            super().create()
        except BaseException:
            # Without its keeper a scope ends by itself. One that we were refused may be
            # somebody else's, so nothing is removed there.
            self._end_keeper()
            if is_ours:
                with anyio.CancelScope(shield=True):
                    await self.remove()
            raise

    def _first_properties(
        self, keeper: int, resources: Resources | None
    ) -> list[Property]:
        ours = [
            Property("Description", "s", f"container {self.name}"),
            Property("Slice", "s", self._slice),
            Property("PIDs", "au", [keeper]),
            Property("Delegate", "b", True),
            Property("CollectMode", "s", "inactive-or-failed"),
            # Else it would be stopped too early at shutdown, before what uses it.
            Property("DefaultDependencies", "b", False),
            # systemd's default for scopes would hold beside ours.
            Property("TasksMax", "t", INFINITE),
        ]
        limits = [] if resources is None else properties_of(resources)
        wished = [
            Property(name, PROPERTY_SIGNATURES[name], _plain(value))
            for name, value in self._properties.items()
        ]
        return [*ours, *limits, *wished]  # of two of a name the later holds

    async def aupdate(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `Cgroup.aupdate`; systemd has half a minute to answer."""
        back = self._update_files(resources, may_kill)
        try:
            if properties := self._changed_properties(resources):
                with anyio.move_on_after(_TIMEOUT_S) as scope:
                    await set_properties(self._uid, self._unit, properties)
                if scope.cancelled_caught:
                    raise CgroupError(self._scope, "systemd did not answer in time")
        except BaseException as error:
            restore(back, error)
            raise
        self._update_devices(resources)

    def _changed_properties(self, resources: Resources) -> list[Property]:
        changes: dict[str, object] = {}
        if "devices" not in resources.model_fields_set:
            changes["devices"] = ()
        cpu = resources.cpu
        if (cpu.quota_us is None) != (cpu.period_us is None):
            # Of the two one was given; what the other is the kernel knows by now.
            quota, period = read(f"{self.directory}/cpu.max").split()
            both = {
                "quota_us": "unlimited" if quota == "max" else int(quota),
                "period_us": int(period),
            }
            changes["cpu"] = cpu.model_copy(update=both)
        return properties_of(resources.model_copy(update=changes))

    def _step_aside(self) -> None:
        """Take the keeper out of the scope itself, for a cgroup that has processes
        can't pass controllers on."""
        aside = f"{self._scope}/{_ASIDE}"
        tree.make(aside)
        with tree.translated(aside):
            write(aside + "/cgroup.procs", str(self._keeper))

    def try_remove(self) -> bool:
        """As `Cgroup.try_remove`."""
        if tree.remove_all(super().directories[::-1]):
            return False
        self._end_keeper()
        busy = tree.remove_all(self.directories[:1])
        return not busy and not os.path.isdir(self._scope)

    async def remove(self, *, timeout_s: float = 5.0) -> None:
        """As `Cgroup.remove`; the scope itself is removed by systemd."""
        await tree.remove_soon(super().directories[::-1], timeout_s)
        self._end_keeper()
        await tree.remove_soon(self.directories[:1], timeout_s)
        pause_s = 0.001
        with anyio.move_on_after(timeout_s):
            while os.path.isdir(self._scope):
                await anyio.sleep(pause_s)
                pause_s = min(pause_s * 2, 0.1)
            return
        await tree.remove_soon((self._scope,), 0)

    def _end_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            os.kill(keeper, signal.SIGKILL)  # our own child, not yet waited for
            os.waitpid(keeper, 0)


def _manager_root(own: str, uid: int) -> str:
    """The cgroup that a manager's slices are in; the system's are in the root."""
    if uid == 0:
        return ""
    service = f"user@{uid}.service"
    before, found, _ = own.partition("/" + service)
    above = before if found else f"/user.slice/user-{uid}.slice"
    return f"{above}/{service}"


def _start_keeper() -> int:
    """Start a child that sleeps, in a session of its own and with nothing of ours."""
    sleep = shutil.which("sleep")
    forever = "import signal; signal.pause()"
    argv = [sleep, "infinity"] if sleep else [sys.executable, "-ISc", forever]
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    keeper: int = call(
        "posix_spawn",
        lambda: os.posix_spawn(argv[0], argv, {}, file_actions=null, setsid=True),
    )
    return keeper


def _plain(value: PropertyValue) -> Any:  # noqa: ANN401  whatever D-Bus takes
    return list(value) if isinstance(value, tuple) else value
