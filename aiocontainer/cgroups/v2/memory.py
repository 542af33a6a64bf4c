"""v2 ``memory``: limits, protections, and what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...errors import CgroupError, UnsupportedFeature
from ..conversions import or_word
from ..files import parse_flat, parse_limit, read, write
from ..files import read_number as number
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
    "make_room",
    "oom_kills",
    "parse",
    "parse_numa_stat",
    "peaks_bytes",
)


FILES: Final = ("memory.stat", "memory.events", "memory.current")
OPTIONAL_FILES: Final = (
    *("memory.numa_stat", "memory.peak", "memory.max", "memory.swap.current"),
    *("memory.swap.peak", "memory.swap.max", "memory.swap.events"),
)
LIMIT_FILES: Final = frozenset({"memory.max", "memory.swap.max"})


def parse(texts: Texts) -> MemoryStats:
    """Everything that the controller counts."""
    raw = parse_flat(texts["memory.stat"].decode())
    events = parse_flat(texts["memory.events"].decode())
    numa = texts.get("memory.numa_stat")
    swap = _swap(texts)
    usage = MemoryCounter(
        usage_bytes=int(texts["memory.current"]),
        peak_bytes=_limit(texts, "memory.peak"),
        limit_bytes=_limit(texts, "memory.max"),
        failures=events.get("max", 0),
    )
    return MemoryStats(
        usage=usage,
        memory_swap=None if swap is None else _together(usage, swap),
        swap=swap,
        kernel=MemoryCounter(raw["kernel"]) if "kernel" in raw else None,
        kernel_tcp=MemoryCounter(raw["sock"]) if "sock" in raw else None,
        cache_bytes=raw.get("file", 0),
        oom_kills=events.get("oom_kill", 0),
        raw=raw,
        numa={} if numa is None else parse_numa_stat(numa.decode()),
        events=events,
        pressure=pressure_in(texts, "memory"),
    )


def _limit(texts: Texts, name: str) -> int | None:
    text = texts.get(name)
    return None if text is None else parse_limit(text.decode())


def _swap(texts: Texts) -> MemoryCounter | None:
    """Swap alone; ``None`` where it isn't counted (swapaccount=0, no CONFIG_SWAP)."""
    used = _limit(texts, "memory.swap.current")
    if used is None:
        return None
    events = parse_flat(texts.get("memory.swap.events", b"").decode())
    return MemoryCounter(
        usage_bytes=used,
        peak_bytes=_limit(texts, "memory.swap.peak"),
        limit_bytes=_limit(texts, "memory.swap.max"),
        failures=events.get("fail", 0),
    )


def _together(usage: MemoryCounter, swap: MemoryCounter) -> MemoryCounter:
    """As v1 counts. The peak of a sum isn't the sum of the peaks: it is unknown."""
    unlimited = usage.limit_bytes is None or swap.limit_bytes is None
    return MemoryCounter(
        usage_bytes=usage.usage_bytes + swap.usage_bytes,
        limit_bytes=None
        if unlimited
        else (usage.limit_bytes or 0) + (swap.limit_bytes or 0),
    )


def parse_numa_stat(text: str) -> dict[str, dict[int, int]]:
    """Read lines of ``kind N0=bytes N1=bytes``."""
    found = {}
    for line in text.splitlines():
        kind, *nodes = line.replace("=", " ").split()
        pairs = zip(nodes[::2], nodes[1::2], strict=True)
        found[kind] = {int(node[1:]): int(size) for node, size in pairs}
    return found


def oom_kills(directory: str) -> int:
    """Processes killed for want of memory, in this cgroup and below.

    ``oom`` counts the times the limit was hit without a way out, ``oom_kill`` the
    processes that died of it, by the limit of any cgroup above too.
    """
    return parse_flat(read(directory + "/memory.events")).get("oom_kill", 0)


def peaks_bytes(directory: str) -> tuple[int | None, int | None]:
    """The highest usage of memory and of swap; ``None`` on kernels that don't tell."""
    memory = number(directory + "/memory.peak")
    return memory, number(directory + "/memory.swap.peak")


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that set memory limits. Hints that v2 has no file for (swappiness,
    kernel memory, which v2 counts as memory) are left out.

    Raises:
        UnsupportedFeature: ``oom_kill_disable``, which only v1 has.
    """
    memory = resources.memory
    if memory.oom_kill_disable:
        raise UnsupportedFeature("memory.oom_control", "cgroup v2 can't do that")
    low = memory.low_bytes
    values = {
        "memory.min": memory.min_bytes,
        "memory.low": memory.reservation_bytes if low is None else low,
        "memory.high": memory.high_bytes,
        "memory.zswap.max": memory.zswap_bytes,
        "memory.swap.max": memory.swap_bytes,
        "memory.max": memory.limit_bytes,
    }
    writes = [
        Write(file, or_word(value, "max"))
        for file, value in values.items()
        if value is not None
    ]
    if memory.oom_group is not None:
        writes.append(Write("memory.oom.group", str(int(memory.oom_group))))
    return writes


def make_room(directory: str, limit_bytes: int) -> None:
    """Have the kernel reclaim down to a limit that is about to be set.

    ``memory.max`` below what is in use kills, where ``memory.high`` only reclaims.

    Raises:
        CgroupError: more than that is still in use; nothing has changed.
    """
    current, high = directory + "/memory.current", directory + "/memory.high"
    if int(read(current)) <= limit_bytes:
        return
    old = read(high).strip()
    write(high, str(limit_bytes))  # reclaims before it returns
    try:
        used = int(read(current))
    finally:
        write(high, old)
    if used > limit_bytes:
        reason = f"a limit of {limit_bytes} bytes would kill: {used} are in use"
        raise CgroupError(directory + "/memory.max", reason)
