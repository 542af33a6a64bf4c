"""Plans of short-lived children that change the mounts of a running container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from .._sys import constants as c
from ..config import IdMapping, Mount
from ..config.mount_ids import require_mappings
from ..errors import UnsupportedFeature
from . import steps as s
from .binds import Trees, attach, propagation_of
from .compile import Frame
from .lsm import labelled
from .mounts import late_attributes, mount_steps
from .parts import Part, Plan

PIDFD: Final = 1
"""Index of the first process's pidfd among the descriptors."""
REPORT: Final = 2
"""Index of the pipe for the number of the mount."""

# They show the namespaces of who mounts them, and that isn't the container.
_OF_NAMESPACES: Final = frozenset({"cgroup", "cgroup2", "mqueue", "proc", "sysfs"})


def mount(container: Frame, wanted: Mount) -> Plan:
    """Mount something, or change what is mounted.

    Raises:
        UnsupportedFeature: what can't be done after the start.
    """
    _check(container, wanted)
    return _plan(container, _before(container, wanted), _after(container, wanted))


def unmount(container: Frame, destination: str, number: int) -> Plan:
    """Unmount the mount of this number, or (0) what is on top at ``destination``."""
    step = s.Unmount(os.fsencode(destination), number)
    return _plan(container, (s.KeepProc(REPORT),), (step,))


def _check(container: Frame, wanted: Mount) -> None:
    where = f"on a running container, at {wanted.destination}"
    if wanted.relabel or wanted.premount_commands or wanted.postmount_commands:
        raise UnsupportedFeature("relabelling, and commands around a mount", where)
    if wanted.changes:
        return
    if wanted.is_bind and container.unprivileged:
        raise UnsupportedFeature("a bind mount", f"takes privileges {where}")
    user = container.config.namespaces.user
    require_mappings("mounts", (wanted,), user, *_own_ids(container))
    if wanted.is_id_mapped and user not in ("new", "host"):
        raise UnsupportedFeature("an id-mapped mount", where)
    if not wanted.is_bind and wanted.type in _OF_NAMESPACES:
        raise UnsupportedFeature(f"a mount of type {wanted.type}", where)


def _own_ids(
    container: Frame,
) -> tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]:
    return container.config.uid_mappings, container.config.gid_mappings


def _before(container: Frame, wanted: Mount) -> Iterator[s.Step]:
    """On the host: the source is the host's, whatever the container has there."""
    yield s.KeepProc(REPORT)
    if wanted.is_bind and not wanted.changes:
        owned = bool(container.join_kinds & c.CLONE_NEWUSER)
        trees = Trees(container.config)
        yield trees.prepare(wanted, propagation_of(wanted), locked=owned)


def _after(container: Frame, wanted: Mount) -> Iterator[s.Step]:
    def bind(mount: Mount, _propagation: int) -> Iterator[s.Step]:
        yield attach(mount, 0)

    yield from labelled(
        container.config, mount_steps(container.config, wanted, 0, bind)
    )
    yield from late_attributes((wanted,))


def _plan(
    container: Frame,
    before: Iterator[s.Step] | tuple[s.Step, ...],
    after: Iterator[s.Step] | tuple[s.Step, ...],
) -> Plan:
    kinds = container.join_kinds & (c.CLONE_NEWNS | c.CLONE_NEWUSER)
    owned = kinds & c.CLONE_NEWUSER
    inside: tuple[tuple[int, int], ...] = ()
    if container.unprivileged and owned:
        inside = ((PIDFD, c.CLONE_NEWUSER),)
        kinds &= ~c.CLONE_NEWUSER
    steps = [*before, s.JoinContainer(PIDFD, kinds)]
    if owned:
        steps.append(s.BeRootOfUserNamespace())
    steps += [*after, s.Finish()]
    return Plan(
        0,
        (),
        inside,
        None,
        (),
        (Part.of(steps),),
        unprivileged=container.unprivileged,
    )
