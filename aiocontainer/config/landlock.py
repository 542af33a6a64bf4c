"""Landlock: which files, ports and processes a program may reach, as an extra layer."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from .base import AbsolutePath, ConfigError, Flag, Model, Whole

__all__ = ("Landlock", "LandlockScope")

LandlockScope: TypeAlias = Literal["abstract_unix_sockets", "signals"]

_Port: TypeAlias = Annotated[Whole, Field(ge=0, le=65535)]


class Landlock(Model):
    """Rules of Landlock for a process and all that it starts; there is no way out.

    Files are denied unless a path here allows them, whatever their permissions; what is
    open already, as stdin, isn't affected. Paths are looked up inside the container
    when the process starts, and have to exist; a directory means all below it. The
    program itself, its loader and libraries need ``execute``.

    Ports and scopes are free unless given.
    """

    read: tuple[AbsolutePath, ...] = ()
    """Files may be read, and directories listed."""
    write: tuple[AbsolutePath, ...] = ()
    """Files may be read, written, made, moved, and removed; no device nodes made."""
    execute: tuple[AbsolutePath, ...] = ()
    """Files may be read and executed."""
    device_ioctl: tuple[AbsolutePath, ...] | None = None
    """Devices that ioctl(2) may be used on; ``None`` is all that can be opened."""
    bind_tcp: tuple[_Port, ...] | None = None
    """TCP ports that may be bound, 0 for those the kernel chooses; ``None`` is any."""
    connect_tcp: tuple[_Port, ...] | None = None
    """TCP ports that may be connected to, of any host; ``None`` is any."""
    scope: frozenset[LandlockScope] = frozenset()
    """What must not reach processes that aren't under these rules."""
    best_effort: Flag = False
    """Leave out what this kernel doesn't know, instead of refusing to start."""

    @model_validator(mode="after")
    def _allows_something(self) -> Self:
        if not (self.read or self.write or self.execute):
            raise ConfigError("execute", "is needed, or no program can be executed")
        return self
