"""Which namespaces a child is born in, joins or makes, and the id maps of a new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from .._sys import constants as c
from ..config import Config
from . import steps as s

KINDS: Final = {"user": c.CLONE_NEWUSER, **c.NAMESPACES}
"""Name in a config -> ``CLONE_NEW*``."""


def go_through(
    new: set[str], joined: Iterable[str], *, comes_back: bool
) -> tuple[str, ...]:
    """Namespaces given by path that the child has to be born in.

    A user namespace, so that it owns the new ones. And all that are joined beside a
    new user namespace: from inside that, nobody may join what the host owns. A mount
    namespace would hide the cgroups' files from whoever makes the child. A pid
    namespace also where the spawner, without ``comes_back``, couldn't leave it again.
    """
    kinds = [kind for kind in joined if kind not in ("user", "mount")]
    pid = tuple(kind for kind in kinds if kind == "pid")
    if "user" in joined:
        return ("user", *pid)
    if "user" in new:
        return tuple(kinds)
    return () if comes_back else pid


def enter(
    config: Config,
    new: set[str],
    joined: Mapping[str, bytes],
    index: Mapping[str, int],
    inside: tuple[str, ...],
    is_privileged: bool,
) -> Iterator[s.Step]:
    yield s.JoinCgroups()
    if "user" in new or "user" in joined:
        yield s.BeRootOfUserNamespace()
    if "user" in new and _forbids_nesting(config):
        yield s.ForbidUserNamespaces()
    if "cgroup" in new:
        yield s.Unshare(c.CLONE_NEWCGROUP)
    if "time" in new and not is_privileged:
        yield s.NewTimeNamespace(time_offsets(config))
    for kind in ("network", "ipc", "uts", "time", "cgroup", "mount"):
        if kind in joined and kind not in inside:
            yield s.JoinNamespace(joined[kind], index[kind], KINDS[kind])
    if "network" in new:
        yield s.BringUpLoopback()
    if config.domainname is not None:
        yield s.SetDomainname(config.domainname.encode())


def _forbids_nesting(config: Config) -> bool:
    """Unless the config says how many, or that all system calls may be made."""
    own = "user.max_user_namespaces" in config.sysctl
    return config.seccomp is not None and not own


def time_offsets(config: Config) -> bytes:
    """The lines of ``/proc/<pid>/timens_offsets``; nothing where nothing is shifted."""
    clocks = {"monotonic": config.time_offsets.monotonic}
    clocks["boottime"] = config.time_offsets.boottime
    lines = (
        f"{name} {offset.secs} {offset.nanosecs}\n"
        for name, offset in clocks.items()
        if offset is not None
    )
    return "".join(lines).encode()
