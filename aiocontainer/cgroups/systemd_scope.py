"""A transient scope of systemd, delegated to us.

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
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio

from .._sys.libc import call
from ..config.systemd import PROPERTY_SIGNATURES
from ..errors import CgroupError, ConfigError
from . import tree
from .files import write
from .systemd_bus import set_properties, start_scope
from .systemd_properties import INFINITE, Property

if TYPE_CHECKING:
    from ..config.systemd import PropertyValue

__all__ = ("Scope", "slice_path", "unit_name")

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


class Scope:
    """One scope, and the process that keeps it alive."""

    def __init__(
        self,
        directory: str,
        name: str,
        slice_: str,
        uid: int,
        properties: Mapping[str, PropertyValue] | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            directory: where systemd makes it, in the hierarchy by which systemd sees
                that it is empty.
            name: of the container.
            slice_: name of the slice that it is in.
            uid: whose manager is asked; 0 is the system's.
            properties: more of its properties, by name.
        """
        self.directory: Final = directory
        self.aside: Final = f"{directory}/aside"
        """The cgroup of the process that keeps it alive: one that has processes can't
        pass controllers on."""
        self.slice: Final = slice_
        self.uid: Final = uid
        self._name = name
        self._unit = unit_name(name)
        self._properties = dict(properties or {})
        self._keeper: int | None = None

    async def start(self, limits: Sequence[Property]) -> None:
        """Have it started. Failed or cancelled, it ends by itself.

        Raises:
            CgroupError: systemd refused, or didn't answer within half a minute.
            UnsupportedFeature: there is no bus, or dbus-fast isn't installed.
        """
        self._keeper = _start_keeper()
        try:
            ours = [
                Property("Description", "s", f"container {self._name}"),
                Property("Slice", "s", self.slice),
                Property("PIDs", "au", [self._keeper]),
                Property("Delegate", "b", True),
                Property("CollectMode", "s", "inactive-or-failed"),
                # Else it would be stopped too early at shutdown, before what uses it.
                Property("DefaultDependencies", "b", False),
                # systemd's default for scopes would hold beside ours.
                Property("TasksMax", "t", INFINITE),
            ]
            wished = [
                Property(name, PROPERTY_SIGNATURES[name], _plain(value))
                for name, value in self._properties.items()
            ]
            with anyio.move_on_after(_TIMEOUT_S) as scope:
                # Of two of a name the later holds.
                await start_scope(self.uid, self._unit, [*ours, *limits, *wished])
            if scope.cancelled_caught:
                raise CgroupError(self.directory, "systemd did not answer in time")
        except BaseException:
            self.end_keeper()
            raise

    def step_aside(self) -> None:
        """Move the process that keeps it alive out of the scope itself.

        Raises:
            CgroupError: the kernel refused.
        """
        tree.make(self.aside)
        with tree.translated(self.aside):
            write(self.aside + "/cgroup.procs", str(self._keeper))

    async def tell(self, properties: Sequence[Property]) -> None:
        """Change some of its properties. Raises as `start`."""
        if not properties:
            return
        with anyio.move_on_after(_TIMEOUT_S) as scope:
            await set_properties(self.uid, self._unit, properties)
        if scope.cancelled_caught:
            raise CgroupError(self.directory, "systemd did not answer in time")

    def end_keeper(self) -> None:
        """End the process that keeps it alive; systemd then ends the scope."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            os.kill(keeper, signal.SIGKILL)  # our own child, not yet waited for
            os.waitpid(keeper, 0)

    def let_go(self) -> int | None:
        """The pid of that process, which is to live on and is a child of ours."""
        keeper, self._keeper = self._keeper, None
        return keeper

    async def gone(self, timeout_s: float) -> None:
        """Wait until systemd has removed it; it is never removed by us, because
        systemd would not see it become empty then, and never forget it.

        Raises:
            CgroupBusy: something is left in it.
        """
        pause_s = 0.001
        with anyio.move_on_after(timeout_s):
            while os.path.isdir(self.directory):
                await anyio.sleep(pause_s)
                pause_s = min(pause_s * 2, 0.1)
            return
        await tree.remove_soon((self.directory,), 0)


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
