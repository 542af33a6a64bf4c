"""Steps of a short-lived child that answers a system call of a container."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Step


@dataclass(frozen=True, slots=True)
class AddDescriptor(Step):
    """Put a descriptor into the table of a caller that waits; which number it got is
    written to the pipe ``report``. ``listener``, ``source`` and ``report`` are indexes
    of descriptors."""

    listener: int
    source: int
    report: int
    notification: int
    number: int
    close_on_exec: bool
    answer: bool
