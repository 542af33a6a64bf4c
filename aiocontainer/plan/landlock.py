"""From a `Landlock` to rights and rules, as far as this kernel has them."""

from __future__ import annotations

import os
from functools import cache
from typing import Final

from .._sys import landlock as sys
from ..config.landlock import Landlock
from ..errors import UnsupportedFeature
from .steps.lsm import MakeLandlock

__all__ = ("enforced", "landlock_version", "rules")

_READ: Final = sys.READ_FILE | sys.READ_DIR
_EXECUTE: Final = _READ | sys.EXECUTE
_WRITE: Final = (
    *(_READ, sys.WRITE_FILE, sys.TRUNCATE, sys.REFER, sys.REMOVE_DIR, sys.REMOVE_FILE),
    *(sys.MAKE_DIR, sys.MAKE_REG, sys.MAKE_SOCK, sys.MAKE_FIFO, sys.MAKE_SYM),
)
_ALL_WRITE: Final = sum(_WRITE)
_NODES: Final = sys.MAKE_CHAR | sys.MAKE_BLOCK

_SINCE: Final = {
    "files": 3,  # truncate(2) can't be denied before
    "device_ioctl": 5,
    "bind_tcp": 4,
    "connect_tcp": 4,
    "abstract_unix_sockets": 6,
    "signals": 6,
}
_SCOPES: Final = {
    "abstract_unix_sockets": sys.SCOPE_ABSTRACT_UNIX_SOCKET,
    "signals": sys.SCOPE_SIGNAL,
}


@cache
def landlock_version() -> int:
    """Version of this kernel's Landlock, 0 where there is none."""
    return sys.version()


def enforced(landlock: Landlock, version: int | None = None) -> frozenset[str]:
    """Of what is asked for, that which this kernel enforces: ``files``, and the names
    of fields and scopes.

    Raises:
        UnsupportedFeature: not all of it, and not asked for as the best effort.
    """
    present = landlock_version() if version is None else version
    wanted = {"files", *landlock.scope}
    for field in ("device_ioctl", "bind_tcp", "connect_tcp"):
        if getattr(landlock, field) is not None:
            wanted.add(field)
    lacking = sorted(name for name in wanted if present < _SINCE[name])
    if lacking and not landlock.best_effort:
        newest = max(_SINCE[name] for name in lacking)
        raise UnsupportedFeature(
            f"Landlock for {', '.join(lacking)}",
            f"this kernel has version {present} of it, and {newest} is needed"
            if present
            else "this kernel has none, or it isn't among its security modules",
            "best_effort=True leaves out what isn't there"
            if present
            else "boot with landlock in lsm=",
        )
    some = {"files"} if present and "files" in lacking else set()
    return frozenset(wanted - set(lacking) | some)


def rules(
    landlock: Landlock, *, at_once: bool, version: int | None = None
) -> MakeLandlock | None:
    """The step that makes the rules, and with ``at_once`` puts them in force; ``None``
    where the best effort is nothing.

    Raises:
        UnsupportedFeature: as `enforced`.
    """
    present = landlock_version() if version is None else version
    parts = enforced(landlock, present)
    if not parts:
        return None
    handled = _EXECUTE | _ALL_WRITE | _NODES
    allowed: dict[str, int] = {}
    for paths, access in (
        (landlock.read, _READ),
        (landlock.write, _ALL_WRITE),
        (landlock.execute, _EXECUTE),
    ):
        for path in paths:
            allowed[path] = allowed.get(path, 0) | access
    if "device_ioctl" in parts:
        handled |= sys.IOCTL_DEV
        for path in landlock.device_ioctl or ():
            allowed[path] = allowed.get(path, 0) | sys.IOCTL_DEV
    handled &= _known(present)
    network = 0
    ports: dict[int, int] = {}
    for field, access in (("bind_tcp", sys.BIND_TCP), ("connect_tcp", sys.CONNECT_TCP)):
        if field in parts:
            network |= access
            for port in getattr(landlock, field):
                ports[port] = ports.get(port, 0) | access
    return MakeLandlock(
        handled,
        network,
        sum(bit for name, bit in _SCOPES.items() if name in parts),
        tuple((os.fsencode(path), bits & handled) for path, bits in allowed.items()),
        tuple(ports.items()),
        at_once,
    )


def _known(version: int) -> int:
    """Rights to files that a version knows."""
    known = sys.REFER - 1
    for since, bit in ((2, sys.REFER), (3, sys.TRUNCATE), (5, sys.IOCTL_DEV)):
        known |= bit if version >= since else 0
    return known
