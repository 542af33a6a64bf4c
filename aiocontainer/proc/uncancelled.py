"""Clean-up that runs to its end, whoever cancels.

A shielded cancel scope keeps out the cancellations of other scopes, and so all there
are on trio. On asyncio there is ``Task.cancel`` besides (by ``asyncio.timeout``, by
``TaskGroup``, by ``asyncio.run``), which knows nothing of shields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ..errors import CgroupError

__all__ = ("uncancelled",)


async def uncancelled(clean_up: Callable[[], Awaitable[object]]) -> None:
    """Await ``clean_up()``; a cancellation that comes meanwhile is raised afterwards.

    Cancelled, it is begun again, and so it is once when the kernel refuses: what isn't
    cleaned up now stays for ever. It must be such that this does no harm, and short.

    Raises:
        OSError, ContainerError: it failed twice.
    """
    cancelled: BaseException | None = None
    has_failed = False
    with anyio.CancelScope(shield=True):
        while True:
            try:
                await clean_up()
                break
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error
            except (OSError, CgroupError):
                if has_failed:
                    raise
                has_failed = True
    if cancelled is not None:
        raise cancelled
