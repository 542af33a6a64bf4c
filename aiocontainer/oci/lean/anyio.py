"""anyio for who does one thing at a time: each wait blocks, up to its deadline."""

from __future__ import annotations

import math
import select
import time

from . import Unsuited, missing
from . import anyio_abc as abc
from . import anyio_lowlevel as lowlevel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Final, Self

__all__ = (
    "BrokenResourceError",
    "BusyResourceError",
    "CancelScope",
    "CapacityLimiter",
    "ClosedResourceError",
    "EndOfStream",
    "Lock",
    "ResourceGuard",
    "WouldBlock",
    "abc",
    "current_time",
    "get_cancelled_exc_class",
    "lowlevel",
    "move_on_after",
    "notify_closing",
    "run",
    "sleep",
    "wait_readable",
    "wait_writable",
)


class BrokenResourceError(Exception):
    """As anyio's."""


class BusyResourceError(Exception):
    """As anyio's."""


class ClosedResourceError(Exception):
    """As anyio's."""


class DelimiterNotFound(Exception):
    """As anyio's."""


class EndOfStream(Exception):
    """As anyio's."""


class WouldBlock(Exception):
    """As anyio's."""


current_time: Final = time.monotonic


class _Expired(BaseException):
    """The deadline of a scope has passed."""

    def __init__(self, scope: CancelScope) -> None:
        super().__init__()
        self.scope = scope


class CancelScope:
    """A deadline for what is waited for within it."""

    def __init__(self, *, deadline: float = math.inf, shield: bool = False) -> None:
        self.deadline = deadline
        self.shield = shield
        self.cancelled_caught = False
        self.cancel_called = False

    def __enter__(self) -> Self:
        _scopes.append(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> bool:
        _scopes.pop()
        self.cancelled_caught = isinstance(error, _Expired) and error.scope is self
        return self.cancelled_caught


_scopes: Final[list[CancelScope]] = []
"""Those that we are in, the outermost first."""


def move_on_after(delay: float | None, shield: bool = False) -> CancelScope:
    """A scope that is left after so many seconds."""
    deadline = math.inf if delay is None else current_time() + delay
    return CancelScope(deadline=deadline, shield=shield)


def _next() -> CancelScope | None:
    """The scope that is left first: not one outside of a shield."""
    found: CancelScope | None = None
    for scope in reversed(_scopes):
        if found is None or scope.deadline <= found.deadline:
            found = scope
        if scope.shield:
            break
    return found


def _expire(scope: CancelScope) -> None:
    scope.cancel_called = True
    raise _Expired(scope)


async def sleep(delay: float) -> None:
    """Wait so many seconds."""
    scope = _next()
    if scope is None or current_time() + delay < scope.deadline:
        time.sleep(delay)  # noqa: ASYNC251
        return
    time.sleep(max(0.0, scope.deadline - current_time()))  # noqa: ASYNC251
    _expire(scope)


async def wait_readable(source: Any) -> None:  # noqa: ANN401  as anyio's
    """Wait until there is something to read."""
    _wait(source, select.POLLIN)


async def wait_writable(source: Any) -> None:  # noqa: ANN401
    """Wait until there is room to write."""
    _wait(source, select.POLLOUT)


def _wait(source: Any, events: int) -> None:  # noqa: ANN401
    poll = select.poll()
    poll.register(source, events)
    while True:
        scope = _next()
        if scope is None or scope.deadline == math.inf:
            poll.poll()
            return
        left = scope.deadline - current_time()
        if poll.poll(max(0, math.ceil(left * 1000))):
            return
        if current_time() >= scope.deadline:
            _expire(scope)


def notify_closing(source: object) -> None:
    """Nobody else waits on it."""


def get_cancelled_exc_class() -> type[BaseException]:
    """What is raised at a deadline."""
    return _Expired


class Lock:
    """Nobody else wants it."""

    async def __aenter__(self) -> None:
        if self.locked():
            raise Unsuited("waiting for oneself")
        self._is_held = True

    async def __aexit__(self, *error: object) -> None:
        self._is_held = False

    def locked(self) -> bool:
        """Whether it is held."""
        return getattr(self, "_is_held", False)


class CapacityLimiter:
    """There is room for one."""

    def __init__(self, total_tokens: float) -> None:
        self.total_tokens = total_tokens

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *error: object) -> None: ...


class ResourceGuard:
    """Nobody else uses it."""

    def __init__(self, action: str = "using") -> None:
        self.action = action

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def run(main: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:  # noqa: ANN401
    """Do it: nothing in it ever waits for a loop."""
    coroutine = main(*args)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise Unsuited("waiting for a loop")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    raise missing("anyio", name)
