"""What a finished child must look like from outside, worked out from the config alone.

Not from the plan: this is what the plan and the helper are checked against.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from ..config import CAPABILITIES, Config, IdMapping, ProcessSettings
from ..config.process import parse_user
from .host import HostFacts
from .parts import remembered

_SETS: Final = (
    ("CapInh", "inheritable"),
    ("CapPrm", "permitted"),
    ("CapEff", "effective"),
    ("CapBnd", "bounding"),
    ("CapAmb", "ambient"),
)
"""In the order of ``/proc/<pid>/status``."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Lines of ``/proc/<pid>/status``, as the kernel prints them."""

    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every process of a container is in."""

    namespaces: tuple[tuple[str, str | None], ...]
    """(name in ``/proc/<pid>/ns``, path of the one to be in, "" for one of its own, or
    None for the host's)."""
    masked: tuple[bytes, ...]
    readonly: tuple[bytes, ...]


def rights(config: Config, settings: ProcessSettings) -> Rights:
    """What a process of ``settings`` in a container of ``config`` may do."""
    if config.uid_mappings or config.namespaces.user != "host":
        return Rights((*_ids(config, settings), _privileges(settings)))
    return _unmapped(settings)


@remembered
def _unmapped(settings: ProcessSettings) -> Rights:
    lines = _own_ids(settings, (), ())
    return Rights((*lines, _privileges(settings)))


@remembered
def surroundings(config: Config) -> Surroundings:
    """What a container of ``config`` is made of."""
    spaces = config.namespaces.model_dump()
    names = {"network": "net", "mount": "mnt"}
    own_mounts = spaces["mount"] == "new"
    return Surroundings(
        tuple(
            (names.get(kind, kind), {"new": "", "host": None}.get(choice, choice))
            for kind, choice in spaces.items()
        ),
        tuple(map(os.fsencode, config.masked_paths if own_mounts else ())),
        tuple(map(os.fsencode, config.readonly_paths if own_mounts else ())),
    )


@remembered
def _privileges(settings: ProcessSettings) -> bytes:
    """The capability sets, no_new_privs and the filter's mode, which follow each other.

    With no_new_privs the filter is loaded after this is looked at: as the last call
    before execve, which isn't made if that fails.
    """
    lines = []
    for line, name in _SETS:
        wanted: frozenset[str] = getattr(settings.capabilities, name)
        mask = sum(1 << CAPABILITIES[capability] for capability in wanted)
        lines.append(f"{line}:\t{mask:016x}\n")
    lines.append(f"NoNewPrivs:\t{settings.no_new_privs:d}\n")
    early = settings.seccomp is not None and not settings.no_new_privs
    early = early or HostFacts.read().is_filtered  # the program is in a container
    lines.append(f"Seccomp:\t{2 if early else 0}\n")
    return "".join(lines).encode()


def _ids(config: Config, settings: ProcessSettings) -> tuple[bytes, ...]:
    """Ids as the host sees them, where they are given as numbers: names are looked up
    in the container's own files, and may mean anything."""
    if config.namespaces.user.startswith("/"):
        return ()  # whose mappings we don't know
    return _own_ids(settings, config.uid_mappings, config.gid_mappings)


def _own_ids(
    settings: ProcessSettings,
    uid_mappings: tuple[IdMapping, ...],
    gid_mappings: tuple[IdMapping, ...],
) -> tuple[bytes, ...]:
    user = parse_user(settings.user)
    found = []
    for line, wanted, mappings in (
        ("Uid", user.user, uid_mappings),
        ("Gid", user.group, gid_mappings),
    ):
        number = _outside(wanted, mappings) if isinstance(wanted, int) else None
        if number is not None:
            found.append(
                f"\n{line}:\t{number}\t{number}\t{number}\t{number}\n".encode()
            )
    return tuple(found)


def _outside(number: int, mappings: tuple[IdMapping, ...]) -> int | None:
    """The host's number of an id; None for one that isn't mapped."""
    for mapping in mappings:
        if 0 <= number - mapping.container_id < mapping.size:
            return mapping.host_id + number - mapping.container_id
    return None if mappings else number
