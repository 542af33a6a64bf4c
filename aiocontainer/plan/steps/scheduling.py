"""Steps that say how the kernel schedules a process."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Step


@dataclass(frozen=True, slots=True)
class SetAffinity(Step):
    """CPUs to run on, as a bit mask, after a cpuset may have been joined.

    With ``lenient`` a mask without any CPU of the cpuset is no error: who is born in
    the container's cgroup never is outside of it.
    """

    mask: bytes
    lenient: bool


@dataclass(frozen=True, slots=True)
class SetScheduler(Step):
    """Scheduling policy, while CAP_SYS_NICE is still there."""

    policy: int
    flags: int
    nice: int
    priority: int
    deadline: tuple[int, int, int]
    clamps: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SetIoPriority(Step):
    """Priority on block devices, while CAP_SYS_NICE is still there."""

    value: int


@dataclass(frozen=True, slots=True)
class SetMemoryPolicy(Step):
    """Memory nodes to allocate from."""

    mode: int
    nodes: bytes


@dataclass(frozen=True, slots=True)
class SetPersonality(Step):
    """Execution domain; before the filter, which may not permit it."""

    value: int


@dataclass(frozen=True, slots=True)
class SetParentDeathSignal(Step):
    """After the last change of credentials, each of which clears it."""

    signal: int
