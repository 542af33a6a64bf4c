"""Namespaces, and the id mappings of a user namespace."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from .base import ConfigError, Model, Whole, absolute, as_text, without_nul

__all__ = (
    "MAPPING_EXTENTS_MAX",
    "IdMapping",
    "NamespaceChoice",
    "Namespaces",
    "TimeOffset",
    "TimeOffsets",
    "require_disjoint",
)

MAPPING_EXTENTS_MAX: Final = 340
"""Extents that ``/proc/<pid>/uid_map`` takes (kernel 4.15 and later)."""


def _choice(word: str) -> str:
    return word if word in ("new", "host") else absolute(word)


def _user_choice(word: str) -> str:
    return word if word == "auto" else _choice(word)


NamespaceChoice: TypeAlias = Annotated[
    str,
    Strict(),
    BeforeValidator(as_text),
    AfterValidator(without_nul),
    AfterValidator(_choice),
]
"""``"new"``, ``"host"``, or the absolute path of one to join."""


UserNamespaceChoice: TypeAlias = Annotated[
    str,
    Strict(),
    BeforeValidator(as_text),
    AfterValidator(without_nul),
    AfterValidator(_user_choice),
]
"""`NamespaceChoice`, or ``"auto"``."""


class Namespaces(Model):
    """Which namespaces the container has of its own.

    Each is ``"new"``, ``"host"`` (the program's own), or the absolute path of a
    namespace file to join.
    """

    mount: NamespaceChoice = "new"
    pid: NamespaceChoice = "new"
    uts: NamespaceChoice = "new"
    ipc: NamespaceChoice = "new"
    network: NamespaceChoice = "new"
    cgroup: NamespaceChoice = "new"
    user: UserNamespaceChoice = "host"
    """``"new"`` needs ``uid_mappings`` and ``gid_mappings``; ``"auto"`` chooses them.
    A program without privileges gets an automatic one instead of the host's."""
    time: NamespaceChoice = "host"


def _offset(value: object) -> object:
    """A plain number means seconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"secs": value}
    return value


class TimeOffset(Model):
    """What is added to a clock. ``-1.5 s`` is ``secs=-2, nanosecs=500_000_000``."""

    secs: Annotated[Whole, Field(ge=-(2**33), le=2**33)] = 0
    """Whole seconds, also negative; a clock can't be set before its start, nor so far
    on that it would run over (about 146 years)."""
    nanosecs: Annotated[Whole, Field(ge=0, le=999_999_999)] = 0
    """On top of that, in nanoseconds."""


class TimeOffsets(Model):
    """How far the clocks of a new time namespace are from the host's
    (time_namespaces(7)). The time of day has none."""

    monotonic: Annotated[TimeOffset | None, BeforeValidator(_offset)] = None
    """Of ``CLOCK_MONOTONIC``; a plain number is seconds."""
    boottime: Annotated[TimeOffset | None, BeforeValidator(_offset)] = None
    """Of ``CLOCK_BOOTTIME``, and so of ``/proc/uptime``; a plain number is seconds."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            monotonic: TimeOffset | int | None = ...,
            boottime: TimeOffset | int | None = ...,
        ) -> None: ...


class IdMapping(Model):
    """A range of ids of the container, and the host's ids that they stand for."""

    container_id: Annotated[Whole, Field(ge=0, le=4_294_967_294)]
    """First id in the container."""
    host_id: Annotated[Whole, Field(ge=0, le=4_294_967_294)]
    """First id on the host."""
    size: Annotated[Whole, Field(ge=1, le=4_294_967_295)]
    """How many ids."""

    @model_validator(mode="after")
    def _ids_fit(self) -> Self:
        # (uid_t) -1 can't be mapped: it means "no id" to the kernel.
        if max(self.container_id, self.host_id) + self.size > 4_294_967_295:
            raise ConfigError("size", "goes beyond the largest id, 4294967294")
        return self


def require_disjoint(field: str, mappings: Sequence[IdMapping]) -> None:
    """Refuse what the kernel refuses: too many extents, or ids mapped twice.

    Raises:
        ConfigError: naming the later of two mappings that overlap.
    """
    if len(mappings) > MAPPING_EXTENTS_MAX:
        raise ConfigError(field, f"more than {MAPPING_EXTENTS_MAX} ranges")
    for side in ("container_id", "host_id"):
        order = sorted(
            (getattr(mapping, side), mapping.size, index)
            for index, mapping in enumerate(mappings)
        )
        for (start, size, one), (following, _, other) in itertools.pairwise(order):
            if following < start + size:
                raise ConfigError(
                    f"{field}[{max(one, other)}].{side}",
                    f"overlaps {field}[{min(one, other)}]",
                )
