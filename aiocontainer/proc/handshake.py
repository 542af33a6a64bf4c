"""From a request to a running program: the program's end of one init pipe."""

from __future__ import annotations

import array
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import anyio

from .._sys import pidfd as sys_pidfd
from ..errors import (
    ContainerError,
    HandshakeError,
    SetupError,
    SpawnerError,
)
from ..plan.compile import Plan
from . import init_pipe, spawner
from .failures import failure_of
from .fork_server import Spawner
from .uncancelled import uncancelled

_ANCILLARY: Final = socket.CMSG_SPACE(4)
_PATIENCE_S: Final = 10.0
"""How long clean-up waits for a child that a killed or wedged machine may not give."""

Stop: TypeAlias = Callable[[int, int], Awaitable[None]]
"""Called with the child's pid and a pidfd that stays the handshake's."""
LISTENER: Final = b"listener"
"""Not a stop of the child's: what is done with its listener (in place of the pidfd),
which is closed then."""
NO_STOPS: Final[Mapping[bytes, Stop]] = {}

fault: tuple[str, int, int] | None = None
"""Test hook: (call, n, errno): the n-th such call of the next children fails, or with
errno 0 the child is killed there. See `aiocontainer.proc.helper.child.make_fault`."""


class Child(NamedTuple):
    """A process of ours that executes its program."""

    pid: int
    pidfd: int
    """The caller's to close."""
    terminal: int | None
    """The master of its terminal, the caller's to close."""
    listener: int | None = None
    """The listener of its filter, the caller's to close."""
    notify: int | None = None
    """The socket of its notifications, the caller's to close."""
    sender: int = -1
    """Pidfd of a child that will send the listener to who opens the gate, and ends
    then, or with the process; the caller's to reap."""


@dataclass(slots=True)
class _Progress:
    """What has been heard on the init pipe."""

    key: int
    """What the janitor knows the child by."""
    indirect: bool
    """An intermediate clones the child."""
    mapped: bool = False
    """Another one has its id maps written."""
    pid: int = 0
    pidfd: int = -1
    terminal: int | None = None
    listener: int | None = None
    notify: int | None = None
    intermediates: list[int] = field(default_factory=list)
    sender: int = -1
    """One of the intermediates."""
    has_begun: bool = False
    """The spawner has done its part, by one of these."""
    failed: bytes | None = None
    refused: OSError | None = None
    """We have no descriptor left for what the child gave."""
    went: bool = False
    """GO was sent."""
    reset: bool = False
    """The child ended with GO unread."""
    stopped: bytes | None = None
    """Name of the stop that the child waits at."""
    closed: bool = False
    status: int | None = None
    """How the child ended, where it did."""

    @property
    def all_known(self) -> bool:
        """Every process of this start can be ended and reaped."""
        is_mapped = not self.mapped or len(self.intermediates) > self.indirect
        return self.pidfd >= 0 and is_mapped

    @property
    def executed(self) -> bool:
        """The child took its GO, and closed the pipe by its exec."""
        return (
            self.went
            and not self.reset
            and self.failed is None
            and self.refused is None
        )


async def start(
    key: int,
    plan: Plan,
    descriptors: Sequence[int],
    *,
    join_files: tuple[str, ...] = (),
    cgroup: tuple[int | None, str | None] = (None, None),
    stops: Mapping[bytes, Stop] = NO_STOPS,
) -> Child:
    """Have a child made that executes a plan; returns once the program runs.

    Args:
        key: what the janitor knows it by.
        plan: what to do.
        descriptors: what the plan's indexes refer to, from 1 on (0 is the init pipe).
        join_files: cgroup files that the child writes "0" to.
        cgroup: index among the descriptors of a cgroup2 directory to be born in, and
            the file to join it by where clone3 is refused.
        stops: what is done while the child waits at a stop of the plan, by its name;
            what that raises ends the child, and is raised.

    Cancelled, or failed: the child has ended and has been reaped.

    Raises:
        SetupError, ExecError: a step failed; HandshakeError: the child ended by itself;
        SpawnerError: the spawner was lost, and lost again.
    """
    request = (
        "start",
        key,
        plan.namespaces,
        plan.go_through,
        plan.listens,
        plan.host_wire,
        plan.clone_flags,
        plan.pid_namespace,
        cgroup,
        plan.proc_files,
        plan.map_commands,
        plan.unprivileged,
        plan.tunings,
        plan.time_offsets,
        join_files,
        plan.wire,
        fault,
    )
    try:
        return await _start(request, plan, descriptors, stops)
    except SpawnerError:
        # No child of this request lives: it may be made again, by a new spawner.
        return await _start(request, plan, descriptors, stops)


async def _start(
    request: tuple[Any, ...],
    plan: Plan,
    descriptors: Sequence[int],
    stops: Mapping[bytes, Stop],
) -> Child:
    ours, theirs = socket.socketpair(
        socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
    )
    indirect = bool(plan.go_through or plan.listens or plan.host_steps)
    progress = _Progress(request[1], indirect, bool(plan.map_commands))
    server: Spawner | None = None
    try:
        with theirs:
            theirs.setblocking(True)
            server = await spawner.send(request, (theirs.fileno(), *descriptors))
        while not progress.closed:
            await anyio.wait_readable(ours)
            _receive_all(ours, progress)
            if progress.stopped is not None and progress.pidfd >= 0:
                await _let_go_on(ours, progress, stops)
        if plan.listens and not plan.gated:
            _check_listener(progress)
        if progress.executed:
            sender = progress.sender if plan.gated else -1
            if progress.intermediates:
                await uncancelled(lambda: _collect_intermediates(progress, sender))
            if progress.listener is not None and LISTENER in stops:
                await stops[LISTENER](progress.pid, progress.listener)
                _close(progress.listener)
                progress.listener = None
            return Child(
                progress.pid,
                progress.pidfd,
                progress.terminal,
                progress.listener,
                progress.notify,
                sender,
            )
        await uncancelled(lambda: _collect(progress))
        await _check_spawner(server, progress)
        raise _failure(plan, server, progress)
    except BaseException:
        if server is not None:
            await uncancelled(lambda: _end(ours, progress))
        raise
    finally:
        ours.close()


def _receive_all(pipe: socket.socket, progress: _Progress) -> None:
    """Take in every message that is there."""
    while True:
        try:
            message, ancillary, _, _ = pipe.recvmsg(
                init_pipe.MAX_MESSAGE, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except ConnectionResetError:
            progress.reset = True
            continue
        if not message:
            progress.closed = True
            return
        _take(pipe, message, ancillary, progress)


def _take(
    pipe: socket.socket, message: bytes, ancillary: list[Any], progress: _Progress
) -> None:
    received = array.array("i", ancillary[0][2][:4])[0] if ancillary else -1
    kind = message[:1]
    if received < 0 and kind not in (init_pipe.FAILED, init_pipe.STOP):
        _refuse(message, progress)
        return
    match kind:
        case init_pipe.HELLO if progress.pidfd < 0:
            progress.pidfd = received
            progress.pid = int(message[1:]) or _pid_of(received)
            if progress.indirect:
                # Before its GO: if we are killed now, it ends by itself, or is ended.
                spawner.adopt(progress.key, received)
            progress.went = True
            _send(pipe, init_pipe.GO, progress)
        case init_pipe.INTERMEDIATE:
            progress.intermediates.append(received)
            progress.has_begun = True
        case init_pipe.SENDER:
            progress.intermediates.append(received)
            progress.sender = received
            progress.has_begun = True
        case init_pipe.TERMINAL:
            progress.terminal = received
        case init_pipe.LISTENER:
            progress.listener = received
        case init_pipe.NOTIFY:
            progress.notify = received
        case init_pipe.STOP:
            progress.stopped = message[1:]
        case init_pipe.FAILED:
            progress.failed = progress.failed or message
        case _ if received >= 0:  # a second HELLO
            os.close(received)


def _send(pipe: socket.socket, message: bytes, progress: _Progress) -> None:
    try:
        pipe.send(message)
    except OSError:
        progress.reset = True


async def _let_go_on(
    pipe: socket.socket, progress: _Progress, stops: Mapping[bytes, Stop]
) -> None:
    """Do what is to be done at the stop, and answer."""
    name, progress.stopped = progress.stopped or b"", None
    if (at_stop := stops.get(name)) is not None:
        await at_stop(progress.pid, progress.pidfd)
    _send(pipe, init_pipe.CONTINUE, progress)
    if name != init_pipe.READY:
        _send(pipe, init_pipe.GO, progress)


def _refuse(message: bytes, progress: _Progress) -> None:
    """End a child whose descriptor the kernel threw away for want of a number."""
    progress.refused = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    if message[:1] == init_pipe.HELLO:
        progress.pid = progress.pid or int(message[1:])
    if progress.pidfd >= 0:
        sys_pidfd.send_signal(progress.pidfd, signal.SIGKILL)
    elif progress.pid > 0:  # still ours alone: nobody has reaped it
        os.kill(progress.pid, signal.SIGKILL)


def _pid_of(pidfd: int) -> int:
    """The pid behind a pidfd, as we see it (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        for line in file:
            if line.startswith("Pid:"):
                return int(line[4:])
    return -1


def _check_listener(progress: _Progress) -> None:
    """Raise if the child went on, and who was to send its listener didn't."""
    if progress.executed and progress.listener is None:
        if not sys_pidfd.is_exiting(progress.pid):
            raise HandshakeError("the listener of the filter was lost")
        progress.reset = True  # the child ended before its filter was loaded


async def _collect(progress: _Progress) -> None:
    """Wait for the end of the child and of what went before it, and reap them."""
    # It names the child by its pid, which is the child's until that is reaped.
    await _collect_intermediates(progress)
    if progress.pidfd >= 0:
        ended = await _await_end(progress.pidfd)
        progress.status = None if ended is None else ended.status
        progress.pidfd = _close(progress.pidfd)
    elif progress.refused is not None and progress.pid > 0:
        await _await_end_of_pid(progress.pid)
    if progress.terminal is not None:
        os.close(progress.terminal)
        progress.terminal = None
    if progress.listener is not None:
        os.close(progress.listener)
        progress.listener = None
    if progress.notify is not None:
        os.close(progress.notify)
        progress.notify = None


async def _collect_intermediates(progress: _Progress, but: int = -1) -> None:
    """Reap them, but for one that lives on."""
    for pidfd in [*progress.intermediates]:
        if pidfd != but:
            await _await_end(pidfd)
            progress.intermediates.remove(pidfd)
            os.close(pidfd)


async def _check_spawner(server: Spawner, progress: _Progress) -> None:
    """Raise if there never was a child because the spawner was lost."""
    is_silent = not progress.pid and progress.failed is None
    if is_silent and not progress.has_begun and await server.has_ended():
        raise spawner.lost(server)


def _failure(plan: Plan, server: Spawner, progress: _Progress) -> ContainerError:
    """What the child failed of."""
    if progress.failed is not None:
        return failure_of(plan, progress.failed)
    if progress.refused is not None:
        error = SetupError("take over the process", str(progress.refused.strerror))
        error.__cause__ = progress.refused
        return error
    how = "unknown" if progress.status is None else str(progress.status)
    return HandshakeError(f"the child ended before it could execute, status {how}")


async def _end(pipe: socket.socket, progress: _Progress) -> None:
    """Kill and reap the child of an abandoned start, after its HELLO if need be."""
    if progress.pidfd < 0:
        # They may wait for a file system of the host. A child that was made already
        # makes itself known.
        for intermediate in progress.intermediates:
            sys_pidfd.send_signal(intermediate, signal.SIGKILL)
    with anyio.move_on_after(_PATIENCE_S):
        while not (progress.all_known or progress.closed):
            await anyio.wait_readable(pipe)
            _receive_all(pipe, progress)
    if progress.pidfd >= 0:
        sys_pidfd.send_signal(progress.pidfd, signal.SIGKILL)
    await _collect(progress)


async def _await_end(pidfd: int) -> sys_pidfd.Exit | None:
    with anyio.move_on_after(_PATIENCE_S):
        while (ended := sys_pidfd.reap(pidfd)) is None:
            await anyio.wait_readable(pidfd)
        return ended
    return None


async def _await_end_of_pid(pid: int) -> None:
    """Reap a child that was killed, and of which there is no pidfd to wait on."""
    with anyio.move_on_after(_PATIENCE_S):
        while not sys_pidfd.reap_by_pid(pid):  # noqa: ASYNC110
            await anyio.sleep(0.001)


def _close(descriptor: int) -> int:
    os.close(descriptor)
    return -1
