"""anyio for a few tasks of a short-lived process."""

from __future__ import annotations

import math
import select

from . import anyio_abc as abc
from . import anyio_lowlevel as lowlevel
from . import missing
from .anyio_tasks import (
    CancelScope,
    Expired,
    TaskGroup,
    Wish,
    current_time,
    interrupt,
    run,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = (
    "BrokenResourceError",
    "BusyResourceError",
    "CancelScope",
    "CapacityLimiter",
    "ClosedResourceError",
    "DelimiterNotFound",
    "EndOfStream",
    "Event",
    "Lock",
    "ResourceGuard",
    "WouldBlock",
    "abc",
    "create_task_group",
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

    def __init__(self, action: str) -> None:
        super().__init__(f"Another task is already {action} this resource")


class ClosedResourceError(Exception):
    """As anyio's."""


class DelimiterNotFound(Exception):
    """As anyio's."""


class EndOfStream(Exception):
    """As anyio's."""


class WouldBlock(Exception):
    """As anyio's."""


def create_task_group() -> TaskGroup:
    """As anyio's."""
    return TaskGroup()


def move_on_after(delay: float | None, shield: bool = False) -> CancelScope:
    """A scope that ends after so many seconds."""
    deadline = math.inf if delay is None else current_time() + delay
    return CancelScope(deadline=deadline, shield=shield)


def get_cancelled_exc_class() -> type[BaseException]:
    """What is raised when a scope ends."""
    return Expired


async def sleep(delay: float) -> None:
    """Wait so many seconds."""
    await Wish(until=current_time() + delay)


async def wait_readable(source: Any) -> None:  # noqa: ANN401  as anyio's
    """Wait until there is something to read."""
    await Wish(_number(source), select.POLLIN)


async def wait_writable(source: Any) -> None:  # noqa: ANN401
    """Wait until there is room to write."""
    await Wish(_number(source), select.POLLOUT)


def notify_closing(source: Any) -> None:  # noqa: ANN401
    """Wake who waits for it."""
    interrupt(_number(source), ClosedResourceError())


def _number(source: Any) -> int:  # noqa: ANN401
    return source if isinstance(source, int) else int(source.fileno())


class Event:
    """As anyio's."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Wake all who wait for it."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it is."""
        return self._is_set

    async def wait(self) -> None:
        """Wait until it is set."""
        await Wish(comes_true=self.is_set)


class Lock:
    """As anyio's."""

    def __init__(self) -> None:
        self._is_held = False

    async def __aenter__(self) -> None:
        while self._is_held:
            await Wish(comes_true=lambda: not self._is_held)
        self._is_held = True

    async def __aexit__(self, *error: object) -> None:
        self._is_held = False

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._is_held


class CapacityLimiter:
    """As anyio's, with room for all that there are."""

    def __init__(self, total_tokens: float) -> None:
        self.total_tokens = total_tokens

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *error: object) -> None: ...


class ResourceGuard:
    """As anyio's."""

    def __init__(self, action: str = "using") -> None:
        self._action = action
        self._is_held = False

    def __enter__(self) -> None:
        if self._is_held:
            raise BusyResourceError(self._action)
        self._is_held = True

    def __exit__(self, *error: object) -> None:
        self._is_held = False


def __getattr__(name: str) -> Any:  # noqa: ANN401
    raise missing("anyio", name)
