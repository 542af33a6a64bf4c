"""v1 ``cpu``: shares, quota, real time."""

from __future__ import annotations

from ..files import parse_flat, read

__all__ = ("throttling",)


def throttling(directory: str) -> dict[str, int]:
    """``cpu.stat``: ``nr_periods nr_throttled throttled_time``, and bursts if known."""
    return parse_flat(read(directory + "/cpu.stat"))
