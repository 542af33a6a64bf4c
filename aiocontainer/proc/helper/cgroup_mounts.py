"""The step that shows a container its cgroups, whatever the host has of them."""

from __future__ import annotations

import errno
import os

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call, fail
from .pivot import read_file, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context

    Hierarchy = tuple[bytes, bytes, bytes, bytes]
    """(controllers as the kernel names them, own path, mount point, its root); the
    controllers are empty for cgroup2."""


def mount_cgroups(
    context: Context,
    destination: bytes,
    attributes: int,
    own_namespace: bool,
    unified: bool,
) -> None:
    """Show cgroup2, or on a host with v1 hierarchies a directory with all of them.

    In a cgroup namespace of its own the container's cgroup is the root of each by
    itself. Without, the part that is the container's own is bound: the rest would tell
    of the host, or let it be changed (CVE-2023-25809).
    """
    found = _hierarchies()
    first = [one for one in found if one[0]]
    target = paths.ensure_directory(context.root, destination)
    if unified or not first:
        found = [one for one in found if not one[0]]
        if not found:
            fail("fsopen", errno.ENODEV, b"cgroup2")
        tree = _tree(found[0], own_namespace)
        if not _is_own(found[0], own_namespace):
            attributes |= c.MOUNT_ATTR_RDONLY
        mounts.set_attributes(tree, attributes)
    else:
        tree = _directory_of_all(found, attributes, own_namespace)
    mounts.attach(tree, target)
    os.close(tree)
    os.close(target)


def _directory_of_all(
    found: list[Hierarchy], attributes: int, own_namespace: bool
) -> int:
    """A tmpfs with a directory for each hierarchy, named as on the host, and a link for
    each controller of those that hold several."""
    options = ((b"mode", b"755"), (b"size", b"64k"))
    directory = mounts.new_filesystem(b"tmpfs", options)
    place = paths.open_child(directory, b".", os.O_RDONLY)
    for hierarchy in found:
        controllers, _, mount_point, _ = hierarchy
        if not _is_own(hierarchy, own_namespace):
            continue
        name = mount_point.rpartition(b"/")[2] or controllers
        paths.make_directory(place, name, 0o755)
        tree = _tree(hierarchy, own_namespace)
        mounts.set_attributes(tree, attributes)
        target = paths.open_child(place, name, c.O_PATH)
        mounts.attach(tree, target)
        os.close(target)
        os.close(tree)
        for controller in controllers.split(b","):
            if b"," in controllers and controller != name:
                call("symlinkat", _link, name, controller, place)
    os.close(place)
    mounts.set_attributes(directory, attributes)
    return directory


def _link(target: bytes, name: bytes, directory: int) -> None:
    os.symlink(target, name, dir_fd=directory)


def _is_own(hierarchy: Hierarchy, own_namespace: bool) -> bool:
    """Whether the container is in a cgroup of its own there, and not in the root. From
    inside a cgroup namespace the host's mount has the way up as its root."""
    _, own, _, root = hierarchy
    return root != b"/" if own_namespace else own != b"/"


def _tree(hierarchy: Hierarchy, own_namespace: bool) -> int:
    controllers, own, mount_point, root = hierarchy
    if own_namespace:
        kind = b"cgroup" if controllers else b"cgroup2"
        return mounts.new_filesystem(kind, _options(controllers))
    if own != root and not own.startswith(root.rstrip(b"/") + b"/"):
        fail("open_tree", errno.ENOENT, mount_point)  # our cgroup can't be seen there
    return mounts.clone_tree_at(mount_point + own[len(root.rstrip(b"/")) :])


def _options(controllers: bytes) -> tuple[tuple[bytes, bytes | None], ...]:
    if controllers.startswith(b"name="):  # a hierarchy without controllers
        return ((b"source", b"cgroup"), (b"none", None), (b"name", controllers[5:]))
    names = tuple((name, None) for name in controllers.split(b",") if name)
    return ((b"source", b"cgroup"), *names)


def _hierarchies() -> list[Hierarchy]:
    """Those that are mounted on the host, in the kernel's order."""
    mounted = _mounted()
    found = []
    for line in read_file(b"/proc/self/cgroup").splitlines():
        _, controllers, own = line.split(b":", 2)
        wanted = frozenset(controllers.split(b",")) if controllers else frozenset()
        for kind, options, mount_point, root in mounted:
            if kind == (b"cgroup" if controllers else b"cgroup2") and wanted <= options:
                found.append((controllers, own, mount_point, root))
                break
    return found


def _mounted() -> list[tuple[bytes, frozenset[bytes], bytes, bytes]]:
    """(type, options of the file system, mount point, root) of cgroup mounts."""
    found = []
    for line in read_file(b"/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(b" - ")
        kind, _, options = after.split(b" ", 2)
        if kind in (b"cgroup", b"cgroup2"):
            fields = before.split(b" ")
            root, mount_point = unescape(fields[3]), unescape(fields[4])
            found.append((kind, frozenset(options.split(b",")), mount_point, root))
    return found
