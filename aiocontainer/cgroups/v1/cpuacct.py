"""v1 ``cpuacct``: CPU time used, per cpu."""

from __future__ import annotations

from ..files import read

__all__ = ("parse_usage_all", "times")


def times(directory: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """User and system nanoseconds by cpu number.

    ``cpuacct.usage_all`` counts exactly; ``cpuacct.stat`` has clock ticks of 10 ms,
    which is nothing for short runs.
    """
    return parse_usage_all(read(directory + "/cpuacct.usage_all"))


def parse_usage_all(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read the table ``cpu user system``; cpus are in order, holes left out."""
    words = text.split()
    return tuple(map(int, words[4::3])), tuple(map(int, words[5::3]))
