"""Pressure stall information of a cgroup2 directory."""

from __future__ import annotations

from .meter import Texts
from .stats import Pressure, PressureLine

__all__ = ("parse_pressure", "pressure_in")


def pressure_in(texts: Texts, resource: str) -> Pressure | None:
    """``cpu``, ``memory`` or ``io`` pressure of a sample; ``None`` where PSI is off."""
    text = texts.get(f"{resource}.pressure")
    return None if text is None else parse_pressure(text.decode())


def parse_pressure(text: str) -> Pressure | None:
    """Read the lines ``some`` and ``full``; ``None`` when there is nothing."""
    some, full = None, None
    for line in text.splitlines():
        # some avg10=0.00 avg60=0.00 avg300=0.00 total=0
        kind, _, avg10, _, avg60, _, avg300, _, total = line.replace("=", " ").split()
        found = PressureLine(float(avg10), float(avg60), float(avg300), int(total))
        some, full = (found, full) if kind == "some" else (some, found)
    return None if some is None else Pressure(some, full)
