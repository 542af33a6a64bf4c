"""Pressure stall information of a cgroup2 directory."""

from __future__ import annotations

import errno

from .files import parse_nested, read
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
    lines = parse_nested(text)
    if "some" not in lines:
        return None
    full = lines.get("full")
    return Pressure(_line(lines["some"]), None if full is None else _line(full))


def _line(values: dict[str, str]) -> PressureLine:
    return PressureLine(
        float(values["avg10"]),
        float(values["avg60"]),
        float(values["avg300"]),
        int(values["total"]),
    )
