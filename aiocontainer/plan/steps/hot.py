"""Steps that change the mounts of a running container."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Step, text


@dataclass(frozen=True, slots=True)
class KeepProc(Step):
    """A proc of the host, for after the join, and a pipe to say on what is mounted."""

    report: int


@dataclass(frozen=True, slots=True)
class Unmount(Step):
    """Take one mount away: that of this number, or (0) what is there."""

    destination: bytes
    number: int

    def _subject(self) -> str:
        return text(self.destination)


@dataclass(frozen=True, slots=True)
class Finish(Step):
    """End, with all done and no program to be."""
