"""Attributes of the security modules: which files they are written to.

They are for the exec and for keys to come. Their files are opened before anything of
the container is entered or seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from ..config import Config, ProcessSettings
from ..errors import UnsupportedFeature
from . import steps as s
from .landlock import enforced

__all__ = (
    "attributes",
    "check",
    "file_label",
    "has_apparmor",
    "has_selinux",
    "labelled",
    "late_attributes",
)

_UNCONFINED: Final = "unconfined"


def has_apparmor(root: str = "/") -> bool:
    """Whether AppArmor is in force, by the files below ``root``."""
    try:
        with open(os.path.join(root, "sys/module/apparmor/parameters/enabled")) as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def has_selinux(root: str = "/") -> bool:
    """Whether SELinux is in force: its file system is mounted, with a policy loaded."""
    path = os.path.join(root, "sys/fs/selinux")
    return all(os.path.exists(f"{path}/{name}") for name in ("enforce", "policyvers"))


def attributes(
    config: Config, settings: ProcessSettings, root: str = "/"
) -> Iterator[s.Step]:
    """The steps that open the files, and write what is for keys; ``root`` is where the
    host's files are looked for.

    Raises:
        UnsupportedFeature: this machine doesn't have the security module.
    """
    label = settings.selinux_label
    values = tuple(_of_exec(settings, root))
    keys = ((b"keycreate", label.encode()),) if label and config.session_keyring else ()
    if values:
        yield s.OpenAttributes(tuple(file for file, _ in (*values, *keys)))
    if keys:
        yield s.WriteAttributes(keys)


def late_attributes(settings: ProcessSettings, root: str = "/") -> Iterator[s.Step]:
    """The step that writes what is for the exec. Hooks were executed before; they are
    not the container's."""
    values = tuple(_of_exec(settings, root))
    if values:
        yield s.WriteAttributes(values)


def _of_exec(settings: ProcessSettings, root: str) -> Iterator[tuple[bytes, bytes]]:
    profile, label = settings.apparmor_profile, settings.selinux_label
    if profile is not None and (profile != _UNCONFINED or has_apparmor(root)):
        if not has_apparmor(root):
            hint = "boot with apparmor in lsm=, or leave apparmor_profile out"
            raise UnsupportedFeature("AppArmor", "isn't in force here", hint)
        yield _apparmor_file(root), b"exec " + profile.encode()
    if label is not None:
        _require_selinux("selinux_label", root)
        yield b"exec", label.encode()


def check(config: Config, root: str = "/") -> None:
    """Look whether this machine has all that a config asks of security modules.

    Raises:
        UnsupportedFeature: it has not.
    """
    if config.mount_label is not None:
        _require_selinux("mount_label", root)
    if config.landlock is not None:
        enforced(config.landlock)
    for _step in attributes(config, config, root):
        pass


_UNLABELLED: Final = frozenset((b"proc", b"sysfs", b"mqueue", b"cgroup", b"cgroup2"))
"""File systems whose files have labels by the policy, or can't be given any."""


def labelled(config: Config, steps: Iterable[s.Step]) -> Iterator[s.Step]:
    """The steps, whose new file systems have the container's mount label."""
    if config.mount_label is None:
        yield from steps
        return
    option = (b"context", config.mount_label.encode())
    for step in steps:
        match step:
            case s.MountFilesystem(kind=kind) if kind not in _UNLABELLED:
                yield replace(step, options=(*step.options, option))
            case s.RootTmpfs():
                yield replace(step, options=(*step.options, option))
            case s.RootOverlay():
                options = (*step.overlay_options, option)
                yield replace(step, overlay_options=options)
            case _:
                yield step


def file_label(mount_label: str, *, shared: bool) -> str:
    """What a volume is relabelled with: by ``Z`` the container's own label, by ``z``
    (``shared``) the same without categories, so that all containers may use it."""
    user, role, kind, *_level = mount_label.split(":", 3)
    return f"{user}:{role}:{kind}:s0" if shared else mount_label


def _require_selinux(field: str, root: str) -> None:
    if not has_selinux(root):
        hint = f"boot with selinux=1 and a policy, or leave {field} out"
        raise UnsupportedFeature("SELinux", "isn't in force here", hint)


def _apparmor_file(root: str) -> bytes:
    """Its own since Linux 5.1; with several modules the common one is the first's."""
    own = "apparmor/exec"
    has_own = os.path.exists(os.path.join(root, "proc/self/attr", own))
    return own.encode() if has_own else b"exec"
