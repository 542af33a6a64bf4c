"""Descriptors: closing what strayed in, and placing those that stay."""

from __future__ import annotations

import fcntl
import os
from ctypes import c_uint

from . import constants as c
from .libc import call, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_close_range = syscall(c.SYS_CLOSE_RANGE, c_uint, c_uint, c_uint)
_LAST = 0xFFFFFFFF


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor but those in ``keep``."""
    close_ranges(others(keep))


def others(keep: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """All numbers but those in ``keep``, as ranges: (first, last), ..."""
    ranges = []
    first = 0
    for number in sorted(set(keep)):
        if number > first:
            ranges.append((first, number - 1))
        first = number + 1
    ranges.append((first, _LAST))
    return tuple(ranges)


def close_ranges(ranges: Iterable[tuple[int, int]]) -> None:
    """Close all descriptors of these numbers that are open."""
    for first, last in ranges:
        call("close_range", _close_range, first, last, 0)


def place(targets: Mapping[int, int]) -> None:
    """Put descriptors at the numbers that the program is to find them at.

    ``targets`` is {number in the program: descriptor now}. Where one's present number
    is another's future one, all are moved out of the way first. Those placed stay open
    over exec; the present ones are left as they are.
    """
    if any(source in targets for source in targets.values()):
        above = max(targets) + 1
        targets = {
            number: call("fcntl", fcntl.fcntl, source, fcntl.F_DUPFD_CLOEXEC, above)
            for number, source in targets.items()
        }
    for number, source in targets.items():
        call("dup3", os.dup2, source, number, True)


def move_above(descriptor: int, numbers: Iterable[int]) -> int:
    """The same file at a number above all ``numbers``, close-on-exec."""
    above = max(numbers, default=2) + 1
    if descriptor >= above:
        return descriptor
    moved: int = call("fcntl", fcntl.fcntl, descriptor, fcntl.F_DUPFD_CLOEXEC, above)
    return moved
