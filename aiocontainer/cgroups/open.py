"""Choosing the kind of cgroup, and its place."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from ..errors import ControllerMissing, UnsupportedFeature
from .base import PARENT, Cgroup, check_name, check_parent
from .detect import Hierarchy, Layout
from .files import read_optional
from .none import NoCgroup
from .reach import check_reach
from .tree import prune, translated
from .v1.manager import V1Cgroup
from .v2.manager import CONTROLLERS, V2Cgroup

if TYPE_CHECKING:
    from ..config import CgroupSettings
    from .systemd import SystemdCgroup, SystemdV1Cgroup

__all__ = ("open_cgroup", "parents_of", "prune_parents", "within_reach")


def open_cgroup(
    layout: Layout,
    settings: CgroupSettings | None,
    name: str,
    *,
    controllers: Collection[str] | None = None,
) -> Cgroup:
    """A cgroup that doesn't exist yet; nothing is touched.

    Args:
        layout: what `detect` found.
        settings: the kind, and where it is made; ``None`` is all defaults. Without a
            parent it is made in ``aiocontainer`` below our own cgroup of each
            hierarchy, so that the limits we are under hold for it too. On v2, where a
            cgroup with processes can't pass controllers on, that is beside our own
            cgroup instead, if permitted. A relative parent is taken below the same
            place, an absolute one from the root of the hierarchy.
        name: last component of its path, unless the settings name it.
        controllers: those that must be had. ``None`` is all there are, as far as this
            user may.

    Raises:
        ConfigError: the name or the parent is refused.
        ControllerMissing: a controller that must be had isn't mounted.
        CgroupError: the parent leads out of its hierarchy.
        UnsupportedFeature: no cgroups of the kind that the settings ask for.
    """
    mode, parent = "auto", None
    if settings is not None:
        mode, parent, name = settings.mode, settings.parent, settings.name or name
    check_name(name)
    if mode == "systemd":
        return _open_systemd(layout, name, settings, frozenset(controllers or ()))
    place = PARENT if parent is None else check_parent(parent)
    required = frozenset(controllers or ())
    asked = mode
    if mode == "auto":
        mode = {"v2": "v2", "none": "off"}.get(layout.mode, "v1")
    if mode == "off":
        return NoCgroup(name, required)
    if parent is not None:
        for hierarchy in {h.mount: h for h in layout.hierarchies}.values():
            with translated(hierarchy.mount):
                check_reach(hierarchy.mount, _base(hierarchy, place))
    cgroup: Cgroup
    if mode == "v2":
        cgroup = _open_v2(layout, name, place, required)
    else:
        cgroup = _open_v1(layout, name, place, required, controllers is None)
    # Root in a user namespace may be nobody here. On v1 that is found out later.
    may_lack = mode == "v2" or os.geteuid() != 0
    if asked == "auto" and may_lack and not _may_make(cgroup):
        return NoCgroup(name, required)
    return cgroup


def within_reach(cgroup: Cgroup) -> frozenset[str]:
    """The controllers that a cgroup will have once it is made, as far as known."""
    if cgroup.version == 2 and cgroup.unified is not None:
        above = _nearest(cgroup.unified)
        offered = frozenset(
            (read_optional(above + "/cgroup.controllers") or "").split()
        )
        # Device rules are a BPF program, which takes privilege.
        free = {"freezer"} if os.geteuid() else {"freezer", "devices"}
        return (offered & frozenset(cgroup.paths)) | free
    paths = cgroup.paths.items()
    return frozenset(name for name, path in paths if _may_make_directory(path))


def _may_make(cgroup: Cgroup) -> bool:
    """Whether this user may make any of its directories: some are delegated."""
    return any(map(_may_make_directory, cgroup.directories))


def _may_make_directory(directory: str) -> bool:
    return os.access(_nearest(directory), os.W_OK, effective_ids=True)


def _nearest(directory: str) -> str:
    """The lowest directory above that is there."""
    above = directory.rpartition("/")[0]
    while above and not os.path.isdir(above):
        above = above.rpartition("/")[0]
    return above or "/"


def _open_v1(
    layout: Layout, name: str, place: str, required: frozenset[str], everything: bool
) -> V1Cgroup:
    if layout.mode not in ("v1", "hybrid"):
        raise UnsupportedFeature("cgroup v1", "no controller is mounted")
    # Named hierarchies only track processes, for systemd; a plain child of ours stays
    # in its parent's there.
    names = [n for n in layout.v1 if not n.startswith("name=")] if everything else []
    paths = {}
    for controller in [*names, *sorted(required)]:
        if controller not in layout.v1:
            raise ControllerMissing(name, controller)
        base = _base(layout.v1[controller], place)
        paths[controller] = f"{base}/{name}"
    unified = None if layout.v2 is None else f"{_base(layout.v2, place)}/{name}"
    return V1Cgroup(name, paths, unified, parents=_depth(place), required=required)


def _open_v2(
    layout: Layout, name: str, place: str, required: frozenset[str]
) -> V2Cgroup:
    if layout.v2 is None:
        raise UnsupportedFeature("cgroup v2", "no cgroup2 file system is mounted")
    base = _base_v2(layout.v2, place)
    wanted = required or frozenset(CONTROLLERS)
    return V2Cgroup(f"{base}/{name}", wanted, parents=_depth(place), required=required)


def _open_systemd(
    layout: Layout,
    name: str,
    settings: CgroupSettings | None,
    required: frozenset[str],
) -> SystemdCgroup | SystemdV1Cgroup:
    # asyncio and all: only where it is wanted
    from .systemd import SystemdCgroup, SystemdV1Cgroup

    wanted = required or frozenset(CONTROLLERS)
    parent, properties = None, None
    if settings is not None:
        parent, properties = settings.parent, settings.systemd_properties
    if layout.mode == "v2" and layout.v2 is not None:
        return SystemdCgroup(
            layout.v2, name, parent, wanted, required, properties=properties
        )
    if "name=systemd" not in layout.v1:
        reason = "it manages none of the hierarchies that are mounted"
        raise UnsupportedFeature("cgroup mode systemd", reason)
    if os.geteuid() != 0:
        reason = "a user's own manager delegates no controller of cgroup v1"
        raise UnsupportedFeature("cgroup mode systemd", reason)
    return SystemdV1Cgroup(layout, name, parent, required, properties)


def parents_of(layout: Layout, place: str) -> list[str]:
    """The directories in all hierarchies that a parent path stands for."""
    hierarchies = {h.mount: h for h in layout.v1.values()}
    found = dict.fromkeys(_base(h, place) for h in hierarchies.values())
    if layout.v2 is not None:
        found[_base(layout.v2, place)] = None
        found[_base_v2(layout.v2, place)] = None
    return list(found)


def _base_v2(v2: Hierarchy, place: str) -> str:
    """The directory of the parent on a machine that has its controllers on v2."""
    if place.startswith("/"):
        return v2.directory(place).rstrip("/")
    return f"{_passing_on(v2)}/{place}".rstrip("/")


def _base(hierarchy: Hierarchy, place: str) -> str:
    """The directory of the parent in one hierarchy."""
    if place.startswith("/"):
        return hierarchy.directory(place).rstrip("/")
    return f"{hierarchy.own_directory}/{place}".rstrip("/")


def _depth(place: str) -> int:
    return len([part for part in place.split("/") if part])


def _passing_on(v2: Hierarchy) -> str:
    """The directory below which controllers can be had, as near to us as possible.

    Our own cgroup has a process in it, so it can pass none on, unless it is the root.
    The one above can, and entering a cgroup beside ours asks for write permission
    there (cgroup_procs_write_permission in kernel/cgroup/cgroup.c).
    """
    own = v2.own_directory
    if own == v2.mount:
        return own
    above = own.rpartition("/")[0]
    files = (above, above + "/cgroup.procs", above + "/cgroup.subtree_control")
    return above if all(os.access(file, os.W_OK) for file in files) else own


def prune_parents(cgroup: Cgroup) -> None:
    """Remove the cgroups above one where nothing is left in them: the shared parent of
    all programs, and what was made for a parent of the caller's choice."""
    above = [directory.rpartition("/")[0] for directory in cgroup.directories]
    shared = [path for path in above if path.rpartition("/")[2] == PARENT]
    prune(dict.fromkeys([*reversed(cgroup.made_parents), *shared]))
