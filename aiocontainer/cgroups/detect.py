"""What cgroup hierarchies this process can see, and where in each it is itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from .files import read

__all__ = ("Hierarchy", "Layout", "Mode", "detect", "parse_layout")

Mode: TypeAlias = Literal["v1", "v2", "hybrid", "none"]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted cgroup hierarchy."""

    mount: str
    """Where it is mounted, as ``/sys/fs/cgroup/memory``."""
    root: str
    """Which cgroup is seen at the mount point: ``/`` unless it is a bind mount."""
    own: str
    """The cgroup that this process is in, as in ``/proc/self/cgroup``."""
    writable: bool
    """Whether the mount is not read-only."""

    def directory(self, path: str) -> str:
        """The absolute directory of a cgroup named as in ``/proc/self/cgroup``.

        A cgroup outside of what is mounted (a bind mount of a part, a path with
        ``..`` seen from inside a cgroup namespace) has none; the mount point, the
        nearest that can be seen, is given instead.
        """
        inside = _below(path, self.root)
        return self.mount if inside is None else self.mount + inside

    @property
    def own_directory(self) -> str:
        """The absolute directory of the cgroup that this process is in."""
        return self.directory(self.own)


@dataclass(frozen=True, slots=True)
class Layout:
    """The cgroup hierarchies of this machine, as this process sees them."""

    v1: Mapping[str, Hierarchy]
    """Controller -> its v1 hierarchy; controllers mounted together share one. Named
    hierarchies are keyed as the kernel writes them, ``name=systemd``."""
    v2: Hierarchy | None
    """The cgroup2 mount."""
    v2_controllers: frozenset[str] = frozenset()
    """What the cgroup2 hierarchy offers at its mount point."""

    @property
    def mode(self) -> Mode:
        """``hybrid`` where controllers are on v1 and a cgroup2 mount exists too."""
        if any(not name.startswith("name=") for name in self.v1):
            return "v1" if self.v2 is None else "hybrid"
        return "none" if self.v2 is None else "v2"

    @property
    def hierarchies(self) -> tuple[Hierarchy, ...]:
        """All of them; those that several controllers share more than once."""
        return (*self.v1.values(), *filter(None, [self.v2]))

    @property
    def controllers(self) -> tuple[str, ...]:
        """All controllers there are, sorted; without named hierarchies."""
        found = {name for name in self.v1 if not name.startswith("name=")}
        return tuple(sorted(found | self.v2_controllers))


def detect() -> Layout:
    """Read the present layout: small files of the kernel.

    What they meant last time is kept, for as long as they say the same.

    Raises:
        OSError: ``/proc`` can't be read.
    """
    return _layout(read("/proc/self/mountinfo"), read("/proc/self/cgroup"))


@lru_cache(maxsize=4)
def _layout(mountinfo: str, own: str) -> Layout:
    layout = parse_layout(mountinfo, own)
    if layout.v2 is None:
        return layout
    try:
        offered = read(layout.v2.mount + "/cgroup.controllers").split()
    except OSError:  # a kernel before 4.5, or a mount that we may not look into
        offered = []
    return Layout(layout.v1, layout.v2, frozenset(offered))


def parse_layout(mountinfo: str, own: str) -> Layout:
    """The layout that the texts of ``/proc/self/mountinfo`` and ``cgroup`` describe."""
    mounts = list(_cgroup_mounts(mountinfo))
    v1: dict[str, Hierarchy] = {}
    v2 = None
    for line in own.splitlines():
        number, names, path = line.split(":", 2)
        if number == "0":
            v2 = _choose(mounts, path, "cgroup2", frozenset())
        elif names:
            controllers = names.split(",")
            found = _choose(mounts, path, "cgroup", frozenset(controllers))
            if found is not None:
                v1.update(dict.fromkeys(controllers, found))
    return Layout(v1, v2)


@dataclass(frozen=True, slots=True)
class _Mount:
    root: str
    point: str
    writable: bool
    kind: str
    options: frozenset[str]


def _cgroup_mounts(mountinfo: str) -> Iterator[_Mount]:
    """Lines of proc_pid_mountinfo(5) that are cgroup mounts, in the kernel's order."""
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        if not separator or not right.startswith("cgroup"):
            continue
        fields, kind = left.split(" "), right.split(" ")
        yield _Mount(
            root=_unescape(fields[3]),
            point=_unescape(fields[4]),
            writable="ro" not in fields[5].split(","),
            kind=kind[0],
            options=frozenset(kind[2].split(",")),
        )


def _choose(
    mounts: list[_Mount], own: str, kind: str, controllers: frozenset[str]
) -> Hierarchy | None:
    """The best mount of a hierarchy: one that shows our own cgroup, then a writable
    one; among equals the first, since later ones are private copies of tools."""
    candidates = [m for m in mounts if m.kind == kind and controllers <= m.options]
    if not candidates:
        return None
    best = max(candidates, key=lambda m: (_below(own, m.root) is not None, m.writable))
    return Hierarchy(best.point, best.root, own, best.writable)


def _below(path: str, root: str) -> str | None:
    """What follows ``root`` in ``path``: empty or begun by a slash; else ``None``."""
    if path == "/.." or path.startswith("/../"):
        return None
    if root == "/":
        return "" if path == "/" else path
    if path == root or path.startswith(root + "/"):
        return path[len(root) :]
    return None


def _unescape(field: str) -> str:
    r"""Undo the octal escapes of space, tab, newline and backslash (``\040``)."""
    if "\\" not in field:
        return field
    first, *rest = field.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
