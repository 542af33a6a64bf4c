"""v1 ``cpuset``: which cpus and memory nodes may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import tree
from ..files import parse_list, read, read_optional, write
from ..meter import Texts
from ..stats import CPUSET_FLAGS, CpusetStats
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("FILES", "inherit", "limits", "parse", "pass_on")


_FLAG_FILES: Final = tuple((name, "cpuset." + name) for name in CPUSET_FLAGS)
FILES: Final = ("cpuset.cpus", "cpuset.mems", *(file for _, file in _FLAG_FILES))


def parse(texts: Texts) -> CpusetStats:
    """What is in force, and the flags."""
    cpus, mems = (parse_list(texts[name].decode()) for name in FILES[:2])
    return CpusetStats(cpus, mems, {n: int(texts[file]) for n, file in _FLAG_FILES})


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
