"""Steps of the security modules: Landlock, AppArmor, SELinux."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Step, text


@dataclass(frozen=True, slots=True)
class MakeLandlock(Step):
    """Rules on ourselves; rights and scopes are the kernel's bits. They come in force
    before the filter, right before the exec, or at once where that takes privilege."""

    files: int
    network: int
    scoped: int
    allowed: tuple[tuple[bytes, int], ...]
    """((path, rights), ...)"""
    ports: tuple[tuple[int, int], ...]
    """((port, rights), ...)"""
    at_once: bool


@dataclass(frozen=True, slots=True)
class OpenAttributes(Step):
    """Files of ``/proc/thread-self/attr``: our security attributes."""

    files: tuple[bytes, ...]

    def _subject(self) -> str:
        return ", ".join(map(text, self.files))


@dataclass(frozen=True, slots=True)
class WriteAttributes(Step):
    """Values for some of the files that were opened."""

    values: tuple[tuple[bytes, bytes], ...]
    """((file, value), ...)"""

    def _subject(self) -> str:
        return ", ".join(text(file) for file, _ in self.values)
