"""Tasks that take turns, what each waits for, and the scopes that they are in.

A task's coroutine yields a `Wish` whenever it waits, and is gone on with when that has
come true, or when a scope that it is in has ended: then `Expired` is raised in it, and
again at each further wait, up to the end of that scope.
"""

from __future__ import annotations

import _signal
import math
import select
import time

from . import Unsuited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from typing import Any, Final, Self

__all__ = ("CancelScope", "Expired", "TaskGroup", "Wish", "interrupt", "run")

current_time: Final = time.monotonic


class Expired(BaseException):
    """A scope has ended."""

    def __init__(self, scope: CancelScope) -> None:
        super().__init__()
        self.scope = scope


class Wish:
    """What a task waits for: any of these. Nothing is to wait for one turn."""

    def __init__(
        self,
        descriptor: int = -1,
        events: int = 0,
        *,
        until: float = math.inf,
        comes_true: Callable[[], object] | None = None,
    ) -> None:
        self.descriptor = descriptor
        self.events = events
        self.until = until
        self.comes_true = comes_true

    def __await__(self) -> Generator[Wish, None, None]:
        yield self

    def is_true(self, now: float) -> bool:
        """Whether it has come true, as far as that can be told without the kernel."""
        if self.comes_true is not None:
            return bool(self.comes_true())
        return now >= self.until


class CancelScope:
    """A part of a task that ends at its deadline, or when it is cancelled."""

    def __init__(self, *, deadline: float = math.inf, shield: bool = False) -> None:
        self.deadline = deadline
        self.shield = shield
        self.cancel_called = False
        self.cancelled_caught = False

    def __enter__(self) -> Self:
        _current.scopes.append(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> bool:
        _current.scopes.remove(self)
        self.cancelled_caught = isinstance(error, Expired) and error.scope is self
        return self.cancelled_caught

    def cancel(self) -> None:
        """End it now."""
        self.cancel_called = True
        self.deadline = -math.inf


class _Task:
    def __init__(
        self,
        coroutine: Coroutine[Wish, None, Any],
        scopes: list[CancelScope],
        group: TaskGroup | None = None,
    ) -> None:
        self.coroutine = coroutine
        self.scopes = scopes
        """The outermost first."""
        self.group = group
        self.wish = Wish(until=-math.inf)
        self.error: BaseException | None = None
        """To be raised in it next."""

    @property
    def scope(self) -> CancelScope | None:
        """The scope that ends first: none that is outside of a shield."""
        found: CancelScope | None = None
        for scope in reversed(self.scopes):
            if found is None or scope.deadline <= found.deadline:
                found = scope
            if scope.shield:
                break
        return found

    @property
    def due(self) -> float:
        """When it goes on at the latest."""
        scope = self.scope
        return min(self.wish.until, math.inf if scope is None else scope.deadline)

    def is_runnable(self, now: float) -> bool:
        """Whether it can go on; a scope's end is an error to it."""
        scope = self.scope
        if self.error is None and scope is not None and now >= scope.deadline:
            scope.cancel_called = True
            self.error = Expired(scope)
        return self.error is not None or self.wish.is_true(now)

    def step(self) -> None:
        """Go on up to its next wait.

        Raises:
            StopIteration: its end, with its result. Others: those of its coroutine.
        """
        global _current
        _current = self
        error, self.error = self.error, None
        if error is None:
            self.wish = self.coroutine.send(None)
        else:
            self.wish = self.coroutine.throw(error)


_tasks: Final[list[_Task]] = []
_current: _Task


class TaskGroup:
    """Tasks that have ended when its block is left."""

    def __init__(self) -> None:
        self.cancel_scope = CancelScope()
        self._left = 0
        self._errors: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self.cancel_scope.__enter__()
        self._scopes = [*_current.scopes]
        return self

    def start_soon(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]],
        *args: object,
        name: object = None,
    ) -> None:
        """Have another task begun."""
        self._left += 1
        _tasks.append(_Task(function(*args), [*self._scopes], self))

    async def __aexit__(
        self, kind: object, error: BaseException | None, at: object
    ) -> bool:
        if error is not None:
            self.cancel_scope.cancel()
        expired = error if isinstance(error, Expired) else None
        while self._left:
            try:
                await Wish(comes_true=lambda: not self._left)
            except Expired as another:
                # The tasks end by the same scope; they may take their time.
                self.cancel_scope.cancel()
                expired = expired or another
                await _ignoring(lambda: not self._left)
        if error is not None and not isinstance(error, Expired):
            self._errors.append(error)
        is_ours = self.cancel_scope.__exit__(kind, expired, at)
        for found in self._errors:
            if isinstance(found, Unsuited):  # not one of several, whoever catches it
                raise found
        if self._errors:
            raise BaseExceptionGroup("of a task group", self._errors)
        if expired is not None and expired is not error and not is_ours:
            raise expired
        return is_ours

    def ended(self, error: BaseException | None) -> None:
        """A task has ended, by this error if any."""
        self._left -= 1
        if error is not None and not isinstance(error, Expired):
            self._errors.append(error)
            self.cancel_scope.cancel()


async def _ignoring(comes_true: Callable[[], object]) -> None:
    """Wait, though our scope has ended."""
    with CancelScope(shield=True):
        await Wish(comes_true=comes_true)


def interrupt(descriptor: int, error: BaseException) -> None:
    """Raise an error in whoever waits for a descriptor."""
    for task in _tasks:
        if task.wish.descriptor == descriptor:
            task.error = error


def run(main: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:  # noqa: ANN401
    """Have ``main(*args)`` done, and the tasks that it begins; its result.

    Raises:
        KeyboardInterrupt: after SIGINT, by which ``main`` was cancelled, as
            `asyncio.run` has it.
    """
    first = _Task(main(*args), [])
    _tasks.append(first)
    before = _signal.getsignal(_signal.SIGINT)
    if before is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda *_: _cancel(first))
    try:
        return _run(first)
    except Expired as error:
        if error.scope is _OUTERMOST:
            raise KeyboardInterrupt from None
        raise
    finally:
        if before is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, before)


_OUTERMOST: Final = CancelScope()
"""Nobody's: it ends all tasks."""

_is_waiting = False


def _cancel(first: _Task) -> None:
    """End a task at its next wait."""
    first.error = Expired(_OUTERMOST)
    if _is_waiting:
        raise first.error  # nothing else ends poll(2), which begins again by itself


def _run(first: _Task) -> Any:  # noqa: ANN401
    global _is_waiting
    while True:
        try:
            _is_waiting = True
            runnable = _runnable()
            _is_waiting = False
        except BaseException as in_nobodys:
            _is_waiting = False
            first.error = in_nobodys  # for it to undo what it has done
            continue
        for task in runnable:
            try:
                task.step()
            except StopIteration as done:
                result, error = done.value, None
            except BaseException as raised:
                result, error = None, raised
            else:
                continue
            _tasks.remove(task)
            if task.group is not None:
                task.group.ended(error)
            elif error is not None:
                raise error
            else:
                return result


def _runnable() -> list[_Task]:
    """Those that can go on; waits until there are some."""
    while True:
        now = current_time()
        ready = [task for task in _tasks if task.is_runnable(now)]
        waiting = [task for task in _tasks if task not in ready]
        timeout_s = 0.0 if ready else min(task.due for task in waiting) - now
        ready += _told(waiting, timeout_s)
        if ready:
            return ready


def _told(tasks: list[_Task], timeout_s: float) -> list[_Task]:
    """Those whose descriptors the kernel has something to tell of."""
    poll = select.poll()
    wanted: dict[int, int] = {}
    for task in tasks:
        if (number := task.wish.descriptor) >= 0:
            wanted[number] = wanted.get(number, 0) | task.wish.events
            poll.register(number, wanted[number])
    if not wanted and timeout_s == math.inf:
        raise Unsuited("waiting for nobody")
    timeout_ms = None if timeout_s == math.inf else max(0, math.ceil(timeout_s * 1000))
    found = dict(poll.poll(timeout_ms))
    hung_up = select.POLLHUP | select.POLLERR | select.POLLNVAL
    return [
        task
        for task in tasks
        if found.get(task.wish.descriptor, 0) & (task.wish.events | hung_up)
    ]
