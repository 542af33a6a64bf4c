"""Human sizes and shares, turned to the kernel's units at the edge."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import PlainValidator

from .base import ConfigError

__all__ = (
    "CPU_PERIOD_US",
    "ByteLimit",
    "CountLimit",
    "MicrosecondLimit",
    "PositiveByteLimit",
    "PositiveBytes",
    "PositiveCountLimit",
    "Unlimited",
    "parse_cpus",
    "parse_size",
)

Unlimited: TypeAlias = Literal["unlimited"]
"""No limit, said aloud. ``None`` says nothing: the kernel's value is left alone."""

CPU_PERIOD_US: Final = 100_000
"""The kernel's default period of the CPU bandwidth controller, in microseconds."""

LARGEST: Final = 2**63 - 1
"""The largest number that cgroup files take."""

_SIZE: Final = r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]*)\s*"
_CPUS: Final = r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(cpus?|m|%)?\s*"
_PREFIXES: Final = "kmgtpe"


def _factor(unit: str) -> int | None:
    """Bytes in one ``unit``: ``K`` is 1024, as in cgroup files, and ``kB`` 1000."""
    word = unit.lower()
    if word in ("", "b", "byte", "bytes"):
        return 1
    power = _PREFIXES.find(word[0]) + 1
    base = {"": 1024, "ib": 1024, "b": 1000}.get(word[1:])
    return base**power if power and base else None


def parse_size(value: object) -> int:
    """Bytes of ``64MiB``, ``1.5GB``, ``512k``, ``4096`` or a number.

    ``KiB`` and a bare ``K`` are 1024 bytes, ``kB`` is 1000; parts of a byte are cut.

    Raises:
        ConfigError: not a size, negative, or over 2**63 - 1.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return _within(value, 0, LARGEST)
    match = re.fullmatch(_SIZE, value, re.ASCII) if isinstance(value, str) else None
    factor = _factor(match[2]) if match else None
    if match is None or factor is None:
        raise ConfigError("", "should be a number of bytes, or a size as '64MiB'")
    from decimal import Decimal  # takes 1 ms, and sizes are mostly numbers

    return _within(int(Decimal(match[1]) * factor), 0, LARGEST)


def parse_cpus(value: object) -> int:
    """Microseconds of run time in each 100 ms, of ``1.5``, ``"1.5 cpus"``, ``"150%"``
    or ``"1500m"``.

    Raises:
        ConfigError: not a number of CPUs, or less than 0.01 of one (the kernel's least
            quota is 1 ms).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError("", "should be a number of CPUs, as 1.5")
    if isinstance(value, str):
        match = re.fullmatch(_CPUS, value, re.ASCII)
        if match is None:
            raise ConfigError("", "should be a number of CPUs, as 1.5")
        share = float(match[1]) / {"m": 1000, "%": 100}.get(match[2], 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError("", "should be a finite number of CPUs")
    else:
        if not 0 < value <= 1_000_000:
            raise ConfigError("", "should be between 0.01 and 1000000 CPUs")
        share = float(value)
    quota_us = round(share * CPU_PERIOD_US)
    if not 1_000 <= quota_us <= 1_000_000 * CPU_PERIOD_US:
        raise ConfigError("", "should be between 0.01 and 1000000 CPUs")
    return quota_us


def _within(number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise ConfigError("", f"should be between {least} and {most}")
    return number


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError("", "should be a whole number")
    return _within(value, 0, LARGEST)


def _limit(parse: Callable[[object], int], least: int) -> PlainValidator:
    """Takes ``"unlimited"``, ``None``, or what ``parse`` takes from ``least`` on."""

    def validate(value: object) -> int | str | None:
        if value is None or value == "unlimited":
            return value
        return _within(parse(value), least, LARGEST)

    return PlainValidator(validate)


def _positive_size(value: object) -> int:
    return _within(parse_size(value), 1, LARGEST)


PositiveBytes: TypeAlias = Annotated[int, PlainValidator(_positive_size)]
"""A size in bytes, not 0; human words are taken."""

ByteLimit: TypeAlias = Annotated[int | Unlimited | None, _limit(parse_size, 0)]
"""A limit in bytes, ``"unlimited"``, or ``None`` to leave the kernel's value alone."""

PositiveByteLimit: TypeAlias = Annotated[int | Unlimited | None, _limit(parse_size, 1)]
"""A `ByteLimit` where 0 would let nothing run, or would mean "no limit" on v1."""

CountLimit: TypeAlias = Annotated[int | Unlimited | None, _limit(_count, 0)]
"""A limit as a number, ``"unlimited"``, or ``None`` to leave it alone."""

PositiveCountLimit: TypeAlias = Annotated[int | Unlimited | None, _limit(_count, 1)]
"""A `CountLimit` where 0 would let nothing run, or would mean "no limit" on v1."""

MicrosecondLimit: TypeAlias = Annotated[int | Unlimited | None, _limit(_count, 1_000)]
"""A limit of at least 1000 microseconds, ``"unlimited"``, or ``None``."""
