"""The processes of one container, and the cgroup they live in."""

from __future__ import annotations

import os
import signal
import time
import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ._sys import pidfd as sys_pidfd
from .attachments import Attachment, Attachments, attachments_of, more_files
from .cgroups import Cgroup
from .config import Config
from .errors import (
    ContainerError,
    HandshakeError,
    SetupError,
    StatusError,
)
from .isolation import hint_at_doctor
from .place import Place
from .plan import compile as plans
from .plan.users import IdFacts, is_leased, windows, with_range
from .proc import spawner
from .proc.agents import hand_over
from .proc.handshake import LISTENER, Stop
from .proc.init_pipe import READY
from .proc.launch import Request, launch, start_slots, usage_of
from .proc.process import Process
from .proc.result import ExitReason, Usage
from .proc.stdio import DEVNULL, Stdio, open_stdio
from .proc.uncancelled import uncancelled
from .proc.verify import Verifier
from .runs import Run, ending, entry_of, kill_and_remove, killed_for_memory, starting
from .state.id_ranges import IdRange
from .watching import Watching

if TYPE_CHECKING:
    from .cgroups import CGroup
    from .network.parts import NetworkStatus


class Processes:
    """Starts the first process, lets later ones join it, and ends them all."""

    def __init__(
        self,
        config: Config,
        name: str,
        *,
        named_by_us: bool,
        attached: Sequence[Attachment] = (),
        group: CGroup | None = None,
    ) -> None:
        """Touch nothing.

        Args:
            config: what the container is.
            name: its id.
            named_by_us: the id was made up, so it never comes again.
            attached: what comes before, and goes after, all that the config says.
            group: where its cgroup is made.

        Raises:
            UnsupportedFeature: asked for, but not possible.
        """
        self.first: Process | None = None
        self.later: set[Process] = set()
        self._all: weakref.WeakSet[Process] = weakref.WeakSet()
        self.closed = False
        self.watching = Watching(name)
        self._config = config
        self._name = name
        self._ids: IdRange | None = None
        self._frame = plans.frame(config)
        self._verifier = Verifier(self._frame.config)
        own = attachments_of(self._frame.config, name)
        self._attachments = Attachments((*attached, *own))
        self.place = Place(config, name, named_by_us=named_by_us, group=group)
        self._runs = 0
        self.kills_of_runs = 0
        """Processes of later ones' trees that the kernel killed for memory."""
        self._shares = False
        """Later ones have been where their kills can't be told from the first's."""
        self._starting = anyio.Lock()

    @property
    def ended(self) -> bool:
        """The first process has ended, or all of them were."""
        return self.closed or (self.first is not None and self.first.ended)

    @property
    def cgroup(self) -> Cgroup | None:
        """The container's own, while there is one."""
        return self.place.cgroup

    @property
    def resolved(self) -> Config:
        """The config, with what this machine and user make of it."""
        return self._frame.config

    @property
    def networks(self) -> tuple[NetworkStatus, ...]:
        """The interfaces that it has by its config."""
        for attachment in self._attachments:
            statuses = getattr(attachment, "statuses", None)
            if statuses is not None:
                return tuple(statuses)
        return ()

    @property
    def network_pid(self) -> int | None:
        """A process that tells of the container's own network namespace."""
        if self.first is None or self._config.namespaces.network == "host":
            return None
        return self.first.pid

    def check_open(self) -> None:
        """Raise `StatusError` where no process can be started any more."""
        if self.ended:
            raise StatusError("stopped", "start a process")

    async def start(self, request: Request, stdio: Stdio) -> Process:
        """Start the first process, or one that joins it. Takes ``stdio`` over."""
        try:
            with starting():
                return await self._start(request, stdio)
        except BaseException:
            stdio.close()
            raise

    async def _start(self, request: Request, stdio: Stdio) -> Process:
        async with self._starting:
            self.check_open()
            if self.first is None:
                return await self._begin(request, stdio)
        async with start_slots():
            process = await self._join(request, stdio, self.first)
        self._all.add(process)
        self.later.add(process)
        if self._frame.own_pids:
            self.first.wait_for(process)
        if self.closed:  # destroyed meanwhile, which didn't know of this process
            await process.aclose()
            self.check_open()
        return process

    async def _begin(self, request: Request, stdio: Stdio) -> Process:
        """Start the first process, and tell what is attached to the container."""
        async with start_slots():
            first = self.first = await self._start_first(request, stdio)
        self._all.add(first)
        try:
            await self._attachments.started(first.pid)
        except BaseException:
            await first.end()
            raise
        return first

    async def ensure_init(self) -> None:
        """Have the built-in init as the first process, if there is none."""
        async with self._starting:
            self.check_open()
            if self.first is not None:
                return
            with starting():
                stdio = open_stdio(DEVNULL, DEVNULL, DEVNULL)
                try:
                    init = await self._begin(Request(None, self._config), stdio)
                except BaseException:
                    stdio.close()
                    raise
                if init.syscalls is not None:
                    init.syscalls.close()  # its calls are nobody's: they get ENOSYS

    def kill_by_request(self) -> None:
        """`kill`, because the caller wanted it: that is then the reason of each."""
        for process in (self.first, *self.later):
            if process is not None:
                process.blame(ExitReason.SIGNALED)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for all; their end is not waited for."""
        with ending():
            if self.first is not None and self._frame.own_pids:
                if not self.first.ended:  # its pidfd is closed with its end
                    sys_pidfd.send_signal(self.first.pidfd, signal.SIGKILL)
            elif self.cgroup is not None:
                self.cgroup.kill()
            if self.cgroup is not None and self.cgroup.frozen:
                self.cgroup.kill()

    async def destroy(self) -> None:
        """End all, close their streams, and remove the cgroup; not cancellable.

        Raises:
            CgroupBusy: a process can't be ended.
        """
        self.closed = True
        with ending():
            await uncancelled(self._destroy)

    async def _destroy(self) -> None:
        async with self._starting:
            # Pid 1 last: it can't end before the others have been reaped.
            known = [p for p in (*self.later, self.first) if p is not None]
            if [p for p in known if p.blame(ExitReason.CANCELLED)]:
                self.kill()
            for process in known:
                await process.end()
            for process in self._all:
                process.close_streams()
            await self._remove()
            self.later.clear()

    async def _start_first(self, request: Request, stdio: Stdio) -> Process:
        started = time.monotonic()
        key = next(spawner.keys)
        try:
            self._lease_ids()
            owner = self._frame.root_owner
            program, descriptors = request.program(stdio, owner)
            attached = self._attachments
            plan = plans.first(
                self._frame, self._name, request.settings, program, stop=bool(attached)
            )
            stops: dict[bytes, Stop] = {
                READY: partial(self._verifier.first, request.settings)
            }
            if attached:
                stops[b"created"] = attached.attach
            self._add_agent(stops, request, None)
            cgroup = await self.place.make(self.resolved)
            child = await launch(key, plan, descriptors, entry_of(cgroup), stops)
        except BaseException as error:
            spawner.forget(key)
            killed = killed_for_memory(self.cgroup)
            hint_at_doctor(error, self.resolved)
            await uncancelled(self._remove)
            if killed and isinstance(error, HandshakeError):
                reason = "out of memory: the limit is too small to start in"
                raise SetupError("set up the container", reason) from error
            raise
        finally:
            stdio.close_child()

        if self._ids is not None:
            self._ids.belong_to(child.pid)
        finish = partial(self._finish_first, child.pid, child.pidfd, cgroup)
        process = Process(request.names, child, stdio, key, started, self.kill, finish)
        self.watching.started(process)
        return process

    def _finish_first(
        self,
        pid: int,
        pidfd: int,
        cgroup: Cgroup | None,
        ended: sys_pidfd.Exit,
        wall_s: float,
    ) -> tuple[Usage, int]:
        """What the first process used, and how many of its own tree, not of the later
        ones', the kernel killed for memory."""
        self.watching.ending(pidfd)
        usage = usage_of(ended, wall_s, cgroup)
        self.watching.ended(pid, ended.status, usage, init=True)
        kills = (usage.oom_kills or 0) - self.kills_of_runs
        return usage, 0 if self._shares else kills

    def _add_agent(
        self, stops: dict[bytes, Stop], request: Request, first: int | None
    ) -> None:
        """Have the listener of the process's filter sent where its config says."""
        seccomp = request.settings.seccomp
        if seccomp is not None and seccomp.listener_path is not None:
            stops[LISTENER] = partial(hand_over, seccomp, self._name, first)

    async def _join(self, request: Request, stdio: Stdio, first: Process) -> Process:
        started = time.monotonic()
        key = next(spawner.keys)
        cgroup: Cgroup | None = None
        target = -1
        try:
            self.check_open()  # it may have ended while we waited for our turn
            # Our own: the process closes its pidfd at its end, and numbers come again.
            target = os.dup(first.pidfd)
            owner = self._frame.root_owner
            program, descriptors = request.program(stdio, owner)
            index = 1 + len(descriptors)
            plan = plans.join(self._frame, request.settings, program, index)
            if request.entry is None:
                cgroup = await self._make_run_cgroup(key)
            else:
                self._shares = True
            entry = request.entry or entry_of(cgroup)
            stops: dict[bytes, Stop] = {
                READY: partial(self._verifier.later, request.settings)
            }
            self._add_agent(stops, request, first.pid)
            files = more_files(self._config, self._name)
            child = await launch(
                key, plan, [*descriptors, target], entry, stops, more_files=files
            )
        except BaseException as error:
            spawner.forget(key, at_once=True)
            if cgroup is not None:
                await uncancelled(lambda: kill_and_remove(cgroup))
            is_over = first.ended or sys_pidfd.is_exiting(first.pid)
            if is_over and isinstance(error, ContainerError):
                raise StatusError("stopped", "start a process") from error
            raise
        finally:
            stdio.close_child()
            if target >= 0:
                os.close(target)
        run = Run(self, child, cgroup)
        process = Process(
            request.names,
            child,
            stdio,
            key,
            started,
            run.kill,
            run.finish,
            run.clean_up,
        )
        run.process = process
        self.watching.started(process)
        return process

    def _lease_ids(self) -> None:
        """Have ids that no other container has, where the config leaves it to us."""
        if is_leased(self._config):
            granted = IdFacts.read()
            ids = IdRange.lease(windows(granted.uids), windows(granted.gids))
            self._ids = ids
            self._resolve(with_range(self._config, ids.uid, ids.gid))

    def _resolve(self, config: Config) -> None:
        self._frame = plans.frame(config)
        self._verifier = Verifier(self._frame.config)

    async def _make_run_cgroup(self, key: int) -> Cgroup | None:
        """A cgroup of its own for one later process, so that it can be killed and
        judged by itself."""
        if self.cgroup is None:
            return None
        self._runs += 1
        cgroup = self.cgroup.child(f"run-{self._runs}")
        cgroup.create()
        return cgroup

    async def _remove(self) -> None:
        try:
            self.watching.end()
            await self.place.remove()
        finally:
            if self._ids is not None:
                self._ids.release()
            await self._attachments.detach()
