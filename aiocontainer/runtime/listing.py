"""What can be said of a container without loading it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from ..errors import ContainerNotFound, StateError
from ..state import Store, is_leftover, status_of
from ..state.record import Record


@dataclass(frozen=True, slots=True)
class Listed:
    """One container of a state root."""

    id: str
    status: str
    """``creating``, ``created``, ``running``, ``paused``, ``checkpointed``,
    ``stopped``; or ``unknown``, where the record can't be used."""
    pid: int | None
    """Of its first process, as the caller sees it, while that is alive."""
    args: tuple[str, ...]
    """What its own program was started as."""
    created: datetime.datetime | None
    """When, in UTC."""
    detached: bool
    """It lives on without the program that made it."""
    owner: int | None
    """Pid of the program that made it."""
    leftover: bool
    """That program is gone without having removed it; see `Runtime.collect`."""
    error: StateError | None = None
    """Why the record can't be used."""


def listed(store: Store) -> list[Listed]:
    """All containers of a root, sorted by id.

    Raises:
        StateError: the root can't be used.
    """
    found = []
    for id in store.ids():
        try:
            with store.open(id) as folder:
                record = folder.read()
                found.append(describe(record, status_of(folder, record)))
        except ContainerNotFound:
            continue
        except StateError as error:
            found.append(
                Listed(id, "unknown", None, (), None, False, None, False, error)
            )
    return found


def describe(record: Record, status: str) -> Listed:
    """What a record says, with the status that the kernel said."""
    is_alive = status in ("created", "running", "paused")
    return Listed(
        record.id,
        status,
        record.init.pid if record.init is not None and is_alive else None,
        tuple(record.args),
        datetime.datetime.fromtimestamp(record.created_ns / 1e9, datetime.UTC),
        record.detached,
        record.owner.pid,
        is_leftover(record),
    )
