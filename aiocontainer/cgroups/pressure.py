"""Pressure stall information of a cgroup2 directory."""

from __future__ import annotations

import errno

from .files import read
from .stats import Pressure, PressureLine

__all__ = ("parse_pressure", "pressure")


def pressure(directory: str, resource: str) -> Pressure | None:
    """Read ``cpu``, ``memory`` or ``io`` pressure; ``None`` where PSI is off."""
    try:
        return parse_pressure(read(f"{directory}/{resource}.pressure"))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # psi=0, or cgroup.pressure 0
            return None
        raise


def parse_pressure(text: str) -> Pressure | None:
    """Read the lines ``some`` and ``full``; ``None`` when there is nothing."""
    some, full = None, None
    for line in text.splitlines():
        # some avg10=0.00 avg60=0.00 avg300=0.00 total=0
        kind, _, avg10, _, avg60, _, avg300, _, total = line.replace("=", " ").split()
        found = PressureLine(float(avg10), float(avg60), float(avg300), int(total))
        some, full = (found, full) if kind == "some" else (some, found)
    return None if some is None else Pressure(some, full)
