"""The spawner: the one process and the few descriptors of ours that outlive a test."""

import sys
from collections.abc import Iterable
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


_names: set[str] = set()


def watched_names() -> set[str] | None:
    """Last parts of all cgroups that this program ever made for containers.

    ``None`` while nothing was recorded: see `record_names`.
    """
    return _names or None


def record_names(module: ModuleType) -> None:
    """Note the cgroups that the spawner is told of, from now on."""
    watch = module.watch_directories

    async def watch_directories(key: int, directories: Iterable[str]) -> None:
        directories = tuple(directories)
        _names.update(path.rpartition("/")[2] for path in directories)
        await watch(key, directories)

    module.watch_directories = watch_directories  # type: ignore[attr-defined]


def descriptors() -> set[int]:
    """Numbers of the descriptors by which this program holds its spawner."""
    spawner = _peek()
    if spawner is None:
        return set()
    return {spawner._control.fileno(), spawner._words, spawner.pidfd}
