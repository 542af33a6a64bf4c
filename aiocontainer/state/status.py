"""What a container is doing, asked of the kernel each time; what may be done then."""

from __future__ import annotations

import os

from ..errors import StatusError
from . import gate
from .record import this_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal, TypeAlias

    from .folder import Folder
    from .record import Record

    Status: TypeAlias = Literal[
        "creating", "created", "running", "paused", "checkpointed", "stopped"
    ]

_ALIVE: Final = frozenset({"created", "running", "paused"})

MOVES: Final[Mapping[str, frozenset[str]]] = {
    "start": frozenset({"created"}),
    "start a process": frozenset({"created", "running"}),
    "signal": _ALIVE,
    "pause": _ALIVE,
    "resume": _ALIVE,
    "change limits": _ALIVE,
    "read statistics": _ALIVE,
    "watch events": _ALIVE,
    "checkpoint": frozenset({"running", "paused"}),
    "restore": frozenset({"checkpointed", "stopped"}),
    "remove": frozenset({"checkpointed", "stopped"}),
}
"""What may be done in which status. Whoever wants to remove a container that is alive
ends it first."""


def check_move(status: str, wanted: str) -> None:
    """Nothing, if ``wanted`` may be done in this status.

    Raises:
        StatusError: it may not.
    """
    if status not in MOVES[wanted]:
        raise StatusError(status, wanted)


def status_of(folder: Folder, record: Record) -> Status:
    """The present status of a container.

    ``creating`` is one whose program has not got to its first process yet. Nothing is
    remembered: the process is looked for by pid, start time and pid namespace, the
    freezer is read, and the gate is knocked at.
    """
    over: Status = "stopped" if record.checkpoint is None else "checkpointed"
    if record.boot_id != this_boot():
        return over
    if record.init is None:
        return "creating" if not is_leftover(record) else over
    if not record.init.is_alive:
        return over
    if is_frozen(record):
        return "paused"
    return "created" if gate.is_shut(folder) else "running"


def is_leftover(record: Record) -> bool:
    """Whether its program is gone without having removed it, as it should have."""
    if record.boot_id != this_boot():
        return True
    return not record.detached and record.owner.is_near and not record.owner.is_alive


def is_frozen(record: Record) -> bool:
    """Whether all its processes are held still, by whomever."""
    for directory in record.directories:
        for name, word in (
            ("cgroup.events", b"frozen 1"),
            ("freezer.state", b"FROZEN"),
        ):
            path = f"{directory}/{name}"
            # Most aren't there; to ask costs less than an exception.
            if os.access(path, os.F_OK) and word in _read(path).split(b"\n"):
                return True
    return False


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
