"""What a plan has to know of the host, read once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Final

from ..config.capabilities import CAPABILITIES
from ..config.rootfs import (
    HOST_DIRECTORIES,
    HOST_ETC,
    HOST_LIBRARY_LINKS,
    HostRootfs,
)

_NEEDED: Final = sum(
    1 << CAPABILITIES[f"CAP_{name}"]
    for name in (
        "SETGID",
        "SETUID",
        "SYS_ADMIN",
    )
)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Facts about this kernel and about what the calling process may do."""

    bounding: int
    """Bit mask: capabilities that can be given to a container."""
    effective: int
    """Bit mask: the program's own capabilities."""
    uid: int
    gid: int
    """Of the program, effective; what it makes belongs to them."""
    real_uid: int
    no_new_privs: bool
    """The program is under no_new_privs, so set-user-id programs give it nothing."""
    is_filtered: bool
    """The program's own system calls are filtered, and so those of all it starts."""
    is_initial: bool
    """The program is in the initial user namespace, where devices can be made."""
    denies_groups: bool
    """setgroups(2) is denied in the program's user namespace."""
    capabilities: int
    """Bit mask: all that this kernel knows. A new user namespace gives all of them."""

    @property
    def is_privileged(self) -> bool:
        """It can make namespaces of all kinds, and write any id mapping."""
        return self.effective & _NEEDED == _NEEDED

    @property
    def comes_back(self) -> bool:
        """The spawner may join a pid namespace for one child, and its own again. That
        one belongs to the initial user namespace, or at least isn't ours for sure."""
        return self.is_privileged and self.is_initial

    @staticmethod
    @cache
    def read() -> HostFacts:
        """The facts of this machine; the answer is kept."""
        status = _fields("/proc/self/status")
        uids, gids = status["Uid"].split(), status["Gid"].split()
        with open("/proc/sys/kernel/cap_last_cap") as file:
            last = int(file.read())
        return HostFacts(
            bounding=int(status["CapBnd"], 16),
            effective=int(status["CapEff"], 16),
            uid=int(uids[1]),
            gid=int(gids[1]),
            real_uid=int(uids[0]),
            no_new_privs=status.get("NoNewPrivs", "0").strip() == "1",
            is_filtered=status.get("Seccomp", "0").strip() != "0",
            is_initial=_is_initial_user_namespace(),
            denies_groups=_read("/proc/self/setgroups").strip() == "deny",
            capabilities=(2 << last) - 1,
        )


def _fields(path: str) -> dict[str, str]:
    with open(path) as file:
        return dict(line.split(":", 1) for line in file if ":" in line)


def _is_initial_user_namespace() -> bool:
    """Only there every id stands for itself (user_namespaces(7))."""
    return _read("/proc/self/uid_map").split() in ([], ["0", "0", "4294967295"])


def _read(path: str) -> str:
    """Empty with a kernel that has no user namespaces."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


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
