"""Steps that run programs beside the container's own."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Passed, Step, text


@dataclass(frozen=True, slots=True)
class RunHook(Step):
    """A hook, by the child; its own pid goes between the halves of the state."""

    kind: bytes
    path: bytes
    arguments: tuple[bytes, ...]
    environment: tuple[tuple[bytes, bytes], ...]
    directory: bytes
    timeout_ms: int | None
    before: bytes
    after: bytes

    def _subject(self) -> str:
        return f"{text(self.kind)} {text(self.path)}"


@dataclass(frozen=True, slots=True)
class ExecuteHook(Step):
    """Be a hook on the host."""

    path: bytes
    arguments: tuple[bytes, ...]
    environment: tuple[tuple[bytes, bytes], ...]
    directory: bytes
    passed: Passed

    def _subject(self) -> str:
        return text(self.path)
