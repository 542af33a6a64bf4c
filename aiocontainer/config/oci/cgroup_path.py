"""``linux.cgroupsPath``: three ways to write it."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from aiocontainer.errors import ConfigError, UnsupportedFeature

from ..document import Node

__all__ = ("CgroupManager", "read_cgroup", "write_cgroup", "write_properties")

CgroupManager: TypeAlias = Literal["cgroupfs", "systemd", "disabled"]
"""Who makes the cgroup; the names are those of crun's ``--cgroup-manager``."""

_PROPERTY: Final = "org.systemd.property."
_MODES: Final = {"cgroupfs": "auto", "systemd": "systemd", "disabled": "off"}


def read_cgroup(
    linux: Node, manager: CgroupManager, annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Keywords of `CgroupSettings`.

    For systemd the path is ``slice:prefix:name``, and the cgroup is
    ``prefix-name.scope`` in that slice. Else a leading slash means from the hierarchy's
    root, and without one it is taken below the program's own cgroup.
    """
    if manager not in _MODES:
        raise linux.wrong("cgroupsPath", f"unknown cgroup manager {manager!r:.40}")
    fields: dict[str, Any] = {"mode": _MODES[manager]}
    if manager == "systemd":
        fields["systemd_properties"] = _properties(annotations)
    path = linux.word("cgroupsPath")
    if path is None:
        return fields
    return fields | (_unit(linux, path) if manager == "systemd" else _path(linux, path))


def _properties(annotations: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, text in annotations.items():
        if key.startswith(_PROPERTY):
            from ..systemd import systemd_property

            try:
                name, value = systemd_property(key.removeprefix(_PROPERTY), text)
            except ConfigError as error:
                raise ConfigError(f"annotations[{key[:80]}]", error.reason) from None
            found[name] = value
    return found


def write_properties(properties: Mapping[str, Any]) -> dict[str, str]:
    """The annotations that say the same.

    Raises:
        UnsupportedFeature: a text that can't be quoted there.
    """
    return {_PROPERTY + name: _variant(value) for name, value in properties.items()}


def _variant(value: bool | int | str | tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if "\\" in value or "'" in value or "," in value:
            raise UnsupportedFeature(
                "cgroup.systemd_properties", f"{value[:40]!r} can't be in an annotation"
            )
        return f"'{value}'"
    return f"[{', '.join(map(_variant, value))}]"


def _unit(linux: Node, path: str) -> dict[str, Any]:
    parts = path.split(":")
    if len(parts) != 3:
        raise linux.wrong("cgroupsPath", "should be slice:prefix:name for systemd")
    parent, prefix, name = parts
    if not name or "/" in path:
        raise linux.wrong("cgroupsPath", "should be slice:prefix:name for systemd")
    if name.endswith(".slice"):
        raise linux.wrong("cgroupsPath", "a container can't be a slice of its own")
    unit = f"{prefix}-{name}" if prefix else name
    return {"parent": parent or None, "name": f"{unit}.scope"}


def _path(linux: Node, path: str) -> dict[str, Any]:
    parent, slash, name = path.rstrip("/").rpartition("/")
    if not name:
        raise linux.wrong("cgroupsPath", "can't be the root of the hierarchy")
    return {"parent": (parent or "/") if slash else None, "name": name}


def write_cgroup(mode: str, parent: str | None, name: str | None) -> str | None:
    """The path that `read_cgroup` reads back; None if nothing is said."""
    if name is None:
        return None
    if mode == "systemd":
        stem = name.removesuffix(".scope")
        prefix, dash, rest = stem.partition("-")
        return f"{parent or ''}:{prefix if dash else ''}:{rest if dash else stem}"
    if parent is None:
        return name
    return f"{parent.rstrip('/')}/{name}"
