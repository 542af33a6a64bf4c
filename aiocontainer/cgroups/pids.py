"""The ``pids`` controller, whose files are the same on v1 and v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conversions import or_word
from .files import parse_flat, parse_limit, read, read_number, read_optional
from .stats import PidsStats
from .writes import Reader, Write

if TYPE_CHECKING:
    from ..config import Resources

__all__ = ("limits", "peak", "stats")


def stats(directory: str) -> PidsStats:
    """Read the controller's four files."""
    events = read_optional(directory + "/pids.events")
    return PidsStats(
        current=int(read(directory + "/pids.current")),
        limit=parse_limit(read(directory + "/pids.max")),
        peak=peak(directory),
        failures=0 if events is None else parse_flat(events).get("max", 0),
    )


def peak(directory: str) -> int | None:
    """The most tasks there were at once; ``None`` on kernels before 6.1."""
    return read_number(directory + "/pids.peak")


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The write that sets the limit."""
    limit = resources.pids_limit
    return [] if limit is None else [Write("pids.max", or_word(limit, "max"))]
