"""Cgroups of programs that were killed: found by their names, and removed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from .._sys.procstat import pid_namespace, read_stat
from .base import PARENT
from .detect import Layout, detect
from .open import parents_of
from .tree import kill_until_none, members, prune, remove_soon
from .v1 import freezer
from .v2 import core

__all__ = ("collect", "owned_name", "owner_is_alive")

_NAME: Final = re.compile(r"group-(\d+)-(\d+)-(\d+)-[0-9a-f]{8}\Z")


def owned_name() -> str:
    """A name that nobody has, and that tells whose it is: pid namespace, pid in it,
    and start time."""
    pid = os.getpid()
    number = f"{pid_namespace()}-{pid}-{_start_ticks(pid)}"
    return f"group-{number}-{os.urandom(4).hex()}"


def owner_is_alive(name: str) -> bool | None:
    """Whether the program that made a cgroup still runs; ``None`` where that can't be
    told: for other names, and for programs of other pid namespaces.

    A pid alone doesn't tell: it may be another program's by now.
    """
    found = _NAME.match(name)
    if found is None or int(found[1]) != pid_namespace():
        return None
    return _start_ticks(int(found[2])) == int(found[3])


def _start_ticks(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; ``None`` if it is gone."""
    stat = read_stat(pid)
    return None if stat is None else stat.start_ticks


async def collect(layout: Layout | None = None) -> list[str]:
    """Kill and remove what groups of dead programs have left in the default place.

    Cancelling it leaves the rest for another time.

    Returns:
        Names of the groups that were removed, sorted.

    Raises:
        CgroupBusy: a process in one can't be killed.
    """
    found: dict[str, list[str]] = {}
    parents = parents_of(detect() if layout is None else layout, PARENT)
    for parent in parents:
        for name in _names_in(parent):
            if owner_is_alive(name) is False:
                found.setdefault(name, []).append(f"{parent}/{name}")
    for directories in found.values():
        for directory in directories:
            _kill(directory)
        await remove_soon(directories, 5.0)
    prune(parents)
    return sorted(found)


def _kill(directory: str) -> None:
    """Kill what is inside, in whichever way this hierarchy has."""
    if core.kill(directory):
        return
    if freezer.present(directory):
        freezer.kill(directory)
    else:
        kill_until_none(lambda: members(directory, recursive=True))


def _names_in(parent: str) -> Iterator[str]:
    try:
        with os.scandir(parent) as entries:
            yield from [entry.name for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return
