"""`Isolation`: what keeps a container apart, and what does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .cgroups import Cgroup
from .config import Config

__all__ = ("Isolation", "isolation_of")


@dataclass(frozen=True, slots=True)
class Isolation:
    """What is in force for a container; said, so that nobody has to assume it."""

    namespaces: frozenset[str]
    """Kinds that aren't the host's: ``mount``, ``pid``, ``network``..."""
    cgroup: Literal["off", "v1", "v2"]
    """``off``: nothing is limited or counted, and only what was started from here can
    be killed as a whole."""
    controllers: frozenset[str]
    """cgroup controllers it has."""
    device_rules: bool
    """Devices that the config doesn't permit can't be used, whoever made a node."""
    seccomp: bool
    """System calls are filtered (for processes that don't override it)."""
    no_new_privs: bool
    capabilities: frozenset[str]
    """The most that a process in it can have."""


def isolation_of(config: Config, cgroup: Cgroup | None) -> Isolation:
    """What holds for the container of ``config`` in ``cgroup``."""
    choices = config.namespaces.model_dump()
    controllers = frozenset() if cgroup is None else frozenset(cgroup.paths)
    v2 = cgroup is not None and cgroup.version == 2
    return Isolation(
        namespaces=frozenset(kind for kind, at in choices.items() if at != "host"),
        cgroup="off" if cgroup is None else "v2" if v2 else "v1",
        controllers=controllers,
        device_rules="devices" in controllers,
        seccomp=config.seccomp is not None,
        no_new_privs=config.no_new_privs,
        capabilities=config.capabilities.bounding,
    )
