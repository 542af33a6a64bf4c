"""v1 ``cpuacct``: CPU time used, in all and per cpu.

The kernel counts the whole exactly, and splits it into user and system by the tick
that it falls on (kernel/sched/cpuacct.c): for runs of some milliseconds the parts may
be 0 where the whole isn't. So only their ratio is used, as getrusage(2) does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..files import read
from ..meter import Texts

__all__ = ("FILES", "CpuTimes", "parse", "parse_usage_all", "split", "times")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time in nanoseconds; by cpu number where it was asked for."""

    total_ns: int
    user_ns: int
    system_ns: int
    per_cpu_ns: tuple[int, ...] = ()
    per_cpu_user_ns: tuple[int, ...] = ()
    """Counted by ticks, so it may differ from the exact whole."""
    per_cpu_system_ns: tuple[int, ...] = ()


def times(directory: str) -> CpuTimes:
    """The three sums only."""
    total_ns = int(read(directory + "/cpuacct.usage"))
    user, system = parse_usage_all(read(directory + "/cpuacct.usage_all"))
    return CpuTimes(total_ns, *split(total_ns, sum(user), sum(system)))


FILES: Final = ("cpuacct.usage_percpu", "cpuacct.usage_all")


def parse(texts: Texts) -> CpuTimes:
    """The sums, and what they are the sums of."""
    exact = tuple(map(int, texts["cpuacct.usage_percpu"].split()))
    user, system = parse_usage_all(texts["cpuacct.usage_all"].decode())
    total_ns = sum(exact)
    parts = split(total_ns, sum(user), sum(system))
    return CpuTimes(total_ns, *parts, exact, user, system)


def split(total_ns: int, user_ticks: int, system_ticks: int) -> tuple[int, int]:
    """Divide an exact time in the ratio of two counts (cputime_adjust in
    kernel/sched/cputime.c); without any tick all of it is taken for user time."""
    ticks = user_ticks + system_ticks
    system_ns = total_ns * system_ticks // ticks if ticks else 0
    return total_ns - system_ns, system_ns


def parse_usage_all(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read the table ``cpu user system``; cpus are in order, holes left out."""
    words = text.split()
    return tuple(map(int, words[4::3])), tuple(map(int, words[5::3]))
