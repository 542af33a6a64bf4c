"""How a process is to be scheduled: the steps, in the order that the kernel needs."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..config import Config, ProcessSettings
from ..config.scheduling import (
    IO_CLASSES,
    MEMORY_FLAGS,
    MEMORY_MODES,
    PERSONALITIES,
    PERSONALITY_FLAGS,
    SCHEDULER_FLAGS,
    SCHEDULER_POLICIES,
    IoPriority,
    MemoryPolicy,
    Personality,
    Scheduler,
    numbers_in,
)
from . import steps as s

_WORD_BITS: Final = 64
_CLASS_SHIFT: Final = 13  # IOPRIO_CLASS_SHIFT
_ALL_CPUS: Final = b"\xff" * 1024


def privileged(settings: ProcessSettings) -> Iterator[s.Step]:
    """What takes CAP_SYS_NICE on the host."""
    if settings.scheduler is not None:
        yield _scheduler(settings.scheduler)
    if settings.io_priority is not None:
        yield s.SetIoPriority(_io_priority(settings.io_priority))


def tunings(settings: ProcessSettings, limits: s.Limits) -> Iterator[tuple[Any, ...]]:
    """The same and hard limits, for the spawner to do from outside."""
    if limits:
        yield "limits", limits
    for step in privileged(settings):
        name = "scheduler" if isinstance(step, s.SetScheduler) else "io_priority"
        yield (name, *step.wire()[1:])


def unprivileged(settings: ProcessSettings) -> Iterator[s.Step]:
    """What everybody may do, but a filter may not permit."""
    if settings.memory_policy is not None:
        yield _memory_policy(settings.memory_policy)
    if settings.personality is not None:
        yield s.SetPersonality(_personality(settings.personality))


def initial_affinity(settings: ProcessSettings) -> Iterator[s.Step]:
    """Before a joining process is in the container's cgroup."""
    exec_affinity = settings.exec_cpu_affinity
    if exec_affinity is not None and exec_affinity.initial is not None:
        yield s.SetAffinity(_mask(exec_affinity.initial), True)


def affinity(
    config: Config, settings: ProcessSettings, *, joins: bool
) -> Iterator[s.Step]:
    """Once a process is in its cgroup. With a cpuset and no wish, all of that: who had
    chosen CPUs before (the program may have) keeps that choice in a new cpuset."""
    wanted = settings.cpu_affinity
    exec_affinity = settings.exec_cpu_affinity
    if joins and exec_affinity is not None:
        wanted = exec_affinity.final or wanted
    if wanted is not None:
        yield s.SetAffinity(_mask(wanted), False)
    elif config.resources.cpu.cpus is not None or (joins and exec_affinity is not None):
        yield s.SetAffinity(_ALL_CPUS, False)


def _scheduler(scheduler: Scheduler) -> s.SetScheduler:
    flags = _or(SCHEDULER_FLAGS, scheduler.flags)
    if scheduler.util_min is not None:
        flags |= SCHEDULER_FLAGS["SCHED_FLAG_UTIL_CLAMP_MIN"]
    if scheduler.util_max is not None:
        flags |= SCHEDULER_FLAGS["SCHED_FLAG_UTIL_CLAMP_MAX"]
    return s.SetScheduler(
        SCHEDULER_POLICIES[scheduler.policy],
        flags,
        scheduler.nice,
        scheduler.priority,
        (scheduler.runtime_ns, scheduler.deadline_ns, scheduler.period_ns),
        (scheduler.util_min or 0, scheduler.util_max or 0),
    )


def _io_priority(priority: IoPriority) -> int:
    return IO_CLASSES[priority.io_class] << _CLASS_SHIFT | priority.level


def _memory_policy(policy: MemoryPolicy) -> s.SetMemoryPolicy:
    mode = MEMORY_MODES[policy.mode] | _or(MEMORY_FLAGS, policy.flags)
    nodes = b"" if policy.nodes is None else _mask(policy.nodes)
    return s.SetMemoryPolicy(mode, nodes)


def _personality(personality: Personality) -> int:
    flags = _or(PERSONALITY_FLAGS, personality.flags)
    return PERSONALITIES[personality.domain] | flags


def _mask(text: str) -> bytes:
    """A bit mask of whole machine words, in the machine's order."""
    bits = sum(1 << number for number in numbers_in(text))
    words = -(-bits.bit_length() // _WORD_BITS)
    return b"".join(
        struct.pack("=Q", bits >> _WORD_BITS * word & (1 << _WORD_BITS) - 1)
        for word in range(words)
    )


def _or(numbers: dict[str, int], names: Iterable[str]) -> int:
    value = 0
    for name in names:
        value |= numbers[name]
    return value
