"""Removing what programs have left that were killed together with their spawner."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

import anyio

from ..attachments import Attachments, attachments_of
from ..errors import ConfigError, ContainerError, ContainerNotFound, StateError
from ..state import Folder, Record, Store, is_leftover, status_of
from .configs import loaded
from .remaining import end_and_remove

_SPAWNER_S: Final = 12.0
"""How long a spawner may take to clean up after its program."""


async def collect(store: Store, *, stopped: bool, foreign: bool) -> list[str]:
    """See `Runtime.collect`."""
    store.remove_abandoned()
    removed: list[str] = []
    failed: list[Exception] = []
    for id in store.ids():
        try:
            if await collect_one(store, id, stopped=stopped, foreign=foreign):
                removed.append(id)
        except ContainerNotFound:
            continue
        except (ContainerError, OSError) as error:
            failed.append(error)
    if failed:
        failed[0].add_note(f"removed meanwhile: {', '.join(removed) or 'nothing'}")
        raise failed[0]
    return removed


async def collect_one(
    store: Store, id: str, *, stopped: bool = False, foreign: bool = False
) -> bool:
    """Remove one container if nobody else is there to do it; whether it was."""
    with store.open(id) as folder:
        # Whoever has the lock is at work with it, and alive.
        if not folder.try_lock():
            return False
        try:
            record = folder.read()
        except StateError as error:
            if not error.is_foreign or foreign:
                folder.remove()
                return True
            return False
        if is_leftover(record):
            await _await_spawner(record)
        elif not (stopped and _is_over(folder, record)):
            return False
        await clear(record)
        folder.remove()
        return True


def _is_over(folder: Folder, record: Record) -> bool:
    return record.detached and status_of(folder, record) in ("stopped", "checkpointed")


async def clear(record: Record) -> None:
    """End and remove all that a record tells of.

    Raises:
        CgroupBusy: a process can't be ended.
    """
    await end_and_remove(record)
    with contextlib.suppress(ConfigError):
        attached = Attachments(attachments_of(loaded(record.config), record.id))
        attached.adopt()
        await attached.detach()


async def _await_spawner(record: Record) -> None:
    """Let the spawner of the program that is gone finish. It knows paths of cgroups,
    and must not come across new ones of the same name.

    One that is stuck is killed after a while: with its program it has no other task.
    """
    pidfd = None if record.spawner is None else record.spawner.open()
    if pidfd is None:
        return
    try:
        with anyio.move_on_after(_SPAWNER_S):
            await anyio.wait_readable(pidfd)
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
