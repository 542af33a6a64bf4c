"""The ``pids`` controller, whose files are the same on v1 and v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .conversions import or_word
from .files import parse_flat, parse_limit, read_number
from .meter import Texts
from .stats import PidsStats
from .writes import Reader, Write

if TYPE_CHECKING:
    from ..config import Resources

__all__ = ("FILES", "LIMIT_FILES", "OPTIONAL_FILES", "limits", "parse", "peak")


FILES: Final = ("pids.current", "pids.max")
OPTIONAL_FILES: Final = ("pids.peak", "pids.events")
LIMIT_FILES: Final = frozenset({"pids.max"})


def parse(texts: Texts) -> PidsStats:
    """The controller's four files."""
    highest, events = (texts.get(name, b"") for name in OPTIONAL_FILES)
    return PidsStats(
        current=int(texts["pids.current"]),
        limit=parse_limit(texts["pids.max"].decode()),
        peak=int(highest) if highest else None,
        failures=parse_flat(events.decode()).get("max", 0),
    )


def peak(directory: str) -> int | None:
    """The most tasks there were at once; ``None`` on kernels before 6.1."""
    return read_number(directory + "/pids.peak")


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The write that sets the limit."""
    limit = resources.pids_limit
    return [] if limit is None else [Write("pids.max", or_word(limit, "max"))]
