"""`Container`: joins the rooms below into one object."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self, Unpack

import anyio

from .config import Config, Mount, ProcessChanges, override
from .config.base import StrPath
from .errors import ConfigError
from .hot_mounts import HotMounts
from .isolation import Isolation, isolation_of
from .proc.capture import Overflow
from .proc.handing_over import connected
from .proc.launch import Arg, checked
from .proc.listen import ListenSources
from .proc.process import Process
from .proc.result import Result
from .proc.run import RunOptions, finish, not_started
from .proc.stdio import DEVNULL, PIPE, StdioSource, open_stdio
from .proc.syscalls import Decide, serving
from .processes import Processes
from .runs import starting
from .supervised import Status, Supervised, checked_size

if TYPE_CHECKING:
    from .cgroups import CGroup, CgroupPath, Entry
    from .network.parts import NetworkStatus


class Container(Supervised):
    """A container: made when its first process starts, gone when the block is left.

    The first process that is `start`ed is the container's own program: pid 1, whose end
    is the end of all. Later ones join it. `run` on a container that has no program puts
    a built-in init there, so it can be called any number of times.

    No task, thread or cancel scope is held open between calls.
    """

    def __init__(
        self, config: Config, *, id: str | None = None, group: CGroup | None = None
    ) -> None:
        """Check the config; nothing is touched.

        Args:
            config: what the container is.
            id: its name, for cgroup and host name; made up when ``None``.
            group: a group of processes that the container is one of: its limits hold
                for all of them together. It has to be entered before, and left after.

        Raises:
            ConfigError: a wrong id, or a place of its own besides the group.
            UnsupportedFeature: asked for, but not possible.
        """
        self.config = config
        self.id = os.urandom(6).hex() if id is None else _checked_id(id)
        made_up = id is None and config.cgroup.name is None
        if group is not None and (config.cgroup.parent or config.cgroup.mode != "auto"):
            raise ConfigError("cgroup", "its place is in the group that was given")
        self._processes = Processes(config, self.id, named_by_us=made_up, group=group)

    def __repr__(self) -> str:
        return f"<Container {self.id} {self.status()}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    # -- processes -------------------------------------------------------------

    async def start(
        self,
        args: Sequence[Arg],
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
        **settings: Unpack[ProcessChanges],
    ) -> Process:
        """Start a program; the first one is the container's own, pid 1.

        Nothing of the caller's is shared unless given: ``None`` as a stream is the
        caller's own, as in ``subprocess``.

        Args:
            args: program and arguments; without a slash it is looked for in the
                ``PATH`` of its environment, inside the container.
            stdin, stdout, stderr: ``PIPE``, ``DEVNULL``, ``STDOUT`` (stderr only), a
                descriptor, an open file, another process's stream, or ``None``.
            terminal: a new one instead of the three; (rows, columns) sets its size.
            pass_fds: descriptors that keep their numbers in the program. A directory's
                is a way out of the container (openat(2) with ``..``).
            listen_fds: sockets or descriptors that the program finds from 3 on, as
                sd_listen_fds(3) has it; a mapping gives them names.
            sd_notify: give it a ``NOTIFY_SOCKET``, read by `Process.notifications`;
                ``"forward"`` sends what is read on to this program's own, too.
            console_socket: path of a socket that is sent the terminal, which then isn't
                the `Process`'s.
            pidfd_socket: path of a socket that is sent a pidfd of the process.
            cgroup: where it is to be instead of a cgroup of its own: an existing one
                below the container's (``"/"``), as the container itself sees it; on v1
                also ``{controller: path}``. What it uses isn't counted by itself then,
                and a kill reaches only its process group.
            settings: fields of `ProcessSettings` that differ from the config's:
                ``env``, ``cwd``, ``user``, ``capabilities``, ``rlimits``...

        Raises:
            ConfigError: wrong arguments. Nothing was touched.
            StatusError: the container has ended.
            ExecError: the program can't be executed.
            SetupError: a step failed.
            CgroupError: the cgroup or a limit was refused.
            SpawnerError, HandshakeError: the helper was lost.

        Cancelled or failed, it leaves nothing behind.
        """
        self._processes.check_open()
        changed = override(self.config, **settings) if settings else self.config
        if terminal:
            stdin = stdout = stderr = None
        if sd_notify:
            _check_dev(self.config)
        entry = None if cgroup is None else self._entry(cgroup)
        request = checked(
            args, changed, terminal, pass_fds, listen_fds, bool(sd_notify), entry
        )
        async with connected(console_socket, pidfd_socket, terminal) as receivers:
            with starting():
                stdio = open_stdio(stdin, stdout, stderr, bool(terminal))
            process = await self._processes.start(request, stdio)
            await receivers.give(process)
        if sd_notify == "forward" and process.notifications is not None:
            socket = os.environ.get("NOTIFY_SOCKET")
            process.notifications.forward_to(socket, self.processes)
        return process

    def _entry(self, cgroup: CgroupPath) -> Entry:
        if self._processes.first is None:
            reason = "can't be chosen: the first process is in the container's own"
            raise ConfigError("cgroup", reason)
        from .cgroups import entry_below

        return entry_below(self._processes.cgroup, cgroup)

    async def run(
        self,
        args: Sequence[Arg],
        *,
        input: bytes | None = None,
        stdin: StdioSource = DEVNULL,
        stdout: StdioSource = PIPE,
        stderr: StdioSource = PIPE,
        timeout: float | None = None,
        max_output: int | str | None = None,
        overflow: Overflow = "truncate",
        check: bool = False,
        init: bool = True,
        pass_fds: Sequence[int] = (),
        on_syscall: Decide | None = None,
        **settings: Unpack[ProcessChanges],
    ) -> Result:
        """Run a program to its end, beside the container's own.

        What it leaves running (a daemon) lives on in the container, unless it was
        killed: then all its descendants are.

        Args:
            args: as for `start`.
            input: sent to its stdin.
            stdin, stdout, stderr: as for `start`; ``PIPE`` captures.
            timeout: seconds after which it and its descendants are killed, counted from
                this call on.
            max_output: most bytes kept of stdout and stderr together (``"10MiB"``).
            overflow: what happens with more: ``"truncate"`` throws it away, ``"kill"``
                kills, ``"raise"`` kills and raises.
            check: raise unless it ends with status 0.
            init: a container that has no program yet gets the built-in init; without,
                this program is the container's own.
            pass_fds, settings: as for `start`.
            on_syscall: coroutine function that answers the calls which its filter has
                ``NOTIFY`` for; see `SyscallStream.serve`. Without, they fail with
                ENOSYS. What it raises ends the run, and is raised.

        Raises:
            ProcessFailed: with ``check`` or ``overflow="raise"``; has the result.
            ContainerError: whatever `start` raises.

        Cancelling kills it and its descendants, and nothing else in the container.
        """
        limit = None if max_output is None else checked_size("max_output", max_output)
        if input is not None:
            stdin = PIPE
        began = anyio.current_time()
        # The start counts: what runs in the container can hold up who joins it.
        with anyio.move_on_after(timeout) as scope:
            if init and self._processes.first is None:
                await self._processes.ensure_init()
            process = await self.start(
                args,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
                **settings,
            )
        spent = anyio.current_time() - began
        if scope.cancelled_caught:
            return not_started(args, spent, check)
        left = None if timeout is None else max(0.0, timeout - spent)
        return await serving(
            process.syscalls,
            on_syscall,
            lambda: finish(process, input, left, limit, overflow, check),
        )

    # -- the container as a whole ----------------------------------------------

    @property
    def pid(self) -> int | None:
        """Process id of the first process, as the caller sees it; ``None`` before."""
        first = self._processes.first
        return None if first is None else first.pid

    @property
    def init(self) -> Process | None:
        """The first process."""
        return self._processes.first

    def status(self) -> Status:
        """Asked of the kernel: ``created`` before the first process, ``running``,
        ``paused``, or ``stopped``."""
        if self._processes.ended:
            return "stopped"
        if self._processes.first is None:
            return "created"
        cgroup = self._processes.cgroup
        return "paused" if cgroup is not None and cgroup.frozen else "running"

    @property
    def isolation(self) -> Isolation:
        """What keeps it apart from the host, as far as this machine and user permit.

        Raises:
            StatusError: there is no process yet, so nothing is in force.
        """
        self._running("tell what is in force")
        return isolation_of(self._processes.resolved, self._processes.cgroup)

    @property
    def networks(self) -> tuple[NetworkStatus, ...]:
        """The interfaces that it has by its config, with their addresses and published
        ports, in the order of the config; empty before it runs and after."""
        return self._processes.networks

    def processes(self) -> list[int]:
        """Process ids of all that runs in the container, as the caller sees them.

        The list may be old by the time it is read. Without cgroups only those that were
        started from here are known.
        """
        inside = self._processes
        if inside.cgroup is not None:
            return sorted(inside.cgroup.pids())
        known = {inside.first, *inside.later}
        return sorted(p.pid for p in known if p is not None and not p.ended)

    async def wait(self) -> int:
        """Wait for the end of the container's own program; its exit status.

        Raises:
            StatusError: there is none.
        """
        return await self._running("wait").wait()

    # -- mounts ----------------------------------------------------------------

    async def mount(self, mount: Mount) -> None:
        """Mount something while the container runs, or change what is mounted.

        A bind's source is what this program sees there. The destination is looked up
        in the container, whose links can't lead out of it, and is made if missing.
        Cancelled or failed, nothing is mounted (but the place may have been made).

        Raises:
            StatusError: the container isn't running.
            UnsupportedFeature: a kind that has to be there from the start.
            SetupError: a step failed, or took 30 seconds.
        """
        await self._hot_mounts.mount(self._running("mount"), mount)

    async def unmount(self, destination: StrPath) -> None:
        """Take away the mount at ``destination``, lazily: who has a file of it open can
        use that on.

        Of what `mount` put there it is that very mount. Anything else but the root and
        kernel files can be unmounted too; then no symbolic link is followed.

        Raises:
            ConfigError: a path that can't be.
            StatusError: the container isn't running.
            SetupError: nothing is mounted there, or it took 30 seconds.
        """
        await self._hot_mounts.unmount(self._running("unmount"), os.fspath(destination))

    @cached_property
    def _hot_mounts(self) -> HotMounts:
        return HotMounts(self.config)

    # -- ending ----------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Send a signal to the first process. The built-in init sends it on to all."""
        self._running("signal").send_signal(number)

    def terminate(self) -> None:
        """Send SIGTERM to the first process; see `Process.terminate`."""
        self._running("terminate").terminate()

    def kill(self) -> None:
        """Send SIGKILL to every process of the container."""
        if self._processes.first is not None:
            self._processes.kill_by_request()

    async def aclose(self) -> None:
        """End and remove the container, however far it came; the same as `destroy`."""
        await self.destroy()

    async def destroy(self) -> None:
        """End all its processes and remove what was made for it.

        Idempotent. Not cancellable, but bounded in time: what can't be removed raises.

        Raises:
            CgroupBusy: something is left in the cgroup (a process in state D).
        """
        await self._processes.destroy()


def _check_dev(config: Config) -> None:
    """The notification socket is to be gone with the container."""
    mounts = (*config.system_mounts, *config.mounts)
    if not any(m.destination == "/dev" and m.type == "tmpfs" for m in mounts):
        raise ConfigError("sd_notify", "needs a tmpfs on the container's /dev")


def _checked_id(id: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_+.-]{1,64}", id) or id in (".", ".."):
        raise ConfigError("id", "should be 1 to 64 of the characters A-Z a-z 0-9 _+.-")
    return id


async def run(
    config: Config,
    args: Sequence[Arg],
    *,
    id: str | None = None,
    group: CGroup | None = None,
    **options: Unpack[RunOptions],
) -> Result:
    """Run one program in a container of its own, to its end.

    The program is the container's pid 1, and all is gone when this returns.

    Args:
        config: what the container is.
        args: program and arguments.
        id: the container's name.
        group: as for `Container`.
        options: as for `Container.run`.

    Raises:
        What `Container.run` raises. Cancelling kills the program.
    """
    async with Container(config, id=id, group=group) as container:
        return await container.run(args, init=False, **options)
