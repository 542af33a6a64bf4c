"""The part of a plan that builds the container's file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ..config import Config, Device, Mount, sysctl_path
from ..config.options import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    PROPAGATIONS,
)
from ..config.rootfs import DirectoryRootfs, HostRootfs, OverlayRootfs
from ..errors import UnsupportedFeature
from . import steps as s
from .host import host_view

_DEV_LINKS = (
    (b"/dev/fd", b"/proc/self/fd"),
    (b"/dev/stdin", b"/proc/self/fd/0"),
    (b"/dev/stdout", b"/proc/self/fd/1"),
    (b"/dev/stderr", b"/proc/self/fd/2"),
    (b"/dev/ptmx", b"pts/ptmx"),
)
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


def file_system(config: Config) -> Iterator[s.Step]:
    """Every step from the first mount to the new root directory."""
    # A container's mounts never spread to the host. The host's may spread in, where
    # that is asked for: then all are slaves first, and the others made private.
    follows = any(map(_follows, (*config.system_mounts, *config.mounts)))
    root_follows = config.rootfs_propagation in ("slave", "shared")
    slaves = follows or root_follows
    yield s.SetPropagation(MS_SLAVE if slaves else MS_PRIVATE)
    private = MS_PRIVATE if slaves else 0
    yield from _root(config, MS_SLAVE if root_follows else MS_PRIVATE, private)
    for mount in (*config.system_mounts, *config.mounts):
        yield from _mount(config, mount, 0 if _follows(mount) else private)
    yield from _nodes(config)
    yield s.MakeSymlinks(_DEV_LINKS)
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
    options = mount.parsed
    readonly = (options.attr_set | options.recursive_set) & MOUNT_ATTR_RDONLY
    return bool(readonly) and not mount.is_bind and mount.type in ("tmpfs", None)


def _follows(mount: Mount) -> bool:
    """Whether what the host mounts below the source is to show up."""
    return any(p.flag in (MS_SLAVE, MS_SHARED) for p in mount.parsed.propagation)


def become_root(config: Config) -> Iterator[s.Step]:
    """Leave the host's root, and let go of the right to write to ours."""
    # Only now: mount points, devices and the console had to be made in these.
    for mount in (*config.system_mounts, *config.mounts):
        if _is_readonly_late(mount):
            options = mount.parsed
            yield s.ChangeAttributes(
                os.fsencode(mount.destination),
                options.attr_set,
                options.attr_clear,
                options.recursive_set,
                options.recursive_clear,
            )
    yield s.Pivot() if config.pivot_root else s.MoveRoot()
    if config.rootfs_propagation != "private":
        yield s.RootPropagation(PROPAGATIONS[config.rootfs_propagation])
    if getattr(config.rootfs, "readonly", False):
        yield s.RootAttributes(MOUNT_ATTR_RDONLY)


def _root(config: Config, propagation: int, private: int) -> Iterator[s.Step]:
    match config.rootfs:
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


def _mount(config: Config, mount: Mount, private: int) -> Iterator[s.Step]:
    options = mount.parsed
    destination = os.fsencode(mount.destination)
    unsupported = options.flags - {"tmpcopyup", "silent", "remount"}
    if unsupported or mount.type == "cgroup":
        what = ", ".join(sorted(unsupported)) or "mount type cgroup"
        raise UnsupportedFeature(what, f"not implemented, for {mount.destination}")
    if not _may_mount(config, mount):
        yield from _hosts_instead(mount, private)
        return
    if mount.is_bind:
        assert mount.source is not None  # by validation
        yield s.Bind(
            os.fsencode(mount.source),
            destination,
            options.recursive,
            options.attr_set,
            options.attr_clear,
            options.recursive_set,
            options.recursive_clear,
            private,
        )
    elif mount.type is None:
        if not _is_readonly_late(mount):
            yield s.ChangeAttributes(
                destination,
                options.attr_set,
                options.attr_clear,
                options.recursive_set,
                options.recursive_clear,
            )
    else:
        attributes = options.attr_set | options.recursive_set
        if _is_readonly_late(mount):
            attributes &= ~MOUNT_ATTR_RDONLY
        copy_up = "tmpcopyup" in options.flags
        data = tuple(_file_system_options(config, mount))
        kind = mount.type.encode()
        yield s.MountFilesystem(destination, kind, data, attributes, copy_up)
    for wanted in options.propagation:
        yield s.ChangePropagation(destination, wanted.flag, wanted.recursive)


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


def _nodes(config: Config) -> Iterator[s.Step]:
    directories: dict[bytes, list[tuple[bytes, Device]]] = {}
    for device in (*config.system_devices, *config.devices):
        parent, _, name = os.fsencode(device.path).rpartition(b"/")
        directories.setdefault(parent or b"/", []).append((name, device))
    for parent, devices in directories.items():
        nodes = tuple((name, *_node(device)) for name, device in devices)
        owned = config.namespaces.user != "host"
        yield (s.BindNodes if owned else s.MakeNodes)(parent, nodes)


_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def _node(device: Device) -> tuple[int, int, int, int]:
    number = 0 if device.type == "p" else os.makedev(device.major, device.minor)
    mode = _KINDS[device.type] | device.file_mode
    return mode, number, device.uid, device.gid
