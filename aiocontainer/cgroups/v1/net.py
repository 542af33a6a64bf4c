"""v1 ``net_cls`` and ``net_prio``: marks for packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..writes import Reader, Write, undo_keyed

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("cls_limits", "prio_limits")


def cls_limits(resources: Resources, read: Reader) -> list[Write]:
    """The write that sets the class of traffic."""
    class_id = resources.network.class_id
    return [] if class_id is None else [Write("net_cls.classid", str(class_id))]


def prio_limits(resources: Resources, read: Reader) -> list[Write]:
    """One write for each interface."""
    return [
        Write("net_prio.ifpriomap", f"{name} {priority}", undo_keyed(name, "0"))
        for name, priority in resources.network.priorities.items()
    ]
