"""v1 ``cpuset``: which cpus and memory nodes may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import tree
from ..files import Directory, parse_list, read, read_optional, write
from ..stats import CPUSET_FLAGS, CpusetStats
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("inherit", "limits", "pass_on", "stats")


def stats(directory: str) -> CpusetStats:
    """Read what is in force, and the flags."""
    with Directory(directory) as files:
        cpus, mems = files.text("cpuset.cpus"), files.text("cpuset.mems")
        flags = {name: files.number(file) for name, file in _FLAG_FILES}
    return CpusetStats(parse_list(cpus), parse_list(mems), flags)


_FLAG_FILES: Final = tuple((name, "cpuset." + name) for name in CPUSET_FLAGS)


def inherit(directory: str) -> None:
    """Give a new cpuset what its parent has, since an empty one admits no process.

    The kernel does so itself below a parent with ``cgroup.clone_children``; then this
    is one read.

    Raises:
        OSError: the kernel refused.
    """
    if read(directory + "/cpuset.cpus").strip():
        return
    parent = directory.rpartition("/")[0]
    if read_optional(parent + "/cpuset.cpus") is None:  # above the mount point
        return
    inherit(parent)  # another program may have made it just now
    for name in ("/cpuset.cpus", "/cpuset.mems"):
        write(directory + name, read(parent + name).strip())


def pass_on(directory: str) -> None:
    """Fill a shared parent, and let the kernel fill each cpuset made below it.

    Raises:
        CgroupError: the kernel refused.
    """
    with tree.translated(directory):
        inherit(directory)
        write(directory + "/cgroup.clone_children", "1")


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that set cpus and memory nodes; v2 has the same files."""
    writes = []
    if resources.cpu.cpus is not None:
        writes.append(Write("cpuset.cpus", resources.cpu.cpus))
    if resources.cpu.mems is not None:
        writes.append(Write("cpuset.mems", resources.cpu.mems))
    return writes
