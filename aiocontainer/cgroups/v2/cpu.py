"""v2 ``cpu``: weight, quota, time used."""

from __future__ import annotations

from dataclasses import replace

from ..files import parse_flat, read
from ..pressure import pressure
from ..stats import CpuStats

__all__ = ("stats", "times")


def stats(directory: str) -> CpuStats:
    """Time used, throttling and pressure."""
    return replace(times(directory), pressure=pressure(directory, "cpu"))


def times(directory: str) -> CpuStats:
    """Read ``cpu.stat``, whose usage is there even without the controller."""
    raw = parse_flat(read(directory + "/cpu.stat"))
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
    )
