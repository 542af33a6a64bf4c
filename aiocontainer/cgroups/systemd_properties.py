"""Limits as properties of a systemd unit (systemd.resource-control(5)).

They stand beside our own limits one level below: what weighs against neighbours (CPU
and I/O weights) and what protects from them (``memory.low``, ``memory.min``) holds only
if the scope has it too, and administrators see the rest with ``systemctl show``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import UnsupportedFeature
from .conversions import io_weight, weight_from_shares
from .files import parse_list
from .v1.devices import reduce_rules

if TYPE_CHECKING:
    from ..config import CpuLimits, DeviceRule, MemoryLimits, Resources

__all__ = ("ASIDE_BYTES", "ASIDE_TASKS", "INFINITE", "Property", "properties_of")

INFINITE: Final = 0xFFFF_FFFF_FFFF_FFFF
"""How systemd writes "no limit"."""
ASIDE_BYTES: Final = 1024 * 1024
"""What the scope has besides our cgroup: the process that keeps it alive, and what the
kernel notes of our cgroups. Were the scope's limit the same as ours, it would be met
first, and its events would not be ours."""
ASIDE_TASKS: Final = 1
_QUOTA_STEP_US: Final = 10_000


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its name, D-Bus type and value."""

    name: str
    signature: str
    value: Any


def properties_of(resources: Resources) -> list[Property]:
    """What the limits are for systemd; what it has no property for is left out."""
    found = [*_memory(resources.memory), *_cpu(resources.cpu)]
    if resources.pids_limit is not None:
        tasks = _limit(resources.pids_limit, ASIDE_TASKS)
        found.append(Property("TasksMax", "t", tasks))
    if resources.block_io.weight is not None:
        weight = io_weight(resources.block_io.weight)
        found.append(Property("IOWeight", "t", weight))
    return found + device_properties(resources.devices)


def _limit(value: int | str, aside: int = 0) -> int:
    return value + aside if isinstance(value, int) else INFINITE


def _memory(memory: MemoryLimits) -> Iterator[Property]:
    low = memory.low_bytes
    values = (
        ("MemoryMin", memory.min_bytes, 0),
        ("MemoryLow", memory.reservation_bytes if low is None else low, 0),
        ("MemoryHigh", memory.high_bytes, ASIDE_BYTES),
        ("MemoryMax", memory.limit_bytes, ASIDE_BYTES),
        ("MemorySwapMax", memory.swap_bytes, 0),
    )
    for name, value, aside in values:
        if value is not None:
            yield Property(name, "t", _limit(value, aside))


def _cpu(cpu: CpuLimits) -> Iterator[Property]:
    weight = cpu.weight
    if weight is None and cpu.shares is not None:
        weight = weight_from_shares(cpu.shares)
    if cpu.idle:
        weight = 0  # how systemd says "idle"
    elif cpu.idle is not None and weight is None:
        weight = INFINITE  # its default
    if weight is not None:
        yield Property("CPUWeight", "t", weight)
    if cpu.quota_us is not None or cpu.period_us is not None:
        yield from _quota(cpu)
    for name, text in (("AllowedCPUs", cpu.cpus), ("AllowedMemoryNodes", cpu.mems)):
        if text is not None:
            yield Property(name, "ay", _mask(parse_list(text)))


def _quota(cpu: CpuLimits) -> Iterator[Property]:
    """systemd has the quota by the second, and rounds it to 10 ms; up, so that it never
    holds back more than ours."""
    period_us = cpu.period_us or 100_000
    yield Property("CPUQuotaPeriodUSec", "t", period_us)
    by_second = INFINITE
    if isinstance(cpu.quota_us, int):
        by_second = cpu.quota_us * 1_000_000 // period_us
        by_second = -(-by_second // _QUOTA_STEP_US) * _QUOTA_STEP_US
    yield Property("CPUQuotaPerSecUSec", "t", by_second)


def _mask(numbers: Sequence[int]) -> bytes:
    """Bit by bit, the lowest number first."""
    bits = sum(1 << number for number in set(numbers))
    return bits.to_bytes(-(-bits.bit_length() // 8), "little")


def device_properties(rules: Sequence[DeviceRule]) -> list[Property]:
    """Device rules, never stricter than ours: systemd only knows what is allowed."""
    if not rules:
        return []
    try:
        state = reduce_rules(rules)
    except UnsupportedFeature:  # an exception from an exception: ours alone hold
        return _every_device()
    if state.allow:
        return _every_device()
    allowed = []
    for (kind, major, minor), access in state.exceptions.items():
        name = "char" if kind == "c" else "block"
        letters = "".join(letter for letter in "rwm" if letter in access)
        if major is None or minor is None:
            # One minor number of every major can't be said: all of them, then.
            node = f"{name}-{'*' if major is None else major}"
        else:
            node = f"/dev/{name}/{major}:{minor}"
        allowed.append([node, letters])
    return [
        Property("DevicePolicy", "s", "strict"),
        # An empty list takes back what was allowed before.
        Property("DeviceAllow", "a(ss)", []),
        Property("DeviceAllow", "a(ss)", allowed),
    ]


def _every_device() -> list[Property]:
    return [
        Property("DevicePolicy", "s", "auto"),
        Property("DeviceAllow", "a(ss)", []),
    ]
