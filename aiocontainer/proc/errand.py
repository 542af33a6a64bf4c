"""A child that does what a plan says and ends, without a program."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import anyio

from .._sys import pidfd as sys_pidfd
from ..errors import HandshakeError
from ..plan.compile import Plan
from . import handshake, spawner
from .uncancelled import uncancelled

__all__ = ("run_errand",)


async def run_errand(plan: Plan, descriptors: Sequence[int]) -> None:
    """Have a plan carried out whose last step is ``Finish``.

    Args:
        plan: what to do.
        descriptors: what its indexes refer to, from 1 on; they stay the caller's.

    Cancelled, the child has ended; what it did until then stays.

    Raises:
        What `handshake.start` raises.
    """
    key = next(spawner.keys)
    try:
        child = await handshake.start(key, plan, descriptors)
        try:
            status = await _end_of(child.pidfd)
        except BaseException:
            sys_pidfd.send_signal(child.pidfd, signal.SIGKILL)
            await uncancelled(lambda: _end_of(child.pidfd))
            raise
        finally:
            os.close(child.pidfd)
    finally:
        spawner.forget(key)
    if status != 0:
        raise HandshakeError(f"the child didn't finish, status {status}")


async def _end_of(pidfd: int) -> int | None:
    while (ended := sys_pidfd.reap(pidfd)) is None:
        await anyio.wait_readable(pidfd)
    return ended.status
