"""Between the units of v1 and v2, as runc converts them."""

from __future__ import annotations

import math

__all__ = ("io_weight", "or_word", "shares_from_weight", "weight_from_shares")


def or_word(limit: int | str, unlimited: str) -> str:
    """How a file wants a limit: the number, or its word for none."""
    return unlimited if limit == "unlimited" else str(limit)


def weight_from_shares(shares: int) -> int:
    """v2 ``cpu.weight`` of v1 ``cpu.shares``.

    A quadratic in the logarithms that meets both ends and both defaults: 2 is 1, 1024
    is 100, 262144 is 10000.
    """
    if shares <= 2:
        return 1
    if shares >= 262_144:
        return 10_000
    log = math.log2(shares)
    exponent = (log * log + 125 * log) / 612 - 7 / 34
    return math.ceil(round(10**exponent, 6))


def shares_from_weight(weight: int) -> int:
    """v1 ``cpu.shares`` of v2 ``cpu.weight``: the inverse of `weight_from_shares`."""
    exponent = math.log10(weight) + 7 / 34
    log = (math.sqrt(125 * 125 + 4 * 612 * exponent) - 125) / 2
    return min(262_144, max(2, round(2**log)))


def io_weight(weight: int) -> int:
    """v2 ``io.weight`` (1 to 10000) of v1 ``blkio.weight`` (10 to 1000), linearly."""
    return 1 + (weight - 10) * 9999 // 990
