"""The v1 freezer: stop and go, and killing what is stopped.

Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst: FROZEN is reached only when
every task has stopped, and the kernel looks for that only when the state is read.
"""

from __future__ import annotations

import time
from typing import Final

import anyio

from ...errors import CgroupError
from .. import tree
from ..files import read_optional, write

__all__ = ("freeze", "frozen", "kill", "present", "thaw", "thawed")

_STATE: Final = "/freezer.state"


def present(directory: str) -> bool:
    """Whether this is a directory of the freezer's hierarchy."""
    return read_optional(directory + _STATE) is not None


def frozen(directory: str) -> bool:
    """Whether all processes inside are stopped."""
    return (read_optional(directory + _STATE) or "").strip() == "FROZEN"


def thawed(directory: str) -> bool:
    """Whether nothing inside is stopped or about to be; also once it is gone."""
    return (read_optional(directory + _STATE) or "THAWED").strip() == "THAWED"


async def freeze(directory: str, timeout_s: float) -> None:
    """Stop all processes inside.

    A task in the wrong place (a vfork parent, one forking while the others stop) can
    keep the state at FREEZING for ever; letting all go for a moment and trying again
    gets past it.

    Raises:
        CgroupError: not in time; all go on.
    """
    due = time.monotonic() + timeout_s
    stopped = False
    try:
        while not (stopped := await _try_freeze(directory)):
            if time.monotonic() >= due:
                raise CgroupError(directory, f"not frozen within {timeout_s} s")
            _write(directory, "THAWED")
            await anyio.sleep(0.01)
    finally:
        if not stopped:
            _write(directory, "THAWED")


async def _try_freeze(directory: str) -> bool:
    """Ask for it, and look again for about a quarter of a second."""
    _write(directory, "FROZEN")
    pause = 0.0002
    while not frozen(directory):
        if pause > 0.1:
            return False
        await anyio.sleep(pause)
        pause *= 2
    return True


def thaw(directory: str) -> None:
    """Let all processes inside go on. The kernel wakes them before write(2) returns.

    Raises:
        CgroupError: a cgroup above it is frozen, so nothing has moved.
    """
    _write(directory, "THAWED")
    if not thawed(directory):
        raise CgroupError(directory, "a cgroup above it is frozen")


def kill(directory: str) -> None:
    """Send SIGKILL to everything inside: stopped first, so that nothing can fork away.

    SIGKILL acts on a frozen task only once it is thawed, so it is thawed in any case.
    """
    for _ in range(8):
        _write(directory, "FROZEN")
        try:
            # While FREEZING, a fork may be under way that isn't listed yet.
            complete = _is_frozen_soon(directory)
            tree.kill_listed(lambda: tree.members(directory, recursive=True))
        finally:
            _write(directory, "THAWED")
        if complete:
            return


def _is_frozen_soon(directory: str) -> bool:
    """Look again and again, for some milliseconds at most; this is not a coroutine,
    because killing must work where waiting is no longer possible."""
    due = time.monotonic() + 0.005
    while not frozen(directory):
        if time.monotonic() >= due:
            return False
    return True


def _write(directory: str, state: str) -> None:
    try:
        write(directory + _STATE, state)
    except FileNotFoundError:  # removed meanwhile: nothing is inside
        pass
    except OSError as error:
        raise tree.cgroup_error(directory, error) from error
