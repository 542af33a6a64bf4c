"""System calls that wait for this program's answer (seccomp_unotify(2))."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self, TypeAlias, TypeVar

import anyio

from .listener import Listener
from .syscall_call import Answer, SyscallCall

_T = TypeVar("_T")

Decide: TypeAlias = Callable[[SyscallCall], Awaitable[Answer]]
"""What a call gets; a coroutine function."""


class SyscallStream(AsyncIterator[SyscallCall]):
    """Calls of a process, and of its descendants, that its filter has ``NOTIFY`` for.

    An async iterator that ends with the last process that has the filter. Until they
    are read, calls wait. Closed, they and all that follow fail with ENOSYS. One task
    reads it at a time.
    """

    def __init__(self, listener: int) -> None:
        """Take over the listener."""
        self._listener = Listener(listener)

    async def __anext__(self) -> SyscallCall:
        """The next call that waits. Cancelling this loses none.

        Raises:
            StopAsyncIteration: no process has the filter any more.
            anyio.ClosedResourceError: this was closed.
            anyio.BusyResourceError: another task reads it already.
        """
        received = await self._listener.receive()
        if received is None:
            raise StopAsyncIteration
        return SyscallCall(self._listener, received)

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    async def serve(self, decide: Decide, *, at_once: int = 256) -> None:
        """Answer every call by ``decide(call)``, many at once, until the last process
        that has the filter has ended.

        Args:
            decide: gives a `Continue`, `Errno`, `Return` or `AddFd`. A slow one holds
                up nobody else. One that answered by the call's own methods is asked for
                nothing more.
            at_once: how many may be undecided; further calls wait in the kernel.

        Raises:
            Exception: what ``decide`` raised first. That call and all undecided ones
                fail with EPERM.

        Cancelled, undecided calls fail with EPERM too, and others go on waiting.
        """
        undecided: set[SyscallCall] = set()
        failed: list[Exception] = []
        slots = anyio.Semaphore(at_once)

        async def answer(call: SyscallCall) -> None:
            try:
                given = await decide(call)
                if not call.answered:
                    await call.give(given)
            except Exception as error:
                failed.append(error)
                tasks.cancel_scope.cancel()
            finally:
                call.refuse()
                undecided.discard(call)
                slots.release()

        try:
            async with anyio.create_task_group() as tasks:
                try:
                    await slots.acquire()
                    async for call in self:
                        undecided.add(call)
                        tasks.start_soon(answer, call)
                        await slots.acquire()
                except Exception as error:
                    failed.append(error)
                    tasks.cancel_scope.cancel()
        finally:
            for call in undecided:  # their tasks were cancelled before they ran
                call.refuse()
        if failed:
            raise failed[0]

    async def aclose(self) -> None:
        """Let the listener go. Doesn't wait; once is enough."""
        self.close()

    def close(self) -> None:
        """`aclose` for where nothing can be awaited."""
        self._listener.close()


async def serving(
    stream: SyscallStream | None,
    decide: Decide | None,
    work: Callable[[], Awaitable[_T]],
) -> _T:
    """Do ``work`` while calls are answered; if ``decide`` fails, that is cancelled.

    Without a ``decide`` the listener is let go.
    """
    if stream is not None and decide is None:
        stream.close()
    if stream is None or decide is None:
        return await work()
    failed: list[Exception] = []
    result: list[_T] = []

    async def serve() -> None:
        try:
            await stream.serve(decide)
        except anyio.ClosedResourceError:
            pass  # the process has ended, and left others
        except Exception as error:
            failed.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        try:
            result.append(await work())
        except Exception as error:
            failed.append(error)
        tasks.cancel_scope.cancel()
    if failed:
        raise failed[0]
    return result[0]
