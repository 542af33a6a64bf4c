"""The descriptor that waiting system calls are read from and answered by."""

from __future__ import annotations

import errno
import os
import select

import anyio
import anyio.lowlevel

from .._sys import notifications
from ..errors import SetupError
from ..plan import answers as plans
from .descriptor import Descriptor
from .errand import run_errand


class Listener(Descriptor):
    """The listener of a filter. Its number is given back when no task waits on it."""

    __slots__ = ()

    @property
    def is_open(self) -> bool:
        return self._number >= 0

    async def receive(self) -> notifications.Notification | None:
        """The next call; ``None`` once no process uses the filter any more."""
        number = self._start_reading()
        try:
            await anyio.lowlevel.checkpoint()
            poll = select.poll()
            poll.register(number, select.POLLIN)
            while self._number >= 0:
                events = next(iter(poll.poll(0)), (number, 0))[1]
                # Never asked without that: the kernel would wait for the next call.
                if events & select.POLLIN:
                    received = notifications.receive(number)
                    if received is not None:
                        return received
                elif events:
                    self._is_at_end = True
                    return None
                else:
                    await anyio.wait_readable(number)
            raise anyio.ClosedResourceError
        finally:
            self._reading = False
            if self._closing >= 0:
                self._leave()

    def is_waiting(self, call: int) -> bool:
        return self.is_open and notifications.is_waiting(self._number, call)

    def let_continue(self, call: int) -> bool:
        return self.is_open and notifications.let_continue(self._number, call)

    def respond(self, call: int, value: int, code: int) -> bool:
        return self.is_open and notifications.respond(self._number, call, value, code)

    async def add_descriptor(
        self,
        call: int,
        descriptor: int,
        *,
        number: int | None = None,
        close_on_exec: bool = True,
        answer: bool = False,
    ) -> int | None:
        """Put a duplicate into the caller's table: its number there, or ``None`` if the
        call waits no more.

        The kernel waits for the caller to run and take it, which in a cgroup without
        CPU time may be long: a child of the helper does that, and takes 2 ms.

        Raises:
            OSError: as ``EMFILE``.
            ContainerError: the helper was lost.
        """
        plan = plans.add_descriptor(
            call, number, close_on_exec=close_on_exec, answer=answer
        )
        reader, writer = os.pipe()
        try:
            if not self.is_open:
                return None
            await run_errand(plan, (self._number, descriptor, writer))
            return int(os.read(reader, 16))
        except SetupError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError):
                raise
            # EINPROGRESS: it has had its answer.
            if cause.errno in (errno.ENOENT, errno.EINPROGRESS):
                return None
            raise OSError(cause.errno, cause.strerror) from error
        finally:
            os.close(reader)
            os.close(writer)
