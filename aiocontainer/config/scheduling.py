"""How the kernel schedules a process: CPU, I/O, memory nodes, execution domain."""

import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    model_validator,
)

from .base import ConfigError, Model, Whole
from .resources import CpuList

__all__ = (
    "IO_CLASSES",
    "MEMORY_FLAGS",
    "MEMORY_MODES",
    "PERSONALITIES",
    "PERSONALITY_FLAGS",
    "SCHEDULER_FLAGS",
    "SCHEDULER_POLICIES",
    "CpuNumbers",
    "ExecCpuAffinity",
    "IoPriority",
    "MemoryPolicy",
    "Personality",
    "Scheduler",
    "SignalNumber",
    "numbers_in",
)


def _named(prefix: str, words: str) -> dict[str, int]:
    return {prefix + word: number for number, word in enumerate(words.split())}


def _flags(prefix: str, first: int, words: str) -> dict[str, int]:
    """Names of the bits from ``first`` on."""
    return {prefix + word: first << n for n, word in enumerate(words.split())}


SCHEDULER_POLICIES: Final = _named("SCHED_", "OTHER FIFO RR BATCH ISO IDLE DEADLINE")
"""Numbers of ``include/uapi/linux/sched.h``. The kernel has kept one for SCHED_ISO, but
never had it."""
SCHEDULER_FLAGS: Final = _flags(
    "SCHED_FLAG_",
    1,
    "RESET_ON_FORK RECLAIM DL_OVERRUN KEEP_POLICY KEEP_PARAMS UTIL_CLAMP_MIN "
    "UTIL_CLAMP_MAX",
)
IO_CLASSES: Final = {
    name: number
    for name, number in _named("IOPRIO_CLASS_", "NONE RT BE IDLE").items()
    if number
}
"""Numbers of ``include/uapi/linux/ioprio.h``."""
MEMORY_MODES: Final = _named(
    "MPOL_",
    "DEFAULT PREFERRED BIND INTERLEAVE LOCAL PREFERRED_MANY WEIGHTED_INTERLEAVE",
)
"""Numbers of ``include/uapi/linux/mempolicy.h``."""
MEMORY_FLAGS: Final = _flags(
    "MPOL_F_", 1 << 13, "NUMA_BALANCING RELATIVE_NODES STATIC_NODES"
)
PERSONALITIES: Final = {"LINUX": 0, "LINUX32": 8}
"""Numbers of ``include/uapi/linux/personality.h``."""
PERSONALITY_FLAGS: Final = _flags(
    "",
    0x0020000,
    "UNAME26 ADDR_NO_RANDOMIZE FDPIC_FUNCPTRS MMAP_PAGE_ZERO ADDR_COMPAT_LAYOUT "
    "READ_IMPLIES_EXEC ADDR_LIMIT_32BIT SHORT_INODE WHOLE_SECONDS STICKY_TIMEOUTS "
    "ADDR_LIMIT_3GB",
)


def _one_of(
    names: dict[str, int], what: str, *prefixes: str
) -> Callable[[object], str]:
    """Takes any of ``names``, in any case, with or without its prefix."""

    def check(value: object) -> str:
        word = value.upper() if isinstance(value, str) else ""
        for prefix in ("", *prefixes):
            if prefix + word in names:
                return prefix + word
            if prefix and word.removeprefix(prefix) in names:
                return word.removeprefix(prefix)
        known = ", ".join(names)
        raise ConfigError("", f"{str(value)[:40]!r} is no {what}: {known}")

    return check


_Policy: TypeAlias = Annotated[
    str, PlainValidator(_one_of(SCHEDULER_POLICIES, "policy", "SCHED_"))
]
_SchedulerFlag: TypeAlias = Annotated[
    str, PlainValidator(_one_of(SCHEDULER_FLAGS, "flag", "SCHED_FLAG_"))
]
_Nanoseconds: TypeAlias = Annotated[Whole, Field(ge=0, le=2**63 - 1)]
_Utilization: TypeAlias = Annotated[Whole, Field(ge=0, le=1024)]

_REALTIME: Final = ("SCHED_FIFO", "SCHED_RR")


class Scheduler(Model):
    """Scheduling policy of a process and of all that it starts (sched_setattr(2)).

    Real-time policies, ``SCHED_DEADLINE`` and a negative ``nice`` take CAP_SYS_NICE. On
    v1, a kernel with ``RT_GROUP_SCHED`` refuses real-time policies to a cgroup that has
    no real-time budget: set ``resources.cpu.realtime_runtime_us`` as well.
    """

    policy: _Policy
    """``SCHED_OTHER``, ``FIFO``, ``RR``, ``BATCH``, ``ISO``, ``IDLE``, ``DEADLINE``,
    with or without ``SCHED_``."""
    nice: Annotated[Whole, Field(ge=-20, le=19)] = 0
    """For ``SCHED_OTHER`` and ``SCHED_BATCH``: -20 is favoured most, 19 least."""
    priority: Annotated[Whole, Field(ge=0, le=99)] = 0
    """For ``SCHED_FIFO`` and ``SCHED_RR``: 1 to 99, higher goes first."""
    flags: tuple[_SchedulerFlag, ...] = ()
    """Names of `SCHEDULER_FLAGS`, with or without ``SCHED_FLAG_``."""
    runtime_ns: _Nanoseconds = 0
    """For ``SCHED_DEADLINE``: run time guaranteed in each period."""
    deadline_ns: _Nanoseconds = 0
    """For ``SCHED_DEADLINE``: by when, from the start of each period."""
    period_ns: _Nanoseconds = 0
    """For ``SCHED_DEADLINE``; 0 is the same as the deadline."""
    util_min: _Utilization | None = None
    """Least utilization that the CPU's frequency is chosen for, of 1024; sets
    ``UTIL_CLAMP_MIN``."""
    util_max: _Utilization | None = None
    """Most utilization that it is chosen for; sets ``UTIL_CLAMP_MAX``."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            policy: str,
            nice: int = ...,
            priority: int = ...,
            flags: Iterable[str] = ...,
            runtime_ns: int = ...,
            deadline_ns: int = ...,
            period_ns: int = ...,
            util_min: int | None = ...,
            util_max: int | None = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _parameters_are_of_the_policy(self) -> Self:
        if self.policy in _REALTIME:
            if self.priority == 0:
                raise ConfigError("priority", f"{self.policy} needs one, 1 to 99")
        elif self.priority:
            raise ConfigError("priority", "is for SCHED_FIFO and SCHED_RR")
        if self.nice and self.policy not in ("SCHED_OTHER", "SCHED_BATCH"):
            raise ConfigError("nice", "is for SCHED_OTHER and SCHED_BATCH")
        self._check_deadline()
        if len(set(self.flags)) < len(self.flags):
            raise ConfigError("flags", "one is there twice")
        low, high = self.util_min, self.util_max
        if low is not None and high is not None and low > high:
            raise ConfigError("util_min", "is more than util_max")
        return self

    def _check_deadline(self) -> None:
        times = (self.runtime_ns, self.deadline_ns, self.period_ns)
        if self.policy != "SCHED_DEADLINE":
            if any(times):
                field = ("runtime_ns", "deadline_ns", "period_ns")[
                    next(index for index, time in enumerate(times) if time)
                ]
                raise ConfigError(field, "is for SCHED_DEADLINE")
            return
        # As __checkparam_dl in kernel/sched/deadline.c.
        if self.runtime_ns < 1024:
            raise ConfigError("runtime_ns", "SCHED_DEADLINE needs 1024 or more")
        if self.deadline_ns < self.runtime_ns:
            raise ConfigError("deadline_ns", "is less than runtime_ns")
        if self.period_ns and self.period_ns < self.deadline_ns:
            raise ConfigError("period_ns", "is less than deadline_ns")


class IoPriority(Model):
    """Priority on block devices, for schedulers that know any (ioprio_set(2))."""

    io_class: Annotated[
        str, PlainValidator(_one_of(IO_CLASSES, "class", "IOPRIO_CLASS_"))
    ]
    """``IOPRIO_CLASS_RT`` (takes CAP_SYS_NICE), ``BE`` or ``IDLE``."""
    level: Annotated[Whole, Field(ge=0, le=7)] = 0
    """0 goes first, 7 last; none for ``IDLE``."""

    @model_validator(mode="after")
    def _idle_has_no_levels(self) -> Self:
        if self.io_class == "IOPRIO_CLASS_IDLE" and self.level:
            raise ConfigError("level", "IOPRIO_CLASS_IDLE has no levels")
        return self


def numbers_in(text: str) -> list[int]:
    """The numbers of a list like ``0-3,7``, in order."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def _bits(limit: int, what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        # Only the ends are looked at: 0-99999 isn't to be counted through.
        last = max(int(number) for number in text.replace("-", ",").split(","))
        if last >= limit:
            raise ConfigError("", f"the largest {what} is {limit - 1}")
        return text

    return check


CpuNumbers: TypeAlias = Annotated[CpuList, AfterValidator(_bits(8192, "CPU"))]
"""CPUs as ``0-3,7``."""
_Nodes: TypeAlias = Annotated[CpuList, AfterValidator(_bits(1024, "node"))]


class MemoryPolicy(Model):
    """From which memory nodes a process gets its pages (set_mempolicy(2))."""

    mode: Annotated[
        str, PlainValidator(_one_of(MEMORY_MODES, "memory policy", "MPOL_"))
    ]
    """``MPOL_DEFAULT``, ``PREFERRED``, ``BIND``, ``INTERLEAVE``, ``LOCAL``,
    ``PREFERRED_MANY`` (Linux 5.15) or ``WEIGHTED_INTERLEAVE`` (6.9)."""
    nodes: Annotated[_Nodes | None, BeforeValidator(lambda nodes: nodes or None)] = None
    """As ``0-1,3``. ``DEFAULT`` and ``LOCAL`` take none; ``PREFERRED`` with none is
    ``LOCAL``; the others need some."""
    flags: tuple[
        Annotated[str, PlainValidator(_one_of(MEMORY_FLAGS, "flag", "MPOL_F_"))], ...
    ] = ()
    """``MPOL_F_STATIC_NODES`` or ``RELATIVE_NODES``, and ``NUMA_BALANCING``."""

    if TYPE_CHECKING:

        def __init__(
            self, *, mode: str, nodes: str | None = ..., flags: Iterable[str] = ...
        ) -> None: ...

    @model_validator(mode="after")
    def _nodes_fit_the_mode(self) -> Self:
        if self.mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
            if self.nodes is not None:
                raise ConfigError("nodes", f"{self.mode} takes none")
            if self.flags:
                raise ConfigError("flags", f"{self.mode} takes none")
        elif self.nodes is None and (self.mode != "MPOL_PREFERRED" or self.flags):
            raise ConfigError("nodes", f"{self.mode} needs some")
        if {"MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"} <= {*self.flags}:
            raise ConfigError("flags", "STATIC_NODES and RELATIVE_NODES exclude others")
        if len(set(self.flags)) < len(self.flags):
            raise ConfigError("flags", "one is there twice")
        if "MPOL_F_NUMA_BALANCING" in self.flags and self.mode not in (
            "MPOL_BIND",
            "MPOL_PREFERRED_MANY",
        ):
            raise ConfigError("flags", "NUMA_BALANCING is for BIND and PREFERRED_MANY")
        return self


class Personality(Model):
    """Execution domain (personality(2)): what ``uname -m`` says, and old behaviours."""

    domain: Annotated[str, PlainValidator(_one_of(PERSONALITIES, "domain", "PER_"))] = (
        "LINUX"
    )
    """``LINUX``, or ``LINUX32``: a 64-bit machine shows itself as its 32-bit kind."""
    flags: tuple[
        Annotated[str, PlainValidator(_one_of(PERSONALITY_FLAGS, "flag"))], ...
    ] = ()
    """Names of `PERSONALITY_FLAGS`, as ``ADDR_NO_RANDOMIZE``."""

    if TYPE_CHECKING:

        def __init__(
            self, *, domain: str = ..., flags: Iterable[str] = ...
        ) -> None: ...


class ExecCpuAffinity(Model):
    """CPUs of a process that joins a container (OCI ``execCPUAffinity``)."""

    initial: CpuNumbers | None = None
    """While it is being set up, before it is in the container's cgroup."""
    final: CpuNumbers | None = None
    """From then on."""


def _signal(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= 64:
            raise ConfigError("", "a signal is between 1 and 64")
        return int(value)
    word = value.upper() if isinstance(value, str) else ""
    name = word if word.startswith("SIG") else f"SIG{word}"
    if name not in signal.Signals.__members__:
        raise ConfigError("", f"{str(value)[:40]!r} is no signal")
    return int(signal.Signals[name])


SignalNumber: TypeAlias = Annotated[int, PlainValidator(_signal)]
"""A signal, by number or by name (``SIGKILL``, ``kill``)."""
