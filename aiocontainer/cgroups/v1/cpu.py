"""v1 ``cpu``: shares, quota, real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..conversions import or_word, shares_from_weight
from ..files import parse_flat, read
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import Resources

__all__ = (
    "limits",
    "throttling",
)


def throttling(directory: str) -> dict[str, int]:
    """``cpu.stat``: ``nr_periods nr_throttled throttled_time``, and bursts if known."""
    return parse_flat(read(directory + "/cpu.stat"))


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that set cpu limits."""
    cpu = resources.cpu
    shares = cpu.shares
    if shares is None and cpu.weight is not None:
        shares = shares_from_weight(cpu.weight)
    writes = [] if shares is None else [Write("cpu.shares", str(shares))]
    if cpu.idle is not None:
        # The kernel refuses shares of an idle group: last in, first out.
        writes.insert(len(writes) if cpu.idle else 0, Write("cpu.idle", str(+cpu.idle)))
    writes += _bandwidth(resources, read)
    for file, value in (
        ("cpu.rt_period_us", cpu.realtime_period_us),
        ("cpu.rt_runtime_us", cpu.realtime_runtime_us),
    ):
        if value is not None:
            writes.append(Write(file, str(value)))
    return writes


def _bandwidth(resources: Resources, read: Reader) -> list[Write]:
    """Quota, period and burst. The kernel wants a burst of no more than the quota at
    any time: it is lowered before, and raised after."""
    cpu = resources.cpu
    writes = []
    if cpu.quota_us is not None:
        writes.append(Write("cpu.cfs_quota_us", or_word(cpu.quota_us, "-1")))
    if cpu.period_us is not None:
        position = 0 if _period_goes_first(resources, read) else len(writes)
        writes.insert(position, Write("cpu.cfs_period_us", str(cpu.period_us)))
    if cpu.burst_us is not None:
        lowers = cpu.burst_us < int(read("cpu.cfs_burst_us") or 0)
        burst = Write("cpu.cfs_burst_us", str(cpu.burst_us))
        writes.insert(0 if lowers else len(writes), burst)
    return writes


def _period_goes_first(resources: Resources, read: Reader) -> bool:
    """Between the two writes the old of one holds with the new of the other. Take the
    order in which that is the smaller share, since a cgroup above may limit it."""
    quota, period = resources.cpu.quota_us, resources.cpu.period_us
    if not isinstance(quota, int) or period is None:
        return quota is None
    old_quota = int(read("cpu.cfs_quota_us") or -1)
    old_period = int(read("cpu.cfs_period_us") or 100_000)
    return old_quota > 0 and old_quota * old_period <= quota * period
