"""The processes of a container that is written down."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import weakref
from functools import partial
from typing import Final

import anyio

from ..cgroups import Cgroup, detect, open_cgroup
from ..cgroups.saved import let_go, reopened
from ..config import Config
from ..errors import StatusError
from ..plan.users import is_leased, with_mappings_of
from ..proc import spawner
from ..proc.adopted import AdoptedProcess
from ..proc.agents import hand_over
from ..proc.gate import open_gate
from ..proc.launch import Request, start_slots
from ..proc.process import Process
from ..proc.stdio import Stdio
from ..proc.uncancelled import uncancelled
from ..processes import Processes
from ..state import Folder, Record, gate
from ..state.id_ranges import IdRange
from .ledger import Ledger

_QUEUE_S: Final = 5.0

_let_go: list[int] = []
"""Pidfds of children of ours that live on: to be reaped when they have ended."""
_made: weakref.WeakValueDictionary[int, Process] = weakref.WeakValueDictionary()
"""First processes that were started here, by pid."""
_adopted: weakref.WeakSet[AdoptedProcess] = weakref.WeakSet()
"""Those of loaded containers, which may be the same ones."""


class KeptProcesses(Processes):
    """As `Processes`, with a `Ledger` to tell others, and maybe a gate."""

    def __init__(
        self, config: Config, ledger: Ledger, *, named_by_us: bool, gated: bool
    ) -> None:
        """Touch nothing; see `Processes`.

        Args:
            config: what the container is.
            ledger: where it is written down.
            named_by_us: its id was made up.
            gated: the first process is to wait until it is started.
        """
        super().__init__(config, ledger.id, named_by_us=named_by_us, attached=(ledger,))
        self.ledger = ledger
        ledger.cgroup = lambda: self.cgroup
        self._gated = gated
        self._was_over = False
        self._is_let_go = False
        self._living_on: set[Process] = set()

    # -- for the program that makes it -------------------------------------------------

    async def _begin(self, request: Request, stdio: Stdio) -> Process:
        if not self._gated:
            first = await super()._begin(request, stdio)
            self.ledger.made(detached=False)
            _made[first.pid] = first
            return first
        async with start_slots():
            first = self.first = await self._start_first(request, stdio)
        self._all.add(first)
        _made[first.pid] = first
        return first

    async def _start_first(self, request: Request, stdio: Stdio) -> Process:
        reap_let_go()
        planned = open_cgroup(detect(), self._config.cgroup, self._name)
        self.ledger.begin(request.names, planned.directories)
        listening = -1
        try:
            if self._gated:
                listening = self.ledger.build_gate()
                request = dataclasses.replace(request, gate=listening)
            return await super()._start_first(request, stdio)
        except BaseException:
            await uncancelled(self.ledger.detach)  # it may not have come to `attach`
            raise
        finally:
            if listening >= 0:
                os.close(listening)  # else somebody would still be behind the gate

    async def let_live(self) -> None:
        """Have the container live on without this program; its spawner knows on return.

        Raises:
            SpawnerError: there is no spawner to be had.
        """
        first = self.first
        if first is not None and first._key is not None:
            self._attachments.let_live()
            await spawner.let_live(self.place.key, first._key)

    async def let_process_live(self, process: Process) -> None:
        """Have a later process live on without this program.

        Raises:
            SpawnerError: there is no spawner to be had; the process has ended.
        """
        if process._key is not None:
            try:
                await spawner.let_live(process._key)
            except BaseException:
                await process.aclose()
                raise
        self._living_on.add(process)

    async def open_gate(self) -> Process:
        """Have the first process, which waits behind the gate, execute its program.

        Raises:
            StatusError: it doesn't wait there.
            ExecError, SetupError, HandshakeError: it can't.
        """
        first = self.first
        if first is None:
            raise StatusError("stopped" if self.ended else "created", "start")
        folder = await self.ledger.lock()
        try:
            connection = await _knock(folder)
            if connection is None:
                status = "stopped" if self.ended else "running"
                raise StatusError(status, "start")
            listener = await open_gate(connection, first.args[0])
            gate.remove(folder)
            await self._take_listener(first, listener)
            try:
                await self._attachments.started(first.pid)
            except BaseException:  # a hook: the container isn't to go on
                await first.end()
                raise
        finally:
            folder.close()
        return first

    async def _take_listener(self, first: Process, listener: int | None) -> None:
        """Give the listener of its filter to who is to have it."""
        seccomp = self._config.seccomp
        if listener is not None and seccomp is not None and seccomp.listener_path:
            try:
                await hand_over(seccomp, self._name, None, first.pid, listener)
            except BaseException:
                await first.end()
                raise
            finally:
                os.close(listener)
        elif listener is not None:
            first.listen(listener)
        await first.reap_sender()

    async def _make_run_cgroup(self, key: int) -> Cgroup | None:
        """As before, but of a name that no other program takes, and gone with this one:
        the container isn't."""
        if self.cgroup is None:
            return None
        cgroup = self.cgroup.child(f"run-{os.urandom(4).hex()}")
        await spawner.watch_directories(key, cgroup.directories)
        cgroup.create()
        return cgroup

    # -- for others --------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """As `Processes.ended`; or it had, when it was loaded."""
        return self._was_over or super().ended

    def adopt(self, record: Record) -> None:
        """Take over what another program has made, as far as it still is there."""
        self._attachments.adopt()
        try:
            if record.cgroup:
                self.place.cgroup = reopened(record.cgroup, record.directories)
        except (OSError, ValueError, KeyError, TypeError):
            self.ledger.is_broken = True
        init = record.init
        pidfd = None if init is None else init.open()
        if init is None or pidfd is None:
            self._was_over = True
            return

        if is_leased(self._config):
            self._take_ids_of(init.pid)
        finish = partial(self._finish_first, init.pid, pidfd, self.cgroup)
        args = tuple(record.args)
        maker = _made.get(init.pid)  # who has not been reaped keeps its pid
        if maker is not None and maker.pidfd < 0:
            maker = None
        self.first = AdoptedProcess(init.pid, pidfd, args, self.kill, finish, maker)
        _adopted.add(self.first)
        self._all.add(self.first)
        self.watching.started(self.first)

    def _take_ids_of(self, pid: int) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has just ended
            config = with_mappings_of(self._config, pid)
            uids, gids = config.uid_mappings, config.gid_mappings
            self._ids = IdRange(uids[0].host_id, gids[0].host_id)
            self._resolve(config)

    async def release(self) -> None:
        """End what was started from here beside the container's own program, and know
        no more of the container; not cancellable."""
        await uncancelled(self._release)

    async def _release(self) -> None:
        async with self._starting:
            for process in self.later - self._living_on:
                await process.end()
            for process in self._all:
                process.close_streams()
            self.let_go()

    async def destroy(self) -> None:
        """As `Processes.destroy`; not of one that was given back."""
        if self._is_let_go:
            raise StatusError("given back", "destroy it")
        await super().destroy()

    def let_go(self) -> None:
        """Know no more of the container, nor of what was told to live on."""
        self.watching.end()
        for left in (*self._living_on, self.first):
            if left is not None:
                _keep_to_reap(left)
        if self.cgroup is not None and (keeper := let_go(self.cgroup)) is not None:
            _let_go.append(os.pidfd_open(keeper))
        self._is_let_go = True
        if self._ids is not None:
            self._ids.let_go()
        self.ledger.close()
        self.closed = True
        # Not reaped here: a command that ends now leaves that to who comes after it.


async def _knock(folder: Folder) -> int | None:
    """As `gate.knock`; those before us, who only asked, are soon let in and out."""
    with anyio.move_on_after(_QUEUE_S):
        while True:
            try:
                return gate.knock(folder)
            except BlockingIOError:
                await anyio.sleep(0.001)
    raise StatusError("created", "start: its first process doesn't answer")


def _keep_to_reap(process: Process) -> None:
    number = process.let_go()
    if number is None:
        return
    if isinstance(process, AdoptedProcess):
        os.close(number)  # whoever started it reaps it
    else:
        _let_go.append(number)


def reap_let_go() -> None:
    """Reap those children that lived on and have ended by now, and forget about those
    that are no children of ours."""
    for process in tuple(_adopted):
        process.look()  # before its status is gone
    for pidfd in tuple(_let_go):
        try:
            ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            ended = True  # type: ignore[assignment]
        if ended is not None:
            _let_go.remove(pidfd)
            os.close(pidfd)
