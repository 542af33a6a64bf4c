"""v2 ``cpuset``: which cpus and memory nodes may be used."""

from __future__ import annotations

from ..files import parse_list, read
from ..stats import CpusetStats

__all__ = ("stats",)


def stats(directory: str) -> CpusetStats:
    """Read what is in force; the files of the limits are empty where none are set."""
    return CpusetStats(
        cpus=parse_list(read(directory + "/cpuset.cpus.effective")),
        mems=parse_list(read(directory + "/cpuset.mems.effective")),
    )
