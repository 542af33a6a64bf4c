"""Which cgroup a container gets."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator

from .base import ConfigError, FrozenMap, Model, Text
from .systemd import SystemdProperties

__all__ = ("CgroupSettings",)


def _relative_or_absolute(path: str) -> str:
    parts = path.split("/")
    if not path or "\n" in path or any(part in (".", "..") for part in parts):
        raise ConfigError("", "should be a path without '.' and '..'")
    clean = "/".join(filter(None, parts))
    return f"/{clean}" if path.startswith("/") else clean


def _component(name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "\n" in name:
        raise ConfigError("", "should be the name of one directory")
    # The kernel's own files are called so; a directory can't be.
    if name.startswith("cgroup."):
        raise ConfigError("", "can't begin with 'cgroup.'")
    if len(name.encode()) > 255:
        raise ConfigError("", "is longer than 255 bytes")
    return name


_Path: TypeAlias = Annotated[Text, AfterValidator(_relative_or_absolute)]
_Name: TypeAlias = Annotated[Text, AfterValidator(_component)]


class CgroupSettings(Model):
    """Where the container's cgroup is, and by which means it is managed."""

    mode: Literal["auto", "off", "v1", "v2", "systemd"] = "auto"
    """``"auto"`` takes what is mounted; ``"off"`` makes no cgroup."""
    parent: _Path | None = None
    """Parent cgroup: an absolute path from the hierarchy's root, or a path below the
    program's own cgroup. With systemd, a slice. ``None`` is the library's choice; with
    systemd that is ``machine.slice``, or ``user.slice`` of a user's own manager."""
    name: _Name | None = None
    """Name of the container's cgroup; ``None`` is made from the container's id. With
    systemd one that ends in ``.scope`` is the unit's own name."""
    systemd_properties: SystemdProperties = FrozenMap()
    """More properties of the unit, as ``{"TimeoutStopUSec": 5_000_000}``; with systemd
    only. `PROPERTY_SIGNATURES` has those that may be set."""
