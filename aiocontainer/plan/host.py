"""What a plan has to know of the host, read once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from ..config.rootfs import (
    HOST_DIRECTORIES,
    HOST_ETC,
    HOST_LIBRARY_LINKS,
    HostRootfs,
)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Facts about this kernel and about what the calling process may do."""

    bounding: int
    """Bit mask: capabilities that can be given to a container."""

    @staticmethod
    @cache
    def read() -> HostFacts:
        """The facts of this machine; the answer is kept."""
        with open("/proc/self/status") as file:
            status = dict(line.split(":", 1) for line in file if ":" in line)
        return HostFacts(int(status["CapBnd"], 16))


@dataclass(frozen=True, slots=True)
class HostView:
    """What `HostRootfs` shows of the host: what is there of its lists."""

    binds: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    """(path, target)."""


def host_view(rootfs: HostRootfs) -> HostView:
    """Look at the host's directories."""
    binds, links = [*HOST_DIRECTORIES], []
    for path in HOST_LIBRARY_LINKS:
        if os.path.islink(path):
            links.append((path, os.readlink(path)))
        elif os.path.isdir(path):
            binds.append(path)
    binds += [path for path in HOST_ETC if os.path.exists(path)]
    binds += rootfs.extra
    return HostView(tuple(binds), tuple(links))
