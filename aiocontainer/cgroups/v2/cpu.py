"""v2 ``cpu``: weight, quota, time used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UnsupportedFeature
from ..conversions import or_word, weight_from_shares
from ..files import parse_flat, read
from ..meter import Texts
from ..pressure import pressure_in
from ..stats import CpuStats, Pressure
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("limits", "parse", "times")


def parse(texts: Texts) -> CpuStats:
    """Time used, throttling and pressure."""
    return _parse_stat(texts["cpu.stat"].decode(), pressure_in(texts, "cpu"))


def times(directory: str) -> CpuStats:
    """Read ``cpu.stat``, whose usage is there even without the controller."""
    return _parse_stat(read(directory + "/cpu.stat"), None)


def _parse_stat(text: str, stall: Pressure | None) -> CpuStats:
    raw = parse_flat(text)
    throttled_us, burst_us = raw.get("throttled_usec"), raw.get("burst_usec")
    return CpuStats(
        total_ns=raw.get("usage_usec", 0) * 1000,
        user_ns=raw.get("user_usec", 0) * 1000,
        system_ns=raw.get("system_usec", 0) * 1000,
        periods=raw.get("nr_periods"),
        throttled_periods=raw.get("nr_throttled"),
        throttled_ns=None if throttled_us is None else throttled_us * 1000,
        burst_periods=raw.get("nr_bursts"),
        burst_ns=None if burst_us is None else burst_us * 1000,
        pressure=stall,
    )


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that set cpu limits.

    Raises:
        UnsupportedFeature: real-time limits, which only v1 has.
    """
    cpu = resources.cpu
    if cpu.realtime_runtime_us or cpu.realtime_period_us:
        raise UnsupportedFeature("real-time limits", "cgroup v2 has none")
    weight = cpu.weight
    if weight is None and cpu.shares is not None:
        weight = weight_from_shares(cpu.shares)
    writes = [] if weight is None else [Write("cpu.weight", str(weight))]
    if cpu.idle is not None:
        # The kernel refuses the weight of an idle group: last in, first out.
        writes.insert(len(writes) if cpu.idle else 0, Write("cpu.idle", str(+cpu.idle)))
    return writes + _bandwidth(resources, read)


def _bandwidth(resources: Resources, read: Reader) -> list[Write]:
    """Quota, period and burst. The kernel wants a burst of no more than the quota at
    any time: it is lowered before, and raised after."""
    cpu = resources.cpu
    writes = []
    if cpu.quota_us is not None or cpu.period_us is not None:
        old_quota, _, old_period = (read("cpu.max") or "max 100000").partition(" ")
        quota = old_quota if cpu.quota_us is None else or_word(cpu.quota_us, "max")
        period = cpu.period_us or old_period.strip() or "100000"
        writes.append(Write("cpu.max", f"{quota} {period}"))
    if cpu.burst_us is not None:
        lowers = cpu.burst_us < int(read("cpu.max.burst") or 0)
        burst = Write("cpu.max.burst", str(cpu.burst_us))
        writes.insert(0 if lowers else len(writes), burst)
    return writes
