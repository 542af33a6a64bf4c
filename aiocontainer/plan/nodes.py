"""The steps that make device nodes, and the links beside them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ..config import Config, Device
from . import steps as s

_DEV_LINKS = (
    (b"/dev/fd", b"/proc/self/fd"),
    (b"/dev/stdin", b"/proc/self/fd/0"),
    (b"/dev/stdout", b"/proc/self/fd/1"),
    (b"/dev/stderr", b"/proc/self/fd/2"),
    (b"/dev/ptmx", b"pts/ptmx"),
)


def nodes(config: Config) -> Iterator[s.Step]:
    """All devices, a step for each directory, then the links."""
    directories: dict[bytes, list[tuple[bytes, Device]]] = {}
    for device in (*config.system_devices, *config.devices):
        parent, _, name = os.fsencode(device.path).rpartition(b"/")
        directories.setdefault(parent or b"/", []).append((name, device))
    for parent, devices in directories.items():
        if config.namespaces.user == "host":
            made = tuple((name, *_node(device)) for name, device in devices)
            yield s.MakeNodes(parent, made)
        else:
            yield s.BindNodes(
                parent,
                tuple(
                    (name, *_node(device), os.fsencode(device.host_path or device.path))
                    for name, device in devices
                ),
            )
    yield s.MakeSymlinks(_DEV_LINKS)


_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def _node(device: Device) -> tuple[int, int, int, int]:
    number = 0 if device.type == "p" else os.makedev(device.major, device.minor)
    mode = _KINDS[device.type] | device.file_mode
    return mode, number, device.uid, device.gid
