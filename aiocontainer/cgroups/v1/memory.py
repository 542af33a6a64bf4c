"""v1 ``memory``: limits of memory and swap, and what was used."""

from __future__ import annotations

from ..files import parse_flat, parse_limit_v1, read, read_optional
from ..stats import MemoryCounter, MemoryStats

__all__ = ("oom_kills", "parse_numa_stat", "peaks_bytes", "stats")


def stats(directory: str) -> MemoryStats:
    """Read everything that the controller counts."""
    raw = parse_flat(read(directory + "/memory.stat"))
    numa = read_optional(directory + "/memory.numa_stat")
    together = _counter(directory, "memory.memsw.")
    swap = raw.get("total_swap", raw.get("swap"))
    usage = _counter(directory, "memory.")
    if usage is None:
        raise FileNotFoundError(directory + "/memory.usage_in_bytes")
    return MemoryStats(
        usage=usage,
        memory_swap=together,
        swap=None if swap is None else MemoryCounter(swap),
        kernel=_counter(directory, "memory.kmem."),
        kernel_tcp=_counter(directory, "memory.kmem.tcp."),
        cache_bytes=raw.get("cache", 0),
        oom_kills=oom_kills(directory),
        raw=raw,
        numa={} if numa is None else parse_numa_stat(numa),
    )


def _counter(directory: str, prefix: str) -> MemoryCounter | None:
    """One page counter; ``None`` where the kernel doesn't have it (swap accounting
    switched off, kernel memory of kernels that dropped it)."""
    start = f"{directory}/{prefix}"
    used = read_optional(start + "usage_in_bytes")
    if used is None:
        return None
    return MemoryCounter(
        usage_bytes=int(used),
        peak_bytes=int(read(start + "max_usage_in_bytes")),
        limit_bytes=parse_limit_v1(read(start + "limit_in_bytes")),
        failures=int(read(start + "failcnt")),
    )


def parse_numa_stat(text: str) -> dict[str, dict[int, int]]:
    """Read lines of ``kind=total N0=pages N1=pages``."""
    found = {}
    for line in text.splitlines():
        head, *nodes = line.split()
        pairs = (node[1:].split("=", 1) for node in nodes if node[0] == "N")
        found[head.partition("=")[0]] = {int(n): int(pages) for n, pages in pairs}
    return found


def oom_kills(directory: str) -> int:
    """Processes killed for want of memory, in this cgroup and below.

    The count is of the cgroup whose process was killed (memcg_memory_event_mm in
    mm/memcontrol.c) and of all above it.
    """
    text = read(directory + "/memory.oom_control")
    return parse_flat(text).get("oom_kill", 0)


def peaks_bytes(directory: str) -> tuple[int, int | None]:
    """The highest usage of memory, and the least that the highest of swap can have
    been (``None`` where swap isn't counted).

    v1 counts memory and swap together only: at the peak of the sum, memory was at
    most its own peak, so the rest was swap.
    """
    memory = int(read(directory + "/memory.max_usage_in_bytes"))
    together = read_optional(directory + "/memory.memsw.max_usage_in_bytes")
    return memory, None if together is None else max(0, int(together) - memory)
