"""`CGroup`: limits and accounting for any processes, with or without containers.

async with CGroup(memory="8GiB", pids=500) as group:
    process = await group.open_process(["make", "-j8"])
    await process.wait()
    print(group.usage().memory_peak_bytes)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import anyio.abc

from ..errors import CgroupBusy, StatusError, UnsupportedFeature
from .base import Cgroup
from .detect import detect
from .files import write
from .leftovers import owned_name
from .open import open_cgroup, prune_parents
from .tree import members, translated

if TYPE_CHECKING:
    from ..config import CgroupSettings, Resources
    from .stats import CgroupStats, Usage

__all__ = ("CGroup",)

StrPath = str | os.PathLike[str]

# The shell is single-threaded, so it may write to ``tasks``; it becomes the program.
_ENTER: Final = 'for file in $0; do echo 0 > "$file" || exit 125; done; exec "$@"'


class CGroup:
    """A cgroup of its own, for the length of a block.

    However the block is left, the processes inside have been killed and the cgroup
    is removed. Groups may be nested, and containers may be made in one: all share its
    limits, and count in its figures.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        memory: int | str | None = None,
        cpus: float | str | None = None,
        pids: int | None = None,
        resources: Resources | None = None,
        settings: CgroupSettings | None = None,
        parent: CGroup | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            name: of the cgroup; made up when ``None``. Leftovers of programs that were
                killed are found by made-up names only (`collect`).
            memory: limit in bytes, or as ``"8GiB"``.
            cpus: limit of cpu time, ``1.5`` being one and a half processors.
            pids: limit of processes and threads.
            resources: all other limits. Devices are left alone unless it names them.
            settings: the kind of cgroup and its place; not together with ``parent``.
            parent: the group that it is made in, which has to be entered already.

        Raises:
            ConfigError: a limit or the name is wrong.
        """
        from ..config.shorthands import fold_shorthands  # pydantic, only where needed

        limits = {"memory": memory, "cpus": cpus, "pids": pids}
        folded = fold_shorthands({**limits, "resources": resources})
        self._resources = _without_default_devices(folded.get("resources"))
        self._settings = settings
        self._parent = parent
        self._name = owned_name() if name is None else name
        self._cgroup: Cgroup | None = None

    @property
    def cgroup(self) -> Cgroup:
        """The cgroup itself, for everything that isn't here.

        Raises:
            StatusError: the block isn't entered, or left.
        """
        if self._cgroup is None:
            raise StatusError("not entered", "use the cgroup")
        return self._cgroup

    async def __aenter__(self) -> Self:
        """Make the cgroup and set its limits. Cancelled or failed, nothing is left.

        Raises:
            CgroupError: the kernel refused.
            ControllerMissing: a limit needs a controller that can't be had.
            UnsupportedFeature: this machine or user has no cgroups at all.
        """
        if self._cgroup is not None:
            raise StatusError("entered", "enter the group again")
        if self._parent is None:
            cgroup = open_cgroup(detect(), self._settings, self._name)
        else:
            cgroup = self._parent.cgroup.child(self._name, nested=True)
        await cgroup.acreate(self._resources)
        if not cgroup.directories:
            raise UnsupportedFeature("CGroup", "no cgroup can be made here")
        self._cgroup = cgroup
        try:
            if self._resources is not None:
                cgroup.apply(self._resources)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As `aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Kill what is inside and remove the cgroup; nothing once that is done.

        It is finished even in a cancelled scope, within some seconds.

        Raises:
            CgroupBusy: a process that can't be killed (state D) is left in it.
        """
        cgroup = self._cgroup
        if cgroup is None:
            return
        with anyio.CancelScope(shield=True):
            # One that was on its way in may be too late to be killed the first time.
            for patience_s in (0.2, 1.0):
                if cgroup.try_remove():
                    break
                cgroup.kill()
                with contextlib.suppress(CgroupBusy):
                    await cgroup.remove(timeout_s=patience_s)
            else:
                cgroup.kill()
                await cgroup.remove()
        prune_parents(cgroup)
        self._cgroup = None

    # -- processes ---------------------------------------------------------------

    def command(self, argv: Sequence[StrPath]) -> list[str]:
        """The command that enters the group and then becomes ``argv``.

        For any means of starting programs, as ``asyncio.create_subprocess_exec(
        *group.command(["make"]))``. Its exit status is 125 if it can't get in: the
        group is gone. It is on its way in for about a millisecond after its start.
        """
        files = self._files_to_enter()
        if any(" " in file for file in files):
            raise UnsupportedFeature("command", "the cgroup's path has a blank in it")
        words = [os.fspath(word) for word in argv]
        return ["/bin/sh", "-c", _ENTER, " ".join(files), *words]

    async def open_process(
        self,
        argv: Sequence[StrPath],
        **options: Any,  # noqa: ANN401  whatever anyio takes
    ) -> anyio.abc.Process:
        """Start a program by ``anyio.open_process``, and wait until it is inside.

        Cancelled, the program is killed.

        Args:
            argv: the program and its arguments.
            options: as for ``anyio.open_process``.
        """
        process = await anyio.open_process(self.command(argv), **options)
        try:
            pause = 0.0005
            while not self._has(process.pid):
                await anyio.sleep(pause)
                pause = min(pause * 2, 0.02)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()
            raise
        return process

    def _files_to_enter(self) -> list[str]:
        entry = self.cgroup.entry()
        return [*entry.join_files, *filter(None, [entry.clone_fallback])]

    def _has(self, pid: int) -> bool:
        """Whether a child of ours is inside, or has come to its end already."""
        last = self._files_to_enter()[-1]
        if pid in members(os.path.dirname(last), recursive=False):
            return True
        try:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, pid, flags) is not None
        except ChildProcessError:
            return True

    def add(self, pid: int) -> None:
        """Move a running process, with all its threads, into the group.

        What it has used so far stays counted where it was; what it will start is
        inside.

        Raises:
            CgroupError: there is no such process, or it may not be moved.
        """
        with translated(self._name):
            for file in self._files_to_enter():
                # By process, not by thread as a child does that enters by itself.
                write(os.path.dirname(file) + "/cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Processes inside, those of nested groups and containers too."""
        return self.cgroup.pids()

    def kill(self) -> None:
        """Send SIGKILL to everything inside."""
        self.cgroup.kill()

    async def pause(self) -> None:
        """Stop everything inside; confirmed by the kernel. Cancelled, it goes on."""
        await self.cgroup.freeze()

    async def resume(self) -> None:
        """Let everything inside go on."""
        await self.cgroup.thaw()

    # -- limits and figures ------------------------------------------------------

    async def set(self, resources: Resources, *, may_kill: bool = False) -> None:
        """Change limits; fields that are ``None`` stay. See `Cgroup.aupdate`.

        Raises:
            CgroupError: the kernel refused, and the old limits are back in place; or
                a memory limit would kill, and ``may_kill`` isn't given.
        """
        await self.cgroup.aupdate(resources, may_kill=may_kill)

    def stats(self) -> CgroupStats:
        """Everything that the group counts."""
        return self.cgroup.stats()

    def usage(self) -> Usage:
        """The few figures that matter in the end."""
        return self.cgroup.usage()

    def oom_kills(self) -> int:
        """How many processes inside the kernel killed for want of memory."""
        return self.cgroup.oom_kills()


def _without_default_devices(resources: Resources | None) -> Resources | None:
    """Device rules are a container's default; other processes keep their devices."""
    if resources is None or "devices" in resources.model_fields_set:
        return resources
    return resources.model_copy(update={"devices": ()})
