"""What a cgroup can do, whichever kind of hierarchy it lives in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import Resources
    from .meter import Meter, Reading
    from .stats import CgroupStats, Usage

__all__ = ("PARENT", "Cgroup", "Entry", "check_name", "check_parent")

PARENT: Final = "aiocontainer"
"""The cgroup, below our own, that holds those of all containers."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a process that is about to be made gets into a cgroup."""

    join_files: tuple[str, ...] = ()
    """``tasks`` files (v1): the single-threaded child writes ``0`` into each. Unlike
    ``cgroup.procs`` they don't take the kernel's lock on all thread groups, which
    waits for an RCU grace period."""
    clone_directory: str | None = None
    """Directory for clone3(2) with ``CLONE_INTO_CGROUP`` (v2)."""

    @property
    def clone_fallback(self) -> str | None:
        """Where the child writes ``0`` itself, on v2, where clone3 can't be used."""
        directory = self.clone_directory
        return None if directory is None else directory + "/cgroup.procs"


class Cgroup(Protocol):
    """One cgroup: a directory in each hierarchy, made and removed together.

    Making the object touches nothing. Methods that aren't coroutines answer at once:
    the kernel serves these files from memory.
    """

    @property
    def name(self) -> str:
        """The last part of its path, the same in all hierarchies."""

    @property
    def version(self) -> int:
        """1 or 2: which kind of hierarchy its controllers are in."""

    @property
    def directories(self) -> tuple[str, ...]:
        """All absolute directories that it makes, outer ones first.

        Known before `create`, so that they can be written down for whoever must
        clean up.
        """

    @property
    def paths(self) -> Mapping[str, str]:
        """Controller -> absolute directory; after `create` only those to be had."""

    @property
    def made_parents(self) -> Sequence[str]:
        """Directories above its own that `create` has made too, outer ones first.

        They aren't removed with it, since others may use them by then: see
        `prune_parents`.
        """

    @property
    def unified(self) -> str | None:
        """Its directory in the cgroup2 hierarchy, if it has one."""

    def create(self) -> None:
        """Make all its directories, and the shared parent where it is missing.

        What had been made is removed again on failure.

        Raises:
            CgroupError: it exists already, or the kernel refused.
            ControllerMissing: a controller that was asked for isn't there.
        """

    async def acreate(self, resources: Resources | None = None) -> None:
        """As `create`, and also where somebody has to be asked: systemd.

        Cancelled or failed, nothing is left.

        Args:
            resources: the limits that will be set by `apply`, for whoever is asked.

        Raises:
            CgroupError: it exists already, or the kernel or systemd refused.
            ControllerMissing: a controller that was asked for isn't there.
            UnsupportedFeature: there is nobody to ask.
        """

    def apply(self, resources: Resources) -> None:
        """Set the first limits, before any process is inside.

        Device rules are left out where this user may not set them: ``paths`` has
        ``devices`` only where they are in force.

        Raises:
            ControllerMissing: nothing was written.
            UnsupportedFeature: this kind has no such limit; nothing was written.
            CgroupError: the kernel refused a value; the cgroup should be removed.
        """

    def update(self, resources: Resources, *, may_kill: bool = False) -> None:
        """Change limits while processes are inside.

        Fields that are ``None`` stay as they are. On an error the old values are put
        back.

        Args:
            resources: the new limits.
            may_kill: let a memory limit below what is in use kill processes.

        Raises:
            ControllerMissing: nothing was written.
            UnsupportedFeature: this kind has no such limit; nothing was written.
            CgroupError: the kernel refused a value, or it would kill.
        """

    async def aupdate(self, resources: Resources, *, may_kill: bool = False) -> None:
        """As `update`, and also where somebody has to be told: systemd.

        Cancelled, the limits are the old or the new ones, as a whole.

        Raises:
            CgroupError: also if systemd refused; the old values are back.
        """

    def entry(self) -> Entry:
        """How a child that is about to be made gets in."""

    def child(self, name: str, *, nested: bool = False) -> Cgroup:
        """A cgroup inside of this one; not yet made. Its processes count here too.

        Args:
            name: its name.
            nested: it will get children of its own.
        """

    def pids(self, *, recursive: bool = True) -> list[int]:
        """Processes inside, as numbered in our pid namespace. Empty once it is gone."""

    def stats(self) -> CgroupStats:
        """Everything that it counts.

        Raises:
            CgroupError: it is gone.
        """

    def read_now(self) -> Reading:
        """What `stats` is made of. Raises `CgroupError` as it does."""

    def meter(
        self, only: Collection[str] | None = None, *, keeps: bool = False
    ) -> Meter:
        """What samples it again and again, with less work than `stats`.

        Args:
            only: the fields of `CgroupStats` that are wanted; ``None`` is all.
            keeps: may hold its files open; `Meter.release` closes them.
        """

    def usage(self) -> Usage:
        """The few figures that a run is judged by; cheaper than `stats`."""

    def oom_kills(self) -> int:
        """How many processes in it and below the kernel killed for want of memory."""

    @property
    def frozen(self) -> bool:
        """Whether it is frozen, by whomever."""

    async def freeze(self, *, timeout_s: float = 10.0) -> None:
        """Stop all processes inside; confirmed by the kernel on return.

        Cancelled or failed, it is thawed again.

        Raises:
            CgroupError: not all could be stopped in time.
        """

    async def thaw(self, *, timeout_s: float = 10.0) -> None:
        """Let all processes inside go on; confirmed by the kernel on return."""

    def kill(self) -> None:
        """Send SIGKILL to every process inside and below, and to no other.

        They are doomed on return but may not be dead yet; frozen ones are thawed.
        """

    async def wait_empty(self, *, timeout_s: float = 10.0) -> None:
        """Wait until no process is inside. Cancelling this changes nothing.

        Raises:
            CgroupBusy: some are left, which are named.
        """

    def try_remove(self) -> bool:
        """Remove what can be removed at once; whether nothing is left."""

    async def remove(self, *, timeout_s: float = 5.0) -> None:
        """Remove all its directories, and the cgroups that were made inside.

        Tried at once, without giving way to other tasks, and again for a while where
        the kernel says busy. What is gone already is fine. Cancelled, some
        directories may be left; calling it again is fine.

        Raises:
            CgroupBusy: processes are left in it, which are named.
        """


_KERNEL_FILES: Final = (
    *("cgroup.", "memory.", "cpu.", "cpuset.", "cpuacct.", "io.", "blkio.", "pids."),
    *("devices.", "freezer.", "hugetlb.", "rdma.", "misc.", "net_cls.", "net_prio."),
)


def check_name(name: str, field: str = "cgroup name") -> str:
    """Return a name that is one harmless path component.

    Raises:
        ConfigError: it is empty, too long, dotted, has a slash or a control character,
            or is the name of a kernel file.
    """
    if not name or name in {".", ".."} or len(name.encode()) > 255:
        raise ConfigError(field, f"{name!r} can't name a directory")
    if "/" in name or not name.isprintable():
        raise ConfigError(field, f"{name!r} has a slash or a control character")
    is_file = name in {"tasks", "notify_on_release", "release_agent"}
    if is_file or name.startswith(_KERNEL_FILES):
        raise ConfigError(field, f"{name!r} is the name of a kernel file")
    return name


def check_parent(path: str, field: str = "cgroup parent") -> str:
    """Return a parent path whose components are all harmless, without a last slash.

    Raises:
        ConfigError: it has an empty, dotted or otherwise refused component.
    """
    stem = path.strip("/")
    for part in stem.split("/") if stem else ():
        check_name(part, field)
    return "/" + stem if path.startswith("/") else stem
