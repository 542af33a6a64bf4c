"""Descriptors for sd_listen_fds(3): from 3 on, with names if wanted."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import ConfigError
from .stdio import HasFileno

__all__ = ("ListenFds", "ListenSources", "checked_listen_fds")

ListenSources: TypeAlias = "Sequence[int | HasFileno] | Mapping[str, int | HasFileno]"
"""Descriptors or sockets, in order; a mapping gives their names."""

_FIRST: Final = 3  # SD_LISTEN_FDS_START
_LONGEST_NAME: Final = 255  # FDNAME_MAX of systemd


@dataclass(frozen=True, slots=True)
class ListenFds:
    """Descriptors that the program finds from 3 on."""

    numbers: tuple[int, ...] = ()
    names: bytes | None = None
    """As ``LISTEN_FDNAMES`` has them."""


def checked_listen_fds(sources: ListenSources, pass_fds: Iterable[int]) -> ListenFds:
    """Descriptors that are open, and stand in nobody's way.

    Raises:
        ConfigError: naming the argument.
    """
    if not sources:
        return ListenFds()
    names = tuple(sources) if isinstance(sources, Mapping) else None
    given = sources.values() if isinstance(sources, Mapping) else sources
    numbers = tuple(
        _number(f"listen_fds[{name}]", source)
        for name, source in zip(names or range(len(sources)), given, strict=True)
    )
    for index, number in enumerate(pass_fds):
        if _FIRST <= number < _FIRST + len(numbers):
            raise ConfigError(f"pass_fds[{index}]", "is where listen_fds go")
    if names is None:
        return ListenFds(numbers)
    for name in names:
        _check_name(name)
    return ListenFds(numbers, ":".join(names).encode())


def _check_name(name: str) -> None:
    is_text = isinstance(name, str) and name.isascii() and name.isprintable()
    if not is_text or ":" in name or not 1 <= len(name) <= _LONGEST_NAME:
        field = f"listen_fds[{str(name)[:40]}]"
        raise ConfigError(field, "should be 1 to 255 ASCII characters without ':'")


def _number(field: str, source: int | HasFileno) -> int:
    try:
        number = source if isinstance(source, int) else source.fileno()
        fcntl.fcntl(number, fcntl.F_GETFD)
    # Whatever a foreign object raises: it has no descriptor.
    except Exception as error:
        raise ConfigError(field, f"is no open descriptor: {error}") from error
    if isinstance(number, bool) or number < 0:
        raise ConfigError(field, "is no open descriptor")
    return number
