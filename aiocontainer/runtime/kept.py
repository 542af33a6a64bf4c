"""A container that is written down: others can find it, and it may outlive us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Unpack

from ..config import Config, ProcessChanges, override
from ..config.base import StrPath
from ..container import Container
from ..errors import StatusError, UnsupportedFeature
from ..proc.handing_over import connected
from ..proc.launch import Arg, Request, checked
from ..proc.listen import ListenSources
from ..proc.process import Process
from ..proc.stdio import DEVNULL, StdioSource, open_stdio
from ..runs import starting
from ..state import MOVES, Record, check_move
from ..supervised import Status
from .inside import KeptProcesses
from .ledger import Ledger

if TYPE_CHECKING:
    from ..cgroups import Cgroup, CgroupPath


class KeptContainer(Container):
    """A `Container` of a `Runtime`. Made by `Runtime.create`, `container` and `load`.

    Leaving its block destroys it where it was made here and not detached; otherwise
    only what was started from here beside its own program is ended.
    """

    _processes: KeptProcesses

    def __init__(
        self, config: Config, ledger: Ledger, *, named_by_us: bool, gated: bool
    ) -> None:
        """For `Runtime` alone."""
        self.config = config
        self.id = ledger.id
        self._ledger = ledger
        self._is_ours = True
        self._processes = KeptProcesses(
            config, ledger, named_by_us=named_by_us, gated=gated
        )

    # -- for `Runtime` -----------------------------------------------------------------

    def adopt(self, record: Record) -> None:
        """Take over what another program has made."""
        self._is_ours = False
        self._processes.adopt(record)

    async def create(
        self,
        args: Sequence[Arg] | None,
        *,
        detach: bool,
        stdin: StdioSource,
        stdout: StdioSource,
        stderr: StdioSource,
        terminal: bool | tuple[int, int],
        pass_fds: Sequence[int],
        console_socket: StrPath | None,
        pidfd_socket: StrPath | None,
        settings: ProcessChanges,
    ) -> None:
        """Make everything, up to the exec; nothing is left if it fails."""
        changed = override(self.config, **settings) if settings else self.config
        if terminal:
            stdin = stdout = stderr = None
        request = checked(
            ["init"] if args is None else args, changed, terminal, pass_fds
        )
        if args is None:
            request = Request(None, changed, request.terminal, request.pass_fds)
        async with connected(console_socket, pidfd_socket, terminal) as receivers:
            try:
                with starting():
                    stdio = open_stdio(stdin, stdout, stderr, bool(terminal))
                await receivers.give(await self._processes.start(request, stdio))
                if detach:
                    await self._processes.let_live()
                    self._is_ours = False
                self._ledger.made(detached=detach)
            except BaseException:
                await self.destroy()
                raise

    # -- changed for who is not alone with it ------------------------------------------

    async def start(
        self,
        args: Sequence[Arg] | None = None,
        *,
        stdin: StdioSource = DEVNULL,
        stdout: StdioSource = DEVNULL,
        stderr: StdioSource = DEVNULL,
        terminal: bool | tuple[int, int] = False,
        pass_fds: Sequence[int] = (),
        listen_fds: ListenSources = (),
        sd_notify: bool | Literal["forward"] = False,
        console_socket: StrPath | None = None,
        pidfd_socket: StrPath | None = None,
        cgroup: CgroupPath | None = None,
        detach: bool = False,
        ignore_paused: bool = False,
        **settings: Unpack[ProcessChanges],
    ) -> Process:
        """Without arguments, let the container's own program, which is created, begin;
        with arguments, start another one beside it, as `Container.start`.

        With ``detach`` that one lives on when this program leaves the container: its
        streams can't be pipes of ours then. With ``ignore_paused`` a paused container
        takes it, too; it begins, and this returns, once that goes on.

        Raises:
            StatusError: the container isn't created, is paused, or has ended.
            ExecError: the program can't be executed; the container is stopped then.
            Others: as `Container.start`.
        """
        if args is None:
            if (status := self.status()) != "created":
                raise StatusError(status, "start")
            return await self._processes.open_gate()
        if self._processes.first is not None:
            status = self.status()
            if not (ignore_paused and status == "paused"):
                check_move(status, "start a process")
        process = await super().start(
            args,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            terminal=terminal,
            pass_fds=pass_fds,
            listen_fds=listen_fds,
            sd_notify=sd_notify,
            console_socket=console_socket,
            pidfd_socket=pidfd_socket,
            cgroup=cgroup,
            **settings,
        )
        if detach:
            await self._processes.let_process_live(process)
        return process

    def status(self) -> Status:
        """Asked of the kernel: ``created`` (its first process waits to be started),
        ``running``, ``paused``, ``checkpointed`` or ``stopped``."""
        inside = self._processes
        if inside.ended:
            record = self._ledger.read()
            is_image = record is not None and record.checkpoint is not None
            return "checkpointed" if is_image else "stopped"
        if inside.first is None:
            return "created"
        if inside.cgroup is not None and inside.cgroup.frozen:
            return "paused"
        return "created" if self._ledger.gate_is_shut() else "running"

    @property
    def detached(self) -> bool:
        """Whether it lives on without the program that made it."""
        record = self._ledger.record
        return record is not None and record.detached

    async def wait(self) -> int:
        """Wait for the end of the container's own program; its exit status.

        Any program may, whether the container's first process is its child or not.

        Raises:
            StatusError: there is none.
            ChildProcessError: it has ended, and nobody knows how: the kernel tells this
                only the parent (before Linux 6.15), or it was too long ago.
        """
        if self._processes.first is None and self._processes.ended:
            record = self._ledger.record
            if record is None or record.exit_status is None:
                raise ChildProcessError(f"nobody knows how {self.id} ended")
            return record.exit_status
        status = await super().wait()
        self._ledger.note_exit(status)
        return status

    def _grouped(self, wanted: str) -> Cgroup:
        if self.status() not in MOVES["pause"]:
            raise StatusError(self.status(), wanted)
        if self._processes.cgroup is None:
            raise UnsupportedFeature(wanted, "the container has no cgroup")
        return self._processes.cgroup

    async def destroy(self) -> None:
        """As `Container.destroy`, whoever made it.

        Raises:
            StatusError: it was given back by `aclose`: load it again.
            CgroupBusy: something is left in the cgroup (a process in state D).
        """
        await super().destroy()

    async def aclose(self) -> None:
        """Leave it: `destroy` where it was made here and not detached; otherwise end
        only what was started from here beside its own program."""
        if self._is_ours:
            await self.destroy()
        else:
            await self._processes.release()

    def let_go(self) -> None:
        """As `aclose` of a container that isn't ours and in which nothing was started
        from here; doesn't wait."""
        self._processes.let_go()
