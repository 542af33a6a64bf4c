"""What every cgroup2 directory has, with or without controllers: freeze, kill, events.

Used for pure v2 and for the cgroup2 half of a hybrid machine.
"""

from __future__ import annotations

import anyio

from ...errors import CgroupError
from .. import tree
from ..files import parse_flat, read_optional, write

__all__ = (
    "can_freeze",
    "freeze",
    "frozen",
    "kill",
    "parse_events",
    "populated",
    "thaw",
)


def parse_events(text: str) -> dict[str, int]:
    """Read ``cgroup.events``: ``populated`` and ``frozen``, each 0 or 1."""
    return parse_flat(text)


def populated(directory: str) -> bool:
    """Whether processes are in it or below; not once it is gone."""
    text = read_optional(directory + "/cgroup.events")
    return text is not None and parse_events(text).get("populated") == 1


def frozen(directory: str) -> bool:
    """Whether all processes inside have stopped."""
    text = read_optional(directory + "/cgroup.events")
    return text is not None and parse_events(text).get("frozen") == 1


def can_freeze(directory: str) -> bool:
    """Whether the kernel has ``cgroup.freeze`` (5.2 and later; never in the root)."""
    return read_optional(directory + "/cgroup.freeze") is not None


async def freeze(directory: str, timeout_s: float) -> None:
    """Stop all processes inside; on failure and cancellation they go on again.

    Raises:
        CgroupError: the kernel refused, or it was not done in time.
    """
    confirmed = False
    try:
        confirmed = await _set_frozen(directory, 1, timeout_s)
    finally:
        if not confirmed:
            _write(directory, "0")
    if not confirmed:
        raise CgroupError(directory, f"not frozen within {timeout_s} s")


async def thaw(directory: str, timeout_s: float) -> None:
    """Let all processes inside go on.

    Raises:
        CgroupError: a cgroup above it is frozen, or it was not done in time.
    """
    if not await _set_frozen(directory, 0, timeout_s):
        raise CgroupError(directory, "still frozen; a cgroup above it may be")


async def _set_frozen(directory: str, wanted: int, timeout_s: float) -> bool:
    """Ask, and wait for the kernel's word; ``False`` if that doesn't come in time."""
    _write(directory, str(wanted))

    def reached(text: str) -> bool:
        return parse_events(text).get("frozen", wanted) == wanted

    path = directory + "/cgroup.events"
    if reached(read_optional(path) or ""):
        return True
    with anyio.move_on_after(timeout_s) as scope:
        await tree.wait_changed(path, reached)
    return not scope.cancelled_caught


def _write(directory: str, value: str) -> None:
    try:
        write(directory + "/cgroup.freeze", value)
    except OSError as error:
        raise tree.cgroup_error(directory, error) from error


def kill(directory: str) -> bool:
    """Send SIGKILL to everything inside and below, at once and without a race.

    Frozen processes die too; the cgroup is thawed, for who may come next. One that is
    gone has nothing left to kill.

    Returns:
        Whether the kernel can (5.14 and later).
    """
    try:
        write(directory + "/cgroup.kill", "1")
        write(directory + "/cgroup.freeze", "0")
    except FileNotFoundError:
        return read_optional(directory + "/cgroup.procs") is None
    except OSError as error:
        raise tree.cgroup_error(directory, error) from error
    return True
