"""Enabling controllers on the way down to a cgroup (``cgroup.subtree_control``)."""

from __future__ import annotations

from collections.abc import Collection

from ..files import read, write

__all__ = ("controllers_for", "enable")


def controllers_for(
    directory: str, wanted: Collection[str], parents: int
) -> frozenset[str]:
    """Have controllers enabled for a cgroup; those of the wanted that it has then.

    Args:
        directory: of the cgroup.
        wanted: controllers.
        parents: how many directories above it are ours. They are enabled in those, and
            in the one above them.

    Raises:
        OSError: a file can't be read.
    """
    needed = frozenset(wanted)
    have = _controllers(directory)
    if not needed <= have:
        for above in _above(directory, parents):
            enable(above, needed - have)
        have = _controllers(directory)
    return needed & have


def _above(directory: str, parents: int) -> list[str]:
    """The directories from the lowest that isn't ours down to the parent."""
    found = []
    for _ in range(parents + 1):
        directory = directory.rpartition("/")[0]
        found.append(directory)
    return found[::-1]


def _controllers(directory: str) -> frozenset[str]:
    return frozenset(read(directory + "/cgroup.controllers").split())


def enable(directory: str, wanted: Collection[str]) -> None:
    """Enable controllers for the children of a cgroup, as far as that can be done.

    One that is refused (processes inside, real-time tasks, no permission) must not
    keep the others away, so after a refusal each is tried alone.
    """
    missing = sorted(
        (frozenset(wanted) & _controllers(directory)) - _enabled(directory)
    )
    if not missing:
        return
    control = directory + "/cgroup.subtree_control"
    try:
        write(control, " ".join("+" + name for name in missing))
    except OSError:
        for name in missing:
            try:
                write(control, "+" + name)
            except OSError:
                continue  # whoever needs it finds it missing, and says so


def _enabled(directory: str) -> frozenset[str]:
    return frozenset(read(directory + "/cgroup.subtree_control").split())
