"""Sweeps: run an operation again and again, disturbed at each possible point in turn.

`cancel_sweep` cancels at the k-th suspension, for all k. `fault_sweep` lets the k-th
kernel call of this process fail, for all k. Both end with the first undisturbed run.
"""

import errno
import inspect
import os
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio

from aiocontainer._sys import libc

T = TypeVar("T")
Check = Callable[[int], Awaitable[None] | None]


class _Counted(Generic[T]):
    """An awaitable that counts the suspensions of ``inner``, and acts at one."""

    def __init__(self, inner: Coroutine[Any, Any, T], at: int, act: Callable[[], None]):
        self.count = 0
        self._inner = inner
        self._at = at
        self._act = act

    def __await__(self) -> Generator[Any, Any, T]:
        reply: Any = None
        failure: BaseException | None = None
        while True:
            try:
                if failure is None:
                    waiting = self._inner.send(reply)
                else:
                    waiting = self._inner.throw(failure)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            # Acting while the task is the running one: the event loop then delivers
            # at this very suspension, before anything else can happen.
            if self.count == self._at:
                self._act()
            self.count += 1
            reply, failure = None, None
            try:
                reply = yield waiting
            except BaseException as error:
                failure = error


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep has seen."""

    points: int
    """How many places were disturbed, one run each."""
    completed: int
    """Of these runs, the ones that came to their end all the same."""


async def _settle(check: Check, point: int) -> None:
    outcome = check(point)
    if inspect.isawaitable(outcome):
        await outcome


async def cancel_sweep(
    operation: Callable[[], Coroutine[Any, Any, Any]],
    check: Check,
    *,
    timeout_s: float = 30,
    limit: int = 1000,
) -> Sweep:
    """Run ``operation()`` with a cancellation at its k-th suspension, for all k.

    Works on every event loop: it is the cancellation of the anyio scope around the
    operation. An operation that swallows it (goes on to its next long wait) hangs, so
    each run has ``timeout_s``. After each run ``check(k)`` (which may be async) says
    whether all is as before.

    Raises:
        TimeoutError: a cancelled run did not end.
        AssertionError: there were more than ``limit`` suspensions.
    """
    completed = 0
    for point in range(limit):
        finished = False
        with anyio.fail_after(timeout_s), anyio.CancelScope() as scope:
            counted = _Counted(operation(), point, scope.cancel)
            await counted
            finished = True
        await _settle(check, point)
        if counted.count <= point:
            assert finished
            return Sweep(point, completed)
        completed += finished
    raise AssertionError(f"more than {limit} suspensions")


async def task_cancel_sweep(
    operation: Callable[[], Coroutine[Any, Any, Any]],
    check: Check,
    *,
    timeout_s: float = 30,
    limit: int = 1000,
) -> Sweep:
    """As `cancel_sweep`, by ``asyncio.Task.cancel``: asyncio and uvloop only.

    One task is made for each run, and cancelled once, as ``asyncio.timeout`` and task
    groups do: what isn't shielded for anyio alone shows here.
    """
    import asyncio

    completed = 0
    for point in range(limit):
        counted: _Counted[Any] | None = None

        async def run(point: int = point) -> None:
            nonlocal counted
            task = asyncio.current_task()
            assert task is not None
            counted = _Counted(operation(), point, task.cancel)  # type: ignore[arg-type]
            await counted

        task = asyncio.ensure_future(run())
        done, _ = await asyncio.wait([task], timeout=timeout_s)
        if not done:
            raise TimeoutError(f"cancelled at suspension {point}, and still running")
        if not task.cancelled():
            task.result()
        await _settle(check, point)
        assert counted is not None
        if counted.count <= point:
            return Sweep(point, completed)
        completed += not task.cancelled()
    raise AssertionError(f"more than {limit} suspensions")


class Faults:
    """Counts the kernel calls of this process, and lets one of them fail."""

    def __init__(self, at: int, code: int) -> None:
        self.names: list[str] = []
        self._at = at
        self._code = code

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) - 1 == self._at:
            raise OSError(self._code, os.strerror(self._code))

    @property
    def hit(self) -> str | None:
        """Name of the call that was made to fail, or ``None`` if it never came."""
        return self.names[self._at] if len(self.names) > self._at >= 0 else None


@contextmanager
def fault(at: int, code: int = errno.EIO) -> Iterator[Faults]:
    """Let the kernel call number ``at`` (from 0; -1: none) of this process fail."""
    faults = Faults(at, code)
    before, libc.fault = libc.fault, faults
    try:
        yield faults
    finally:
        libc.fault = before


async def fault_sweep(
    operation: Callable[[], Coroutine[Any, Any, Any]],
    check: Check,
    *,
    code: int = errno.EIO,
    allowed: type[BaseException] | tuple[type[BaseException], ...],
    timeout_s: float = 30,
    limit: int = 2000,
) -> list[str]:
    """Let the k-th kernel call of ``operation()`` fail with ``code``, for all k.

    Only exceptions of ``allowed`` may come out. Returns the names of the calls that
    failed, in order; the last run is the undisturbed one.

    Raises:
        TimeoutError: a run did not end in time.
    """
    hits: list[str] = []
    for point in range(limit):
        with fault(point, code) as faults:
            with anyio.fail_after(timeout_s):
                try:
                    await operation()
                except allowed:
                    assert faults.hit is not None, "failed with nothing injected"
        await _settle(check, point)
        if faults.hit is None:
            return hits
        hits.append(faults.hit)
    raise AssertionError(f"more than {limit} kernel calls")
