"""A cgroup that one program made and another one opens again: what it is, in JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .base import Cgroup
from .detect import detect
from .tree import kill_until_none, members
from .v1.manager import V1Cgroup
from .v2.manager import V2Cgroup

__all__ = ("inodes", "let_go", "reopened", "saved")


def saved(cgroup: Cgroup) -> dict[str, Any]:
    """What `reopened` needs of a cgroup that has been made."""
    what: dict[str, Any] = {"version": cgroup.version, "name": cgroup.name}
    if (unit := getattr(cgroup, "unit", None)) is not None:
        what["unit"] = unit
    if isinstance(cgroup, V1Cgroup):
        return {**what, "paths": dict(cgroup.paths), "unified": cgroup.unified}
    if isinstance(cgroup, V2Cgroup):
        what |= {"directory": cgroup.directory, "controllers": list(cgroup.paths)}
    return what


def reopened(what: Mapping[str, Any], directories: Mapping[str, int | None]) -> Cgroup:
    """The same cgroup for this program; touches nothing.

    Args:
        what: as `saved` said.
        directories: each with its inode, as `inodes` said.

    Raises:
        FileNotFoundError: it is gone; another may have taken its name.
        ValueError, KeyError, TypeError: it wasn't said by `saved`.
    """
    for directory, inode in directories.items():
        if os.stat(directory).st_ino != inode:
            raise FileNotFoundError(2, "is another cgroup by now", directory)
    if what["version"] == 1 and "unit" in what:
        return _scope_v1(what)
    if what["version"] == 1:
        return V1Cgroup(what["name"], what["paths"], what["unified"])
    if what["version"] != 2:
        raise ValueError(f"no cgroup of version {what['version']}")
    if "unit" in what:
        again = _scope(what)
    else:
        again = V2Cgroup(what["directory"], what["controllers"])
    again.paths = dict.fromkeys(what["controllers"], again.directory)
    return again


def let_go(cgroup: Cgroup) -> int | None:
    """Leave it to others; the pid of a child of ours that is to live on with it."""
    scope = getattr(cgroup, "_scope", None)  # systemd's, which a process keeps alive
    keeper: int | None = None if scope is None else scope.let_go()
    return keeper


def inodes(cgroup: Cgroup) -> dict[str, int | None]:
    """Its directories and what tells them from others of the same name: the kernel
    never gives an inode of a cgroup twice (kernfs, since 5.5)."""
    return {path: os.stat(path).st_ino for path in cgroup.directories}


def _scope(what: Mapping[str, Any]) -> V2Cgroup:
    from .systemd import SystemdCgroup  # asyncio and all: only where it is wanted

    class Scope(SystemdCgroup):
        """One whose keeper is another program's child, or an orphan."""

        def _end_keeper(self) -> None:
            kill_until_none(lambda: members(self.directories[0], recursive=False))

    layout = detect()
    if layout.v2 is None:
        raise ValueError("no cgroup2 file system is mounted")
    unit = what["unit"]
    return Scope(
        layout.v2, what["name"], unit["slice"], what["controllers"], uid=unit["uid"]
    )


def _scope_v1(what: Mapping[str, Any]) -> Cgroup:
    from .systemd import SystemdV1Cgroup

    class Scope(SystemdV1Cgroup):
        """As that of `_scope`."""

        def _end_keeper(self) -> None:
            alone = self.unified is None
            keeper = self._scope.directory if alone else self._scope.aside
            kill_until_none(lambda: members(keeper, recursive=False))

    return Scope(detect(), what["name"], what["unit"]["slice"])
