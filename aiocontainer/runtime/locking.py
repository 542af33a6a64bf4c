"""Waiting for a container's lock without blocking the event loop."""

from __future__ import annotations

from typing import Final

import anyio

from ..errors import StateError
from ..state import Folder, Store

PATIENCE_S: Final = 15.0
"""How long another program may take to create, start or remove a container."""


async def lock(folder: Folder, *, patience_s: float = PATIENCE_S) -> None:
    """Take a folder's lock; nothing is left taken if cancelled.

    The kernel tells nobody when a flock(2) is given back but who blocks for it, so
    this looks again at growing intervals.

    Raises:
        ContainerNotFound: the container was removed meanwhile.
        StateError: another program still has it after ``patience_s``.
    """
    due = anyio.current_time() + patience_s
    pause_s = 0.0005
    while not folder.try_lock():
        if anyio.current_time() >= due:
            raise StateError(folder.path, "is locked by another program")
        await anyio.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)


async def locked(store: Store, id: str) -> Folder:
    """The folder of a container, locked; the caller closes it.

    Raises:
        ContainerNotFound: there is none, or none any more.
        StateError: the lock or the root can't be had.
    """
    folder = store.open(id)
    try:
        await lock(folder)
    except BaseException:
        folder.close()
        raise
    return folder
