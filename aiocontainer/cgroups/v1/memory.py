"""v1 ``memory``: limits of memory and swap, and what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...errors import UnsupportedFeature
from .. import tree
from ..conversions import or_word
from ..files import limit_v1, parse_flat, parse_limit_v1, read, read_optional
from ..meter import Texts
from ..pressure import pressure_in
from ..stats import MemoryCounter, MemoryStats
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import Resources

__all__ = (
    "FILES",
    "LIMIT_FILES",
    "OPTIONAL_FILES",
    "limits",
    "oom_kills",
    "oom_kills_below",
    "parse",
    "parse_numa_stat",
    "peaks_bytes",
    "settled",
)


_OWN: Final = "memory."
_COUNTERS: Final = ("memory.memsw.", "memory.kmem.", "memory.kmem.tcp.")
"""Those that a kernel may not have: swap accounting switched off, kernel memory."""
_USAGE: Final = "usage_in_bytes"
_LIMIT_OF: Final = "limit_in_bytes"
_FIGURES: Final = (_USAGE, _LIMIT_OF, "max_usage_in_bytes", "failcnt")

FILES: Final = (
    *("memory.oom_control", "memory.stat"),
    *(_OWN + figure for figure in _FIGURES),
)
OPTIONAL_FILES: Final = (
    "memory.numa_stat",
    *(prefix + figure for prefix in _COUNTERS for figure in _FIGURES),
)
LIMIT_FILES: Final = frozenset(prefix + _LIMIT_OF for prefix in (_OWN, *_COUNTERS))


def parse(texts: Texts, other_oom_kills: int) -> MemoryStats:
    """Everything that the controller counts, and what it doesn't."""
    raw = parse_flat(texts["memory.stat"].decode())
    control = parse_flat(texts["memory.oom_control"].decode())
    numa = texts.get("memory.numa_stat")
    swap = raw.get("total_swap", raw.get("swap"))
    together, kernel, kernel_tcp = (_if_there(texts, prefix) for prefix in _COUNTERS)
    return MemoryStats(
        usage=_counter(texts, _OWN),
        memory_swap=together,
        swap=None if swap is None else MemoryCounter(swap),
        kernel=kernel,
        kernel_tcp=kernel_tcp,
        cache_bytes=raw.get("cache", 0),
        oom_kills=control.get("oom_kill", 0) + other_oom_kills,
        raw=raw,
        numa={} if numa is None else parse_numa_stat(numa.decode()),
        pressure=pressure_in(texts, "memory"),
    )


def _if_there(texts: Texts, prefix: str) -> MemoryCounter | None:
    return _counter(texts, prefix) if prefix + _USAGE in texts else None


def _counter(texts: Texts, prefix: str) -> MemoryCounter:
    usage, limit, peak, failures = (int(texts[prefix + name]) for name in _FIGURES)
    return MemoryCounter(usage, peak, limit_v1(limit), failures)


def settled(texts: Texts) -> set[str]:
    """Names of files that can't change as long as no limit is set.

    Without one no counter ever fails; and buffers of TCP aren't counted before they
    have been limited for the first time (memcg_update_tcp_max in mm/memcontrol-v1.c).
    """
    found = set()
    for prefix in (_OWN, *_COUNTERS):
        limit = texts.get(prefix + _LIMIT_OF)
        if limit is not None and limit_v1(int(limit)) is None:
            found.add(prefix + "failcnt")
            if prefix == "memory.kmem.tcp." and int(texts[prefix + _USAGE]) == 0:
                found.update(prefix + figure for figure in _FIGURES)
    return found


def parse_numa_stat(text: str) -> dict[str, dict[int, int]]:
    """Read lines of ``kind=total N0=pages N1=pages``."""
    found = {}
    for line in text.splitlines():
        kind, _, *nodes = line.replace("=", " ").split()
        pairs = zip(nodes[::2], nodes[1::2], strict=True)
        found[kind] = {int(node[1:]): int(pages) for node, pages in pairs}
    return found


def oom_kills(directory: str) -> int:
    """Processes killed for want of memory, in this cgroup and in those below.

    v1 counts a kill only in the cgroup of the process (memcg_memory_event in
    include/linux/memcontrol.h stops there), so all are summed up.
    """
    return _own_oom_kills(directory) + oom_kills_below(directory)


def oom_kills_below(directory: str) -> int:
    """Those in the cgroups inside only."""
    below = (path for path in tree.walk(directory) if path != directory)
    return sum(map(_own_oom_kills_if_there, below))


def _own_oom_kills(directory: str) -> int:
    text = read(directory + "/memory.oom_control")
    return parse_flat(text).get("oom_kill", 0)


def _own_oom_kills_if_there(directory: str) -> int:
    try:
        return _own_oom_kills(directory)
    except OSError:  # removed while we looked
        return 0


def peaks_bytes(directory: str) -> tuple[int, int | None]:
    """The highest usage of memory, and the least that the highest of swap can have
    been (``None`` where swap isn't counted).

    v1 counts memory and swap together only: at the peak of the sum, memory was at
    most its own peak, so the rest was swap.
    """
    memory = int(read(directory + "/memory.max_usage_in_bytes"))
    together = read_optional(directory + "/memory.memsw.max_usage_in_bytes")
    return memory, None if together is None else max(0, int(together) - memory)


_LIMIT = "memory.limit_in_bytes"
_TOGETHER = "memory.memsw.limit_in_bytes"
# Not made at each use: CPython's cache of attributes keeps each string it was asked by.
_OF_V2 = {name: f"{name}_bytes" for name in ("high", "low", "min", "zswap")}


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that set memory limits.

    Raises:
        UnsupportedFeature: a limit that only v2 has.
    """
    memory = resources.memory
    for name, field in _OF_V2.items():
        if getattr(memory, field) is not None:
            raise UnsupportedFeature(f"memory.{name}", "cgroup v1 has no such limit")
    if memory.oom_group:
        raise UnsupportedFeature("memory.oom.group", "cgroup v1 can't do that")
    writes = []
    # Before any process is inside: kernels that still limit it demand that.
    if memory.kernel_bytes is not None:
        value = or_word(memory.kernel_bytes, "-1")
        writes.append(Write("memory.kmem.limit_in_bytes", value, optional=True))
    writes += _memory_and_swap(resources, read)
    if memory.kernel_tcp_bytes is not None:
        value = or_word(memory.kernel_tcp_bytes, "-1")
        writes.append(Write("memory.kmem.tcp.limit_in_bytes", value))
    if memory.reservation_bytes is not None:
        value = or_word(memory.reservation_bytes, "-1")
        writes.append(Write("memory.soft_limit_in_bytes", value))
    if memory.swappiness is not None:
        writes.append(Write("memory.swappiness", str(memory.swappiness)))
    if memory.oom_kill_disable is not None:
        value = str(int(memory.oom_kill_disable))
        writes.append(Write("memory.oom_control", value, undo=_old_oom_control))
    return writes


def _old_oom_control(text: str) -> str:
    return str(parse_flat(text).get("oom_kill_disable", 0))


def _memory_and_swap(resources: Resources, read: Reader) -> list[Write]:
    """The limits of memory, and of memory and swap together.

    The kernel wants the second to be at least the first at any time
    (mem_cgroup_resize_max in mm/memcontrol-v1.c), so when growing it comes first.
    """
    limit = resources.memory.limit_bytes
    if limit is None and resources.memory.swap_bytes is None:
        return []
    together = _together(resources, read)
    set_limit = [] if limit is None else [Write(_LIMIT, or_word(limit, "-1"))]
    if together is None:
        return set_limit
    set_together = [Write(_TOGETHER, or_word(together, "-1"))]
    present = parse_limit_v1(read(_TOGETHER) or "-1")
    grows = present is not None and (together == "unlimited" or int(together) > present)
    return set_together + set_limit if grows else set_limit + set_together


def _together(resources: Resources, read: Reader) -> int | str | None:
    """The new limit of memory and swap together; ``None`` leaves it alone."""
    memory = resources.memory
    swap = memory.swap_bytes
    limit: int | str | None = memory.limit_bytes
    if swap is None:
        # Memory without a limit asks for the same of both together.
        is_limited = parse_limit_v1(read(_TOGETHER) or "-1") is not None
        return "unlimited" if limit == "unlimited" and is_limited else None
    if limit is None:
        limit = parse_limit_v1(read(_LIMIT) or "-1")
    if swap == "unlimited" or limit is None or limit == "unlimited":
        return "unlimited"
    return int(limit) + int(swap)
