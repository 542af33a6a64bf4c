"""Mounts of a ``container.json``, whose flags are numbers of mount(2)."""

import posixpath
from typing import Any, Final

from ..document import Node
from ..oci.hooks import read_environment

__all__ = ("read_mount_config", "read_mounts")

# include/uapi/linux/mount.h
_FLAGS: Final = {
    1: "ro",
    2: "nosuid",
    4: "nodev",
    8: "noexec",
    16: "sync",
    32: "remount",
    64: "mand",
    128: "dirsync",
    1 << 8: "nosymfollow",
    1 << 10: "noatime",
    1 << 11: "nodiratime",
    1 << 15: "silent",
    1 << 21: "relatime",
    1 << 24: "strictatime",
    1 << 25: "lazytime",
}
_MS_BIND: Final = 1 << 12
_MS_REC: Final = 1 << 14
_PROPAGATIONS: Final = {
    1 << 17: "unbindable",
    1 << 18: "private",
    1 << 19: "slave",
    1 << 20: "shared",
}
_KNOWN: Final = (
    *("source", "destination", "device", "flags", "data", "relabel"),
    *("premount_cmds", "postmount_cmds", "propagation_flags", "extensions"),
    *("is_bind", "cleared_flags", "uid_mappings", "gid_mappings", "rec_attr"),
)


def read_mounts(top: Node, folder: str | None) -> list[dict[str, Any]]:
    """Keywords of one `Mount` for each entry, in their order."""
    return [_mount(node, folder) for node in top.nodes("mounts")]


def _mount(node: Node, folder: str | None) -> dict[str, Any]:
    node.only(*_KNOWN)
    node.refuse(
        *("extensions", "cleared_flags", "uid_mappings", "gid_mappings", "rec_attr")
    )
    kind = node.word("device")
    options = _words(node, node.number("flags", 0, 2**32 - 1) or 0)
    for index, flags in enumerate(node.numbers("propagation_flags", 0, 2**32 - 1)):
        options += _propagation(node, f"propagation_flags[{index}]", flags)
    data = node.word("data")
    if data is not None:
        options += [word for word in data.split(",") if word]
    is_bind = kind == "bind" or not {"bind", "rbind"}.isdisjoint(options)
    return {
        "destination": _destination(node),
        "source": _source(node, folder) if is_bind else node.word("source"),
        "type": kind,
        "options": tuple(options),
        "relabel": _relabel(node),
        "premount_commands": tuple(map(_command, node.nodes("premount_cmds"))),
        "postmount_commands": tuple(map(_command, node.nodes("postmount_cmds"))),
    }


def _relabel(node: Node) -> str | None:
    word = node.word("relabel")
    if word not in (None, "z", "Z"):
        raise node.wrong("relabel", "should be z or Z")
    return word


def _command(node: Node) -> dict[str, Any]:
    node.only("path", "args", "env", "dir")
    fields: dict[str, Any] = {
        "path": node.need("path"),
        "args": tuple(node.words("args")),
        "env": read_environment(node),
    }
    if (directory := node.word("dir")) is not None:
        fields["directory"] = directory
    return fields


def _destination(node: Node) -> str:
    path = node.need("destination")
    return path if path.startswith("/") else f"/{path}"


def _source(node: Node, folder: str | None) -> str:
    path = node.need("source")
    if path.startswith("/"):
        return path
    if folder is None:
        raise node.wrong("source", "is relative, and there is no directory for it")
    return posixpath.join(folder, path)


def _words(node: Node, flags: int) -> list[str]:
    words = [word for bit, word in _FLAGS.items() if flags & bit]
    left = flags & ~sum(_FLAGS)
    if left & _MS_BIND:
        words.append("rbind" if left & _MS_REC else "bind")
    propagation = left & sum(_PROPAGATIONS)
    if propagation:
        words += _propagation(node, "flags", propagation | left & _MS_REC)
    if left & ~(_MS_BIND | _MS_REC | sum(_PROPAGATIONS)):
        raise node.wrong("flags", f"has bits that aren't of mount(2): {left:#x}")
    return words


def _propagation(node: Node, field: str, flags: int) -> list[str]:
    word = _PROPAGATIONS.get(flags & ~_MS_REC)
    if word is None:
        raise node.wrong(field, "should be one change of propagation")
    return [f"r{word}" if flags & _MS_REC else word]


def read_mount_config(node: Node, folder: str | None) -> dict[str, Any]:
    """Keywords of `Config` from the ``mount_config`` of 2014."""
    node.only(
        *("mounts", "device_nodes", "no_pivot_root", "read_only", "mount_label"),
        *("pivot_dir", "ptmx"),
    )
    fields: dict[str, Any] = {
        "mounts": [_old_mount(entry, folder) for entry in node.nodes("mounts")]
    }
    if (label := node.word("mount_label")) is not None:
        fields["mount_label"] = label
    return fields


def _old_mount(node: Node, folder: str | None) -> dict[str, Any]:
    node.only(
        *("type", "source", "destination", "writable", "relabel", "private", "slave")
    )
    kind = node.need("type")
    if kind not in ("bind", "tmpfs"):
        raise node.wrong("type", "should be bind or tmpfs")
    if kind == "tmpfs":
        options: tuple[str, ...] = ("nosuid", "nodev", "noexec")
        source: str | None = "tmpfs"
    else:
        options = ("rbind", "rw" if node.flag("writable") else "ro")
        options += ("rprivate",) if node.flag("private") else ()
        options += ("rslave",) if node.flag("slave") else ()
        source = _source(node, folder)
    return {
        "destination": _destination(node),
        "source": source,
        "type": kind,
        "options": options,
        "relabel": _relabel(node),
    }
