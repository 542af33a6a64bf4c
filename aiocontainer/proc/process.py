"""A process in a container."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio import abc

from .._sys import pidfd as sys_pidfd
from . import spawner
from .capture import Channel, Sink, communicate
from .ends import Ends
from .handshake import Child
from .result import ExitReason, Usage
from .sd_notify import NotificationStream
from .stdio import Stdio
from .streams import ReceiveStream, SendStream
from .syscalls import SyscallStream
from .terminal import Terminal
from .uncancelled import uncancelled

KILL_PATIENCE_S: Final = 10.0
"""How long the end of a killed process is waited for: one in uninterruptible sleep
(state D) can't be hurried."""


class Process(abc.Process):
    """A program running in a container. Made by `Container.start`.

    A superset of ``anyio.abc.Process``. Usable as an async context manager: leaving the
    block kills what is still running.
    """

    def __init__(
        self,
        args: tuple[str, ...],
        child: Child,
        stdio: Stdio,
        key: int | None,
        started: float,
        kill_tree: Callable[[], None],
        finish: Callable[[sys_pidfd.Exit, float], tuple[Usage, int]],
        clean_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """For `Container` alone.

        Args:
            args: what was executed.
            child: its descriptors are taken over.
            stdio: its streams are taken over.
            key: what the spawner's janitor knows it by; ``None`` where that isn't to
                end it with this program.
            started: when, by ``time.monotonic``.
            kill_tree: sends SIGKILL to it and its descendants.
            finish: called once, after its end, before anybody hears of it: what it
                used, and how many of its own tree the kernel killed for memory.
            clean_up: waits for the end of all that was killed with it.
        """
        self.args = args
        self._pid = child.pid
        self._pidfd = child.pidfd
        self._terminal = None if child.terminal is None else Terminal(child.terminal)
        self._notifications = (
            None
            if child.notify is None
            else NotificationStream(child.notify, child.pidfd)
        )
        self._syscalls = (
            None if child.listener is None else SyscallStream(child.listener)
        )
        self._sender = child.sender
        self._stdio = stdio
        self._key = key
        self._started = started
        self._kill_tree = kill_tree
        self._finish = finish
        self._clean_up = clean_up
        self._turn = anyio.Lock()
        self._watching = -1
        self._ends: Ends | None = None
        self._joined: Ends | None = None
        self._returncode: int | None = None
        self._usage: Usage | None = None
        self._oom_kills = 0
        self._cause: ExitReason | None = None
        if key is not None:
            spawner.watch_process(key, self._pidfd)

    def __repr__(self) -> str:
        state = "running" if self._usage is None else f"returncode={self._returncode}"
        return f"<Process {' '.join(self.args)!r} pid={self._pid} {state}>"

    # -- what is known without waiting ------------------------------------------------

    @property
    def pid(self) -> int:
        """Process id as the program (not the container) sees it."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; ``None`` while it runs, or unknown."""
        self.look()
        return self._returncode

    @property
    def pidfd(self) -> int:
        """A pidfd of it, which stays the process's own; -1 once it has ended."""
        return self._pidfd

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        self.look()
        return self._usage is not None

    @property
    def reason(self) -> ExitReason | None:
        """Why it ended; ``None`` while it runs."""
        self.look()
        if self._usage is None:
            return None
        if self._returncode is None:
            return ExitReason.UNKNOWN
        killed = self._returncode == -signal.SIGKILL
        if self._oom_kills and self._returncode != 0 and not self._cause:
            return ExitReason.OOM_KILLED
        if self._cause is not None and killed:
            return self._cause
        return ExitReason.SIGNALED if self._returncode < 0 else ExitReason.EXITED

    @property
    def usage(self) -> Usage | None:
        """What it used; ``None`` while it runs."""
        self.look()
        return self._usage

    @property
    def stdin(self) -> SendStream | None:
        """Where to send its input, if ``stdin=PIPE``."""
        return self._stdio.stdin

    @property
    def stdout(self) -> ReceiveStream | None:
        """Its output, if ``stdout=PIPE``."""
        return self._stdio.stdout

    @property
    def stderr(self) -> ReceiveStream | None:
        """Its errors, if ``stderr=PIPE``."""
        return self._stdio.stderr

    @property
    def terminal(self) -> Terminal | None:
        """Its terminal, if it has one."""
        return self._terminal

    def release_terminal(self) -> int:
        """Give the terminal's descriptor away, blocking; it isn't the process's then.

        Raises:
            anyio.BusyResourceError: some task uses it.
            ValueError: there is none.
        """
        if self._terminal is None:
            raise ValueError("it has no terminal")
        number = self._terminal.hand_over()
        self._terminal = None
        return number

    @property
    def notifications(self) -> NotificationStream | None:
        """What it says by sd_notify(3), if started with ``sd_notify``."""
        return self._notifications

    @property
    def syscalls(self) -> SyscallStream | None:
        """Its calls that wait for an answer, if its filter has ``NOTIFY``; closed with
        the process's streams."""
        return self._syscalls

    # -- waiting ----------------------------------------------------------------------

    async def wait(self) -> int:
        """Wait until it has ended; any number of tasks may.

        A descendant that keeps stdout open doesn't hold this up. Cancelling this
        leaves the process running.

        Returns:
            Exit status, or the negative number of the signal that ended it.

        Raises:
            ChildProcessError: it ended, and nobody knows how (see `ExitReason`).
        """
        await self.wait_for_end()
        if self._returncode is None:
            raise ChildProcessError(
                f"the status of pid {self._pid} was taken elsewhere"
            )
        return self._returncode

    async def wait_for_end(self) -> None:
        """Like `wait`, without saying how it ended."""
        while not self.ended:
            async with self._turn:  # anyio lets only one task watch a descriptor
                if self.ended:
                    return
                if self._pidfd < 0:
                    raise anyio.ClosedResourceError
                self._watching = (self._ends or self).fileno()
                try:
                    await anyio.wait_readable(self._watching)
                except anyio.ClosedResourceError:
                    continue  # `wait_for` has something better to watch
                finally:
                    self._watching = -1
                    self._close_after_end()

    def fileno(self) -> int:
        """Its pidfd, as `pidfd`."""
        return self._pidfd

    def wait_for(self, joined: Process) -> None:
        """For `Container` alone: this is pid 1, whose end must wait for ``joined``'s.

        Whoever waits for pid 1 then reaps the others, too.
        """
        if self._ends is None:
            if self.ended:
                return
            self._ends = Ends(self._pidfd)
            if self._watching >= 0:
                anyio.notify_closing(self._watching)
        joined._joined = self._ends
        self._ends.add(joined._pidfd, joined.look)

    def look(self) -> None:
        """Collect its end if there is one, without waiting."""
        if self._usage is not None or self._pidfd < 0:
            return
        if self._ends is not None:
            self._ends.collect()
        ended = self._reap()
        if ended is not None:
            self._returncode = ended.status
            wall_s = time.monotonic() - self._started
            self._usage, self._oom_kills = self._finish(ended, wall_s)
            if self._key is not None:
                spawner.forget(self._key)
            if self._joined is not None:
                self._joined.remove(self._pidfd)
            self._close_after_end()

    def _reap(self) -> sys_pidfd.Exit | None:
        """How it ended; ``None`` while it runs."""
        return sys_pidfd.reap(self._pidfd)

    def _close_after_end(self) -> None:
        # Not under a task that watches it: the loop would never wake that task.
        if self._usage is not None and self._watching < 0 and self._pidfd >= 0:
            if self._ends is not None:
                self._ends.close()
            os.close(self._pidfd)
            self._pidfd = -1

    async def communicate(
        self, input: bytes | None = None
    ) -> tuple[bytes | None, bytes | None]:
        """Send ``input``, receive what it prints, and wait until it has ended.

        Returns:
            What came from stdout and stderr; ``None`` where that isn't a ``PIPE``.

        Cancelling leaves the process running; what had been received is lost.
        """
        sink = Sink(None)
        await communicate(
            self.wait_for_end,
            self.outputs(sink),
            stdin=self.stdin,
            data=input or b"",
        )
        return (
            None if self.stdout is None else sink.stdout.getvalue(),
            None if self.stderr is None else sink.stderr.getvalue(),
        )

    def outputs(self, sink: Sink) -> list[tuple[ReceiveStream, Channel]]:
        """Its streams that are pipes, each with its share of ``sink``."""
        both = ((self.stdout, sink.stdout), (self.stderr, sink.stderr))
        return [(stream, channel) for stream, channel in both if stream is not None]

    # -- ending -----------------------------------------------------------------------

    def send_signal(self, signal: int) -> None:
        """Send a signal to the process itself (not to its descendants).

        Nothing happens if it has ended: pidfds never reach somebody else.
        """
        if not self.ended:
            sys_pidfd.send_signal(self._pidfd, signal)

    def terminate(self) -> None:
        """Send SIGTERM. Pid 1 of a container ignores it unless it handles it."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process and all its descendants."""
        if not self.ended:
            self._kill_tree()

    def kill_because(self, cause: ExitReason) -> bool:
        """Kill it and its descendants, and have ``cause`` told as the reason; False if
        it has ended."""
        is_running = self.blame(cause)
        if is_running:
            self._kill_tree()
        return is_running

    def blame(self, cause: ExitReason) -> bool:
        """Have ``cause`` told as the reason of a kill to come; False once it ended."""
        if self.ended:
            return False
        self._cause = self._cause or cause
        return True

    async def end(self, cause: ExitReason = ExitReason.CANCELLED) -> None:
        """Kill it and its descendants, and wait until it has ended; bounded in time.

        Not cancellable: an unreaped process would stay a zombie.
        """
        if not self.ended:
            await uncancelled(lambda: self._end(cause))
        if self._sender >= 0:
            await uncancelled(self.reap_sender)

    async def reap_sender(self) -> None:
        """Reap who was to send the listener: it ends with the exec, or with this."""
        with anyio.move_on_after(KILL_PATIENCE_S):
            while self._sender >= 0 and sys_pidfd.reap(self._sender) is None:
                await anyio.wait_readable(self._sender)
            if self._sender >= 0:
                os.close(self._sender)
                self._sender = -1

    def listen(self, listener: int) -> None:
        """For `KeptContainer` alone: it was started, and this came of it."""
        self._syscalls = SyscallStream(listener)

    async def _end(self, cause: ExitReason) -> None:
        with anyio.move_on_after(KILL_PATIENCE_S):
            is_killed = self.kill_because(cause)
            await self.wait_for_end()
            if is_killed and self._clean_up is not None:
                await self._clean_up()

    def let_go(self) -> int | None:
        """For `Container` alone: know no more of it, whether it runs or not. Its pidfd,
        to be reaped by, unless it was.

        It isn't reaped here: it may be for somebody else to, who comes after us.
        """
        if self._usage is not None or self._pidfd < 0:
            return None
        if self._watching >= 0:
            anyio.notify_closing(self._watching)
        if self._ends is not None:
            self._ends.close()
        number, self._pidfd = self._pidfd, -1
        return number

    def close_streams(self) -> None:
        """Close what is open of its streams and terminal."""
        self._stdio.close()
        if self._terminal is not None:
            self._terminal.close()
        if self._syscalls is not None:
            self._syscalls.close()
        if self._notifications is not None:
            self._notifications.close()

    async def aclose(self) -> None:
        """Kill it if it is still running, and close its streams."""
        try:
            await self.end()
        finally:
            self.close_streams()
