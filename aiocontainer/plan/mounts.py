"""The part of a plan that builds the container's file system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from ..config import Config, Mount, MountCommand, sysctl_path
from ..config.options import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_SLAVE,
    PROPAGATIONS,
)
from ..config.rootfs import DirectoryRootfs, HostRootfs, OverlayRootfs
from ..errors import UnsupportedFeature
from . import hooks
from . import steps as s
from .binds import Trees, follows
from .host import host_view
from .lsm import file_label
from .nodes import nodes

BindSteps: TypeAlias = Callable[[Mount, int], Iterable[s.Step]]
"""The steps of a bind mount, and how it follows the host's (``MS_*``, 0: not)."""

_HOST_DIRECTORIES = (
    (b"/tmp", 0o1777),
    (b"/var/tmp", 0o1777),
    (b"/run", 0o755),
    (b"/root", 0o700),
    (b"/home", 0o755),
)
_NAMELESS = frozenset(
    ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup2", "overlay", "ramfs")
)
"""File systems whose source is only a label."""


def of_host(config: Config, user_namespace: int | None) -> Iterator[s.Step]:
    """What is done with the host's rights before there is a child: for one that is born
    in a user namespace. ``user_namespace`` is the index of one that is joined."""
    if config.namespaces.user != "host":
        for mount in (*config.system_mounts, *config.mounts):
            yield from _relabel(config, mount)
    yield from Trees(config, user_namespace).of_host()


def _relabel(config: Config, mount: Mount) -> Iterator[s.Step]:
    if mount.relabel is None or config.mount_label is None or mount.source is None:
        return
    label = file_label(config.mount_label, shared=mount.relabel == "z")
    yield s.Relabel(os.fsencode(mount.source), label.encode())


def file_system(config: Config) -> Iterator[s.Step]:
    """Every step from the first mount to the new root directory."""
    # A container's mounts never spread to the host. The host's may spread in, where
    # that is asked for: then all are slaves first, and the others made private.
    every = (*config.system_mounts, *config.mounts)
    root_follows = config.rootfs_propagation in ("slave", "shared")
    slaves = root_follows or any(map(follows, every))
    yield s.SetPropagation(MS_SLAVE if slaves else MS_PRIVATE)
    private = MS_PRIVATE if slaves else 0
    yield from _root(config, MS_SLAVE if root_follows else MS_PRIVATE, private)
    bind = Trees(config).bind
    for mount in every:
        yield from _commands("premount", mount.premount_commands)
        if config.namespaces.user == "host":
            yield from _relabel(config, mount)
        yield from mount_steps(config, mount, 0 if follows(mount) else private, bind)
        yield from _commands("postmount", mount.postmount_commands)
    yield from nodes(config)
    if config.sysctl:
        yield s.WriteSysctl(
            tuple(
                (sysctl_path(key).encode(), value.encode())
                for key, value in config.sysctl.items()
            )
        )
    if config.readonly_paths:
        yield s.MakeReadonly(tuple(map(os.fsencode, config.readonly_paths)))
    if config.masked_paths:
        yield s.Mask(tuple(map(os.fsencode, config.masked_paths)))


def _is_readonly_late(mount: Mount) -> bool:
    """What the set-up still has to make mount points in."""
    options = mount.parsed
    readonly = (options.attr_set | options.recursive_set) & MOUNT_ATTR_RDONLY
    made = mount.type == "tmpfs" and not mount.is_bind
    return bool(readonly) and (mount.changes or made)


def late_attributes(mounts: Iterable[Mount]) -> Iterator[s.Step]:
    """What becomes read-only when nothing has to be made in it any more."""
    for mount in mounts:
        if _is_readonly_late(mount):
            yield _attributes(mount)


def become_root(config: Config) -> Iterator[s.Step]:
    """Leave the host's root, and let go of the right to write to ours."""
    # Only now: mount points, devices and the console had to be made in these.
    yield from late_attributes((*config.system_mounts, *config.mounts))
    if config.pivot_dir is not None:
        yield s.PivotTo(os.fsencode(config.pivot_dir))
    else:
        yield s.Pivot() if config.pivot_root else s.MoveRoot()
    if config.rootfs_propagation != "private":
        yield s.RootPropagation(PROPAGATIONS[config.rootfs_propagation])
    if getattr(config.rootfs, "readonly", False):
        yield s.RootAttributes(MOUNT_ATTR_RDONLY)


def _root(config: Config, propagation: int, private: int) -> Iterator[s.Step]:
    match config.rootfs:
        case DirectoryRootfs(path=path, idmap=True):
            yield s.RootTree(os.fsencode(path), 0)
        case DirectoryRootfs(path=path):
            yield s.RootDirectory(os.fsencode(path), propagation)
        case OverlayRootfs(lower=lower, upper_bytes=size):
            # A read-only one too: mount points may have to be made in it.
            upper = _size_option(size)
            owned = config.namespaces.user != "host"
            # In a user namespace trusted.* attributes can't be set (overlayfs.rst).
            options = ((b"userxattr", None),) if owned else ()
            yield s.RootOverlay(tuple(map(os.fsencode, lower)), upper, options)
        case HostRootfs() as rootfs:
            yield s.RootTmpfs(((b"mode", b"755"),))
            yield s.MakeDirectories(_HOST_DIRECTORIES)
            view = host_view(rootfs)
            attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
            for shown in map(os.fsencode, view.binds):
                yield s.Bind(
                    *(shown, shown),
                    recursive=True,
                    rec_set=attributes,
                    propagation=private,
                )
            yield s.MakeSymlinks(
                tuple((os.fsencode(a), os.fsencode(b)) for a, b in view.links)
            )


def _size_option(size: object) -> tuple[s.Option, ...]:
    return () if size is None else ((b"size", str(size).encode()),)


def mount_steps(
    config: Config, mount: Mount, private: int, bind: BindSteps
) -> Iterator[s.Step]:
    """One entry of the list of mounts; those that bind are made by ``bind``."""
    options = mount.parsed
    destination = os.fsencode(mount.destination)
    if not mount.is_bind and mount.type in ("cgroup", "cgroup2"):
        yield _cgroups(config, mount)
    elif not _may_mount(config, mount):
        yield from _hosts_instead(mount, private)
        return
    elif mount.changes:
        yield from _change(config, mount)
    elif mount.is_bind:
        yield from bind(mount, private)
    else:
        attributes = options.attr_set | options.recursive_set
        if _is_readonly_late(mount):
            attributes &= ~MOUNT_ATTR_RDONLY
        copy_up = "tmpcopyup" in options.flags
        data = tuple(_file_system_options(config, mount))
        assert mount.type is not None  # by validation
        kind = mount.type.encode()
        yield s.MountFilesystem(destination, kind, data, attributes, copy_up)
    for wanted in options.propagation:
        yield s.ChangePropagation(destination, wanted.flag, wanted.recursive)


def _commands(kind: str, commands: Iterable[MountCommand]) -> Iterator[s.Step]:
    for command in commands:
        yield hooks.beside(kind, command, command.directory)


def _change(config: Config, mount: Mount) -> Iterator[s.Step]:
    """Of what is mounted there: its attributes, and its file system's options."""
    options = mount.parsed
    if options.data or options.superblock:
        yield s.Reconfigure(
            os.fsencode(mount.destination), tuple(_file_system_options(config, mount))
        )
    if not _is_readonly_late(mount):
        yield _attributes(mount)


def _attributes(mount: Mount) -> s.ChangeAttributes:
    options = mount.parsed
    return s.ChangeAttributes(
        os.fsencode(mount.destination),
        options.attr_set,
        options.attr_clear,
        options.recursive_set,
        options.recursive_clear,
    )


def _cgroups(config: Config, mount: Mount) -> s.MountCgroups:
    """Read-only unless that was cleared in so many words (CVE-2022-0492)."""
    options = mount.parsed
    attributes = options.attr_set | options.recursive_set
    attributes |= MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
    if not (options.attr_clear | options.recursive_clear) & MOUNT_ATTR_RDONLY:
        attributes |= MOUNT_ATTR_RDONLY
    return s.MountCgroups(
        os.fsencode(mount.destination),
        attributes,
        config.namespaces.cgroup != "host",
        mount.type == "cgroup2",
    )


def _may_mount(config: Config, mount: Mount) -> bool:
    """A user namespace may mount sysfs only for a network namespace that it owns, proc
    for a pid namespace, and mqueue for an ipc one (fs/sysfs/mount.c)."""
    spaces = config.namespaces
    owner = {"sysfs": spaces.network, "proc": spaces.pid, "mqueue": spaces.ipc}
    choice = owner.get(mount.type or "", "new")
    if spaces.user == "host" or choice == "new":
        return True
    if mount.type == "proc" and choice != "host":
        return True  # or the kernel refuses; the host's would be somebody else's
    # Joined together, one probably owns the other.
    return choice != "host" and spaces.user != "new"


def _hosts_instead(mount: Mount, private: int) -> Iterator[s.Step]:
    """Show the host's own. What is mounted below it comes along (the kernel insists),
    and gets the same attributes."""
    options = mount.parsed
    if mount.type == "mqueue":
        return  # the calls work without it, and the host may have it nowhere
    if options.data:
        what = f"{mount.type} with {', '.join(options.data)}"
        raise UnsupportedFeature(what, "in a user namespace that doesn't own it")
    yield s.Bind(
        b"/sys" if mount.type == "sysfs" else b"/proc",
        os.fsencode(mount.destination),
        recursive=True,
        rec_set=options.attr_set | options.recursive_set,
        propagation=private,
    )
    if mount.type == "sysfs":
        # The host's cgroups came along, maybe the program's own too (CVE-2023-25809).
        yield s.Mask((os.fsencode(mount.destination) + b"/fs/cgroup",))


def _file_system_options(config: Config, mount: Mount) -> Iterator[s.Option]:
    if mount.source is not None and mount.type not in _NAMELESS:
        yield b"source", os.fsencode(mount.source)
    for word in mount.parsed.superblock:
        yield word.encode(), None
    for word in mount.parsed.data:
        key, equals, value = os.fsencode(word).partition(b"=")
        if key == b"gid" and mount.type == "devpts" and not _maps_gid(config, value):
            continue  # the kernel refuses an id that the namespace doesn't have
        yield key, value if equals else None


def _maps_gid(config: Config, gid: bytes) -> bool:
    if config.namespaces.user == "host" or not gid.isdigit():
        return True
    return any(
        m.container_id <= int(gid) < m.container_id + m.size
        for m in config.gid_mappings
    )
