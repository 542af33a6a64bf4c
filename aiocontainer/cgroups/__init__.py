"""Cgroups: limits, accounting, freezing and killing of process trees.

`detect` tells what is mounted, `open_cgroup` chooses the implementation; all of them
are a `Cgroup`. What a container doesn't need is loaded on first use.
"""

from typing import TYPE_CHECKING

from .. import _by_first_use
from .base import Cgroup, Entry
from .detect import Hierarchy, Layout, detect
from .meter import Meter, Reading
from .open import open_cgroup, prune_parents, within_reach
from .stats import CgroupStats, Usage

if TYPE_CHECKING:
    from .below import CgroupPath, entry_below
    from .group import CGroup
    from .leftovers import collect

__all__ = (
    "CGroup",
    "Cgroup",
    "CgroupPath",
    "CgroupStats",
    "Entry",
    "Hierarchy",
    "Layout",
    "Meter",
    "Reading",
    "Usage",
    "collect",
    "detect",
    "entry_below",
    "open_cgroup",
    "prune_parents",
    "within_reach",
)

__getattr__ = _by_first_use(
    __name__,
    {
        "below": ("CgroupPath", "entry_below"),
        "group": ("CGroup",),
        "leftovers": ("collect",),
    },
)
