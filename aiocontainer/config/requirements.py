"""What has to be in force for a container, so that nobody has to hope for it."""

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator

from .base import ConfigError

__all__ = ("CONTROLLERS", "REQUIREMENTS", "Requirements")

CONTROLLERS: Final = (
    *("cpu", "cpuset", "devices", "freezer", "hugetlb", "io", "memory", "misc"),
    *("pids", "rdma"),
)

REQUIREMENTS: Final = {
    "userns": "a user namespace of its own: its root is nobody on the host",
    "userns.range": "with more than one id, so that its users are apart",
    "mountns": "a mount namespace of its own",
    "pidns": "a pid namespace of its own",
    "netns": "a network namespace of its own",
    "ipcns": "an ipc namespace of its own",
    "utsns": "a uts namespace of its own",
    "cgroupns": "a cgroup namespace of its own",
    "timens": "a time namespace of its own",
    "seccomp": "system calls are filtered",
    "no_new_privs": "no exec gives more privileges",
    "landlock": "Landlock rules limit files",
    "apparmor": "an AppArmor profile",
    "selinux": "an SELinux label",
    "readonly_root": "the root mount is read-only",
    "cgroup": "a cgroup of its own, so that all in it is counted and ends as one",
    **{
        f"cgroup.{controller}": f"with the controller {controller}"
        for controller in CONTROLLERS
    },
}
"""Name -> what it promises. ``cgroup.io`` is ``blkio`` on cgroup v1."""


def _names(value: object) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError("", "should be a set of names")
    names = list(value)
    for name in names:
        if not isinstance(name, str) or name not in REQUIREMENTS:
            known = ", ".join(REQUIREMENTS)
            raise ConfigError(f"[{name!s:.40}]", f"isn't one of {known}")
    return frozenset(names)


Requirements: TypeAlias = Annotated[frozenset[str], BeforeValidator(_names)]
"""A field that takes names of `REQUIREMENTS`."""
