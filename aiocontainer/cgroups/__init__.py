"""Cgroups: limits, accounting, freezing and killing of process trees.

`detect` tells what is mounted, `open_cgroup` chooses the implementation; all of them
are a `Cgroup`.
"""

from .base import Cgroup, Entry
from .detect import Hierarchy, Layout, detect
from .open import open_cgroup, prune_parents
from .stats import CgroupStats, Usage

__all__ = (
    "Cgroup",
    "CgroupStats",
    "Entry",
    "Hierarchy",
    "Layout",
    "Usage",
    "detect",
    "open_cgroup",
    "prune_parents",
)
