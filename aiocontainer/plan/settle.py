"""What settings make of a process: user, rights, limits, environment, filter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final

from ..config import CAPABILITIES, Capabilities, ProcessSettings
from ..config.process import RLIMITS
from ..config.seccomp import require_answerable
from ..errors import UnsupportedFeature
from . import landlock, lsm, scheduling
from . import steps as s
from .filters import LISTENS, compile_filter
from .host import HostFacts
from .parts import Part, Program, remembered

_RLIM_INFINITY: Final = -1
_READY: Final = Part.of((s.SayReady(),))
"""Once all rights are dropped, so that the program can see for itself."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What settings make of a process, whichever program it is."""

    find_user: Part
    drop: Part
    """Privileges go, one by one."""
    environment: tuple[tuple[bytes, bytes], ...]
    umask: int
    limits: s.Limits
    bpf: bytes | None
    """For the last moment; None where the filter is loaded before, or there is none."""
    flags: int
    listens: bool = False
    """The filter has a listener."""
    schedule: Part | None = None
    """What takes CAP_SYS_NICE."""
    tunings: tuple[tuple[Any, ...], ...] = ()
    """``schedule`` and the limits, for the spawner to do."""
    capabilities: int = 0
    """Bit mask: those that the process is to have in any set."""


@remembered
def settle(settings: ProcessSettings) -> Settled:
    """Compile the settings of a process."""
    limits = tuple(_limits(settings))
    bpf, flags = None, 0
    if settings.seccomp is not None:
        if not settings.no_new_privs:
            require_answerable(settings.seccomp)
        compiled = compile_filter(settings.seccomp, settings.capabilities.bounding)
        bpf, flags = compiled.bpf, compiled.flags
    late = settings.no_new_privs
    schedule = tuple(scheduling.privileged(settings))
    return Settled(
        Part.of((s.FindUser(settings.user.encode(), _words(settings.groups)),)),
        Part.of(_drop(settings, limits, None if late else bpf, flags)),
        tuple((k.encode(), v.encode()) for k, v in settings.env.items()),
        settings.umask,
        limits,
        bpf if late else None,
        flags,
        bool(flags & LISTENS),
        Part.of(schedule) if schedule else None,
        tuple(scheduling.tunings(settings, limits)),
        _all_of(settings.capabilities),
    )


def process(
    settings: ProcessSettings,
    program: Program,
    *,
    tuned: bool,
    hooks: tuple[s.RunHook, ...] = (),
) -> Iterator[Part]:
    """From a finished container to the program; ``tuned`` if it is in a user namespace,
    and the spawner has seen to what takes the host's own capabilities. ``hooks`` are
    those of startContainer.

    Raises:
        UnsupportedFeature: a capability that this program can't give.
    """
    settled = settle(settings)
    if not tuned:  # a user namespace of its own has them all
        _check_held(settled.capabilities)
    yield settled.find_user
    if program.own_stdio:
        yield Part.of((s.OwnStdio(program.own_stdio),))
    if program.notify is not None:
        yield Part.of((s.OpenNotifySocket(program.notify),))
    if settled.schedule is not None and not tuned:
        yield settled.schedule
    yield settled.drop
    yield _READY
    if program.gate is not None:
        yield Part.of((_gate(settled, program, program.gate),))
    elif hooks:
        yield Part.of((s.Stop(b"start"),))  # the answer to "ready" comes first
    if hooks:
        yield Part.of(hooks)
    last = (settled.umask, settled.limits, settled.bpf, settled.flags)
    if program.arguments is None:
        yield Part.of((s.ExecuteInit(program.passed, *last),))
        return
    arguments = tuple(map(os.fsencode, program.arguments))
    if program.listens:
        yield Part.of((s.SetListenPid(),))
    environment = settled.environment + tuple(_told(program))
    execute = s.Execute(arguments, environment, program.passed, *last)
    yield Part.of((execute,))


def _told(program: Program) -> Iterator[tuple[bytes, bytes]]:
    """What the environment tells of the descriptors and the socket it was given."""
    if program.listens:
        yield b"LISTEN_FDS", b"%d" % program.listens
        if program.listen_names is not None:
            yield b"LISTEN_FDNAMES", program.listen_names
    if program.notify is not None:
        yield b"NOTIFY_SOCKET", program.notify


def _gate(settled: Settled, program: Program, index: int) -> s.AwaitGate:
    name = b"" if program.arguments is None else os.fsencode(program.arguments[0])
    return s.AwaitGate(index, name, dict(settled.environment).get(b"PATH", b""))


def proc_files(settings: ProcessSettings) -> tuple[tuple[str, bytes], ...]:
    if settings.oom_score_adj is None:
        return ()
    return (("oom_score_adj", str(settings.oom_score_adj).encode()),)


def _drop(
    settings: ProcessSettings, limits: s.Limits, bpf: bytes | None, flags: int
) -> Iterator[s.Step]:
    yield from lsm.late_attributes(settings)
    if limits:
        yield s.RaiseLimits(limits)
    yield from scheduling.unprivileged(settings)
    cwd = os.fsencode(settings.cwd)
    yield s.ChangeDirectory(cwd)
    if settings.no_new_privs:
        yield s.NoNewPrivs()
    if settings.landlock is not None:
        made = landlock.rules(settings.landlock, at_once=not settings.no_new_privs)
        if made is not None:
            yield made
    if bpf is not None:
        yield s.LoadFilter(bpf, flags)
    yield _identity(settings.capabilities, cwd)
    if settings.parent_death_signal is not None:
        yield s.SetParentDeathSignal(settings.parent_death_signal)


def _words(groups: Iterable[str | int]) -> tuple[bytes, ...]:
    return tuple(str(group).encode() for group in groups)


def _limits(settings: ProcessSettings) -> Iterator[tuple[int, int, int]]:
    for name, limit in settings.rlimits.items():
        soft = _RLIM_INFINITY if limit.soft is None else limit.soft
        hard = _RLIM_INFINITY if limit.hard is None else limit.hard
        yield RLIMITS[name], soft, hard


_SETS: Final = ("bounding", "effective", "permitted", "inheritable", "ambient")


def _masks(capabilities: Capabilities) -> dict[str, int]:
    return {
        name: sum(1 << CAPABILITIES[wanted] for wanted in getattr(capabilities, name))
        for name in _SETS
    }


def _all_of(capabilities: Capabilities) -> int:
    return reduce(or_, _masks(capabilities).values())


def _check_held(wanted: int) -> None:
    if lacking := wanted & ~HostFacts.read().bounding:
        names = [n for n, number in CAPABILITIES.items() if lacking >> number & 1]
        raise UnsupportedFeature(
            ", ".join(names), "this process can't give what it hasn't got"
        )


def _identity(capabilities: Capabilities, cwd: bytes) -> s.ChangeIdentity:
    masks = _masks(capabilities)
    return s.ChangeIdentity(
        # More than we have ourselves: a new user namespace gives its processes all.
        HostFacts.read().capabilities & ~masks["bounding"],
        masks["effective"],
        masks["permitted"],
        masks["inheritable"],
        tuple(sorted(CAPABILITIES[name] for name in capabilities.ambient)),
        cwd,
    )
