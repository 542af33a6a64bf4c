"""A cgroup that is there, below a container's own, as the place of a process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from .._sys.libc import call
from .._sys.paths import try_open_in_root
from ..errors import ConfigError, UnsupportedFeature
from .base import Cgroup, Entry
from .reach import INSIDE
from .tree import translated

__all__ = ("CgroupPath", "cgroup_of", "entry_below")

CgroupPath: TypeAlias = "str | Mapping[str, str]"
"""Where below a container's own cgroup, which is ``/`` or empty: in every hierarchy, or
by v1 controller (then in the others in the container's own)."""

_FIELD = "cgroup"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


def entry_below(cgroup: Cgroup | None, path: CgroupPath) -> Entry:
    """How a process gets into a cgroup that somebody made below a container's.

    On v2 that is below the one that the first process is in, which the container
    itself sees as ``/``. Nothing is touched.

    Raises:
        ConfigError: there is no such cgroup or controller, or it isn't below.
        UnsupportedFeature: the container has no cgroup.
        CgroupError: the container's own cgroup is gone.
    """
    if cgroup is None:
        raise UnsupportedFeature("cgroup", "the container has none")
    own = cgroup.entry()
    files = [os.path.dirname(file) for file in own.join_files]
    tops = [*files, *filter(None, [own.clone_directory])]
    if isinstance(path, str):
        places = dict.fromkeys(tops, path)
    elif isinstance(path, Mapping):
        places = dict.fromkeys(tops, "") | dict(_by_directory(cgroup, path))
    else:
        raise ConfigError(_FIELD, "should be a path, or paths by controller")
    found = {top: _below(top, inner) for top, inner in places.items()}
    unified = own.clone_directory
    return Entry(
        tuple(f"{found[directory]}/tasks" for directory in files),
        None if unified is None else found[unified],
    )


def cgroup_of(words: Sequence[str]) -> str | dict[str, str] | None:
    """The `CgroupPath` that a command line has, in one word or by controllers in more.

    Raises:
        ConfigError: it isn't ``PATH`` or ``CONTROLLER[,CONTROLLER...]:PATH``.
    """
    found: dict[str, str] = {}
    for word in words:
        names, colon, path = word.partition(":")
        if ":" in path:
            raise ConfigError(_FIELD, f"{word!r} has more than one colon")
        if not (colon and names):
            if len(words) > 1:
                raise ConfigError(_FIELD, f"{word!r} names no controller")
            return path if colon else word
        found.update(dict.fromkeys(names.split(","), path))
    return found or None


def _by_directory(
    cgroup: Cgroup, paths: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """(the container's directory, path below it) of each controller."""
    found: dict[str, str] = {}
    for controller, path in paths.items():
        directory = cgroup.paths.get(controller) if cgroup.version == 1 else None
        if directory is None:
            reason = f"unknown controller {str(controller)[:40]!r}"
            raise ConfigError(_FIELD, f"{reason} (only v1 has places by controller)")
        if found.setdefault(directory, path) != path:
            reason = f"{controller} shares a hierarchy, and so its place, with another"
            raise ConfigError(_FIELD, reason)
        yield directory, path


def _below(top: str, path: str) -> str:
    """The absolute directory of a cgroup that is there, and below ``top``."""
    if not isinstance(path, str) or not path.isprintable():
        raise ConfigError(_FIELD, f"{path!r:.40} can't be a path")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ConfigError(_FIELD, f"{path} is not a sub cgroup path")
    if not parts:
        return top
    inner = "/".join(parts)
    with translated(top):
        own = call("open", os.open, top, _DIRECTORY | os.O_CLOEXEC)
    try:
        found = try_open_in_root(own, os.fsencode(inner), _DIRECTORY, INSIDE)
    finally:
        os.close(own)
    if found < 0:
        raise ConfigError(_FIELD, f"{top}/{inner}: {os.strerror(-found).lower()}")
    os.close(found)
    return f"{top}/{inner}"
