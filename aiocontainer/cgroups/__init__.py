"""Cgroups: limits, accounting, freezing and killing of process trees.

`detect` tells what is mounted, `open_cgroup` chooses the implementation; all of them
are a `Cgroup`.
"""

from .base import Cgroup, Entry
from .below import CgroupPath, entry_below
from .detect import Hierarchy, Layout, detect
from .group import CGroup
from .leftovers import collect
from .meter import Meter, Reading
from .open import open_cgroup, prune_parents, within_reach
from .stats import CgroupStats, Usage

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
