"""Plans of short-lived children that answer system calls of a container."""

from __future__ import annotations

from typing import Final

from . import steps as s
from .parts import Part, Plan

__all__ = ("add_descriptor",)

_LISTENER: Final = 1
_SOURCE: Final = 2
_REPORT: Final = 3


def add_descriptor(
    notification: int, number: int | None, *, close_on_exec: bool, answer: bool
) -> Plan:
    """Put a descriptor into the table of who waits. The descriptors to be sent are the
    listener, that one, and a pipe for the number it gets."""
    step = s.AddDescriptor(
        _LISTENER,
        _SOURCE,
        _REPORT,
        notification,
        -1 if number is None else number,
        close_on_exec,
        answer,
    )
    return Plan(0, (), (), None, (), (Part.of((step, s.Finish())),))
