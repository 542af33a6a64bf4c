"""Steps that turn the child into the program: terminal, limits, ids, rights, exec."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Limits, Passed, Step, text


@dataclass(frozen=True, slots=True)
class Stop(Step):
    """Wait until the program has done its part, and says so."""

    name: bytes

    def _subject(self) -> str:
        return f"at {text(self.name)}"


@dataclass(frozen=True, slots=True)
class SayReady(Step):
    """Let the program verify what became of us; GO is answered to that."""


@dataclass(frozen=True, slots=True)
class OpenTerminal(Step):
    """A terminal of the container's own devpts as stdin, stdout and stderr."""

    rows: int
    columns: int
    console: bool


@dataclass(frozen=True, slots=True)
class FindUser(Step):
    """Numbers for the user and groups, from the container's own files."""

    user: bytes
    additional: tuple[bytes, ...]

    def _subject(self) -> str:
        return text(self.user)


@dataclass(frozen=True, slots=True)
class RaiseLimits(Step):
    """Raise hard limits, before CAP_SYS_RESOURCE is given up."""

    limits: Limits


@dataclass(frozen=True, slots=True)
class NoNewPrivs(Step):
    """No exec gives privileges any more."""


@dataclass(frozen=True, slots=True)
class LoadFilter(Step):
    """The system call filter, early: without no_new_privs it takes CAP_SYS_ADMIN."""

    bpf: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class OwnStdio(Step):
    """Give the program's pipes (numbers among the descriptors sent) to its user."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChangeDirectory(Step):
    """As root, since the user may not be able to pass through."""

    path: bytes

    def _subject(self) -> str:
        return f"to {text(self.path)}"


@dataclass(frozen=True, slots=True)
class ChangeIdentity(Step):
    """Ids and the five capability sets (bit masks; ambient as numbers)."""

    drop_bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: tuple[int, ...]
    cwd: bytes


@dataclass(frozen=True, slots=True)
class AwaitGate(Step):
    """Wait, with the program found and all rights gone, until some program starts us.

    The init pipe is closed, and one to whoever opened the gate takes its place.
    """

    listening: int
    program: bytes
    search: bytes


@dataclass(frozen=True, slots=True)
class OpenNotifySocket(Step):
    """A socket in the container's files, for sd_notify(3)."""

    path: bytes

    def _subject(self) -> str:
        return text(self.path)


@dataclass(frozen=True, slots=True)
class SetListenPid(Step):
    """Nobody but the process itself knows its number in its pid namespace."""


@dataclass(frozen=True, slots=True)
class Execute(Step):
    """Be the program. The filter goes last: nothing but execve comes after it."""

    arguments: tuple[bytes, ...]
    environment: tuple[tuple[bytes, bytes], ...]
    passed: Passed
    umask: int
    limits: Limits
    bpf: bytes | None
    flags: int

    def _subject(self) -> str:
        return text(self.arguments[0])


@dataclass(frozen=True, slots=True)
class ExecuteInit(Step):
    """Be the built-in init."""

    passed: Passed
    umask: int
    limits: Limits
    bpf: bytes | None
    flags: int
