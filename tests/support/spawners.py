"""The spawner: the one process and the few descriptors of ours that outlive a test."""

import sys
from types import ModuleType
from typing import Any


def _peek() -> Any:
    # Not imported here: the leak check also runs around tests that never need it.
    module: ModuleType | None = sys.modules.get("aiocontainer.proc.spawner")
    if module is None:
        return None
    module.flush()  # what it may forget is told late otherwise
    return module.peek()


def find() -> int | None:
    """Pid of this program's spawner, or ``None`` while there is none."""
    spawner = _peek()
    return None if spawner is None else spawner.pid


def descriptors() -> set[int]:
    """Numbers of the descriptors by which this program holds its spawner."""
    spawner = _peek()
    if spawner is None:
        return set()
    return {spawner._control.fileno(), spawner._words, spawner.pidfd}
