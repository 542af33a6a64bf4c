"""From what a container is to what the helper does: the one place that decides order.

Pure: no system call is made, so a plan can be printed and tested without privilege.
(`Rootfs.host()` looks at which of its directories the host has.)
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Self, TypeVar

from .._sys import constants as c
from ..config import CAPABILITIES, Capabilities, Config, IdMapping, ProcessSettings
from ..config.process import RLIMITS
from ..errors import ConfigError, UnsupportedFeature
from . import steps as s
from .filters import compile_filter
from .host import HostFacts
from .mounts import become_root, file_system

_KINDS: Final = {
    "user": c.CLONE_NEWUSER,
    "mount": c.CLONE_NEWNS,
    "pid": c.CLONE_NEWPID,
    "uts": c.CLONE_NEWUTS,
    "ipc": c.CLONE_NEWIPC,
    "network": c.CLONE_NEWNET,
    "cgroup": c.CLONE_NEWCGROUP,
    "time": c.CLONE_NEWTIME,
}
_RLIM_INFINITY: Final = -1
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class Part:
    """Steps that belong together, in both forms: parts are shared by many plans."""

    steps: tuple[s.Step, ...]
    wire: tuple[Any, ...]
    """The same as the helper takes it."""

    @classmethod
    def of(cls, steps: Iterable[s.Step]) -> Self:
        """A part of these steps."""
        kept = tuple(steps)
        return cls(kept, tuple(step.wire() for step in kept))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for one process: by the spawner, then by the child."""

    clone_flags: int
    """``CLONE_NEW*`` that the child is born with."""
    namespaces: tuple[bytes, ...]
    """Paths that the spawner opens, before anything else; the last is -1 as an index of
    a descriptor, the one before it -2, and so on."""
    go_through: tuple[tuple[int, int], ...]
    """(index, kind) of namespaces that an intermediate process joins, so that the child
    is born in them."""
    pid_namespace: int | None
    """Index of the one to be born in, or of a container's pidfd."""
    proc_files: tuple[tuple[str, bytes], ...]
    """Written by the spawner to ``/proc/<child>/``, before the child goes on."""
    parts: tuple[Part, ...]

    @property
    def steps(self) -> tuple[s.Step, ...]:
        """All steps, in their order."""
        return tuple(chain.from_iterable(part.steps for part in self.parts))

    @property
    def wire(self) -> tuple[Any, ...]:
        """All steps in the form that the helper takes."""
        return tuple(chain.from_iterable(part.wire for part in self.parts))

    def describe(self) -> str:
        """The plan, a line each, for people."""
        lines = [f"/proc/<child>/{name} <- {data!r}" for name, data in self.proc_files]
        return "\n".join((*lines, *(step.title for step in self.steps)))


@dataclass(frozen=True, slots=True)
class Program:
    """What a process executes and which descriptors it gets."""

    arguments: tuple[str | bytes | os.PathLike[str], ...] | None
    """None is the built-in init."""
    passed: s.Passed
    own_stdio: tuple[int, ...] = ()
    """Indexes of the descriptors that are pipes made for this process."""
    terminal: tuple[int, int] | None = None
    """(rows, columns) for one of its own."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What all processes of all containers of one config share."""

    config: Config
    clone_flags: int
    namespaces: tuple[bytes, ...]
    go_through: tuple[tuple[int, int], ...]
    pid_namespace: int | None
    proc_files: tuple[tuple[str, bytes], ...]
    enter: Part
    """Namespaces."""
    build: Part
    """The file system, up to the last step that sees the host."""
    leave: Part
    """The host's root goes."""
    join_kinds: int
    """``CLONE_NEW*`` of the namespaces that later processes join."""
    own_pids: bool
    """In a pid namespace of its own, whose end is everybody's end."""

    @property
    def root_owner(self) -> tuple[int, int] | None:
        """The host's (uid, gid) that are root in a new user namespace, if any are."""
        ids = [
            mapping.host_id
            for mappings in (self.config.uid_mappings, self.config.gid_mappings)
            for mapping in mappings
            if mapping.container_id == 0
        ]
        return (ids[0], ids[1]) if len(ids) == 2 else None


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


_K = TypeVar("_K")
_V = TypeVar("_V")


def _remembered(compile_it: Callable[[_K], _V]) -> Callable[[_K], _V]:
    """Keep the last answers, told apart by the very object: to hash or compare a config
    would take as long as to compile it. The object is kept too, and so its id."""
    kept: OrderedDict[int, tuple[_K, _V]] = OrderedDict()

    def remember(source: _K) -> _V:
        found = kept.get(id(source))
        if found is None:
            found = kept[id(source)] = (source, compile_it(source))
            if len(kept) > _REMEMBERED:
                with contextlib.suppress(KeyError):  # another thread was faster
                    kept.popitem(last=False)
        return found[1]

    return remember


@_remembered
def frame(config: Config) -> Frame:
    """Compile what a config says of every container made from it.

    Raises:
        UnsupportedFeature: asked for, but not there yet.
    """
    choices = config.namespaces.model_dump()
    if choices["time"] != "host":
        raise UnsupportedFeature("time namespace", "not implemented")
    if choices["mount"] == "host":
        raise ConfigError("namespaces.mount", "can't be the host's")
    new = {kind for kind, choice in choices.items() if choice == "new"}
    joined = {
        kind: os.fsencode(choice)
        for kind, choice in choices.items()
        if choice not in ("new", "host")
    }
    own_mounts = "mount" in new
    index = {kind: number - len(joined) for number, kind in enumerate(joined)}
    inside = _go_through(new, index)
    return Frame(
        config,
        sum(_KINDS[kind] for kind in new - {"cgroup"}),
        tuple(joined.values()),
        tuple((index[kind], _KINDS[kind]) for kind in inside),
        index.get("pid") if "pid" not in inside else None,
        tuple(_mappings(config)) if "user" in new else (),
        Part.of(_enter(config, new, joined, index, inside)),
        Part.of(file_system(config) if own_mounts else ()),
        Part.of(become_root(config) if own_mounts else (s.OpenRoot(),)),
        sum(_KINDS[kind] for kind, choice in choices.items() if choice != "host"),
        choices["pid"] == "new",
    )


@_remembered
def settle(settings: ProcessSettings) -> Settled:
    """Compile the settings of a process.

    Raises:
        UnsupportedFeature: a capability that this program can't give.
    """
    limits = tuple(_limits(settings))
    bpf, flags = None, 0
    if settings.seccomp is not None:
        compiled = compile_filter(settings.seccomp, settings.capabilities.bounding)
        bpf, flags = compiled.bpf, compiled.flags
    late = settings.no_new_privs
    return Settled(
        Part.of((s.FindUser(settings.user.encode(), _words(settings.groups)),)),
        Part.of(_drop(settings, limits, None if late else bpf, flags)),
        tuple((k.encode(), v.encode()) for k, v in settings.env.items()),
        settings.umask,
        limits,
        bpf if late else None,
        flags,
    )


def first(
    container: Frame, name: str, settings: ProcessSettings, program: Program
) -> Plan:
    """The plan of the first process of the container called ``name``."""
    config = container.config
    parts = [
        container.enter,
        Part.of(_names(config, name)),
        container.build,
        Part.of(_terminal(program, console=True)),
        container.leave,
        *_process(settle(settings), program),
    ]
    return Plan(
        container.clone_flags,
        container.namespaces,
        container.go_through,
        container.pid_namespace,
        container.proc_files + _oom_score(settings),
        tuple(parts),
    )


def join(
    container: Frame, settings: ProcessSettings, program: Program, pidfd: int
) -> Plan:
    """The plan of a later process; ``pidfd`` is the index of the first one's."""
    kinds = container.join_kinds & ~c.CLONE_NEWPID
    steps: list[s.Step] = [s.JoinCgroups(), s.JoinContainer(pidfd, kinds)]
    if kinds & c.CLONE_NEWUSER:
        steps.append(s.BeRootOfUserNamespace())
    steps += _keyring(container.config)
    steps += _terminal(program, console=False)
    return Plan(
        0,
        (),
        (),
        pidfd if container.join_kinds & c.CLONE_NEWPID else None,
        _oom_score(settings),
        (Part.of(steps), *_process(settle(settings), program)),
    )


def _go_through(new: set[str], joined: Iterable[str]) -> tuple[str, ...]:
    """Namespaces given by path that the child has to be born in.

    A user namespace, so that it owns the new ones. And all that are joined beside a
    new user namespace: from inside that, nobody may join what the host owns. A mount
    namespace would hide the cgroups' files from whoever makes the child.
    """
    kinds = [kind for kind in joined if kind not in ("user", "mount")]
    if "user" in joined:
        return ("user", *(kind for kind in kinds if kind == "pid"))
    return tuple(kinds) if "user" in new else ()


def _enter(
    config: Config,
    new: set[str],
    joined: Mapping[str, bytes],
    index: Mapping[str, int],
    inside: tuple[str, ...],
) -> Iterator[s.Step]:
    yield s.JoinCgroups()
    if "user" in new or "user" in joined:
        yield s.BeRootOfUserNamespace()
    if "cgroup" in new:
        yield s.Unshare(c.CLONE_NEWCGROUP)
    for kind in ("network", "ipc", "uts", "cgroup", "mount"):
        if kind in joined and kind not in inside:
            yield s.JoinNamespace(joined[kind], index[kind], _KINDS[kind])
    if "network" in new:
        yield s.BringUpLoopback()
    if config.domainname is not None:
        yield s.SetDomainname(config.domainname.encode())


def _names(config: Config, name: str) -> Iterator[s.Step]:
    yield from _keyring(config)
    if config.namespaces.uts == "new" or config.hostname is not None:
        yield s.SetHostname((config.hostname or name).encode())


def _keyring(config: Config) -> Iterator[s.Step]:
    if config.session_keyring:
        yield s.NewSessionKeyring()


def _terminal(program: Program, *, console: bool) -> Iterator[s.Step]:
    if program.terminal is not None:
        rows, columns = program.terminal
        yield s.OpenTerminal(rows, columns, console)


def _drop(
    settings: ProcessSettings, limits: s.Limits, bpf: bytes | None, flags: int
) -> Iterator[s.Step]:
    if limits:
        yield s.RaiseLimits(limits)
    cwd = os.fsencode(settings.cwd)
    yield s.ChangeDirectory(cwd)
    if settings.no_new_privs:
        yield s.NoNewPrivs()
    if bpf is not None:
        yield s.LoadFilter(bpf, flags)
    yield _identity(settings.capabilities, cwd)


def _process(settled: Settled, program: Program) -> Iterator[Part]:
    """From a finished container to the program."""
    yield settled.find_user
    if program.own_stdio:
        yield Part.of((s.OwnStdio(program.own_stdio),))
    yield settled.drop
    last = (settled.umask, settled.limits, settled.bpf, settled.flags)
    if program.arguments is None:
        yield Part.of((s.ExecuteInit(program.passed, *last),))
        return
    arguments = tuple(map(os.fsencode, program.arguments))
    execute = s.Execute(arguments, settled.environment, program.passed, *last)
    yield Part.of((execute,))


def _words(groups: Iterable[str | int]) -> tuple[bytes, ...]:
    return tuple(str(group).encode() for group in groups)


def _limits(settings: ProcessSettings) -> Iterator[tuple[int, int, int]]:
    for name, limit in settings.rlimits.items():
        soft = _RLIM_INFINITY if limit.soft is None else limit.soft
        hard = _RLIM_INFINITY if limit.hard is None else limit.hard
        yield RLIMITS[name], soft, hard


def _identity(capabilities: Capabilities, cwd: bytes) -> s.ChangeIdentity:
    host = HostFacts.read()
    masks = {}
    for name in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        wanted: frozenset[str] = getattr(capabilities, name)
        masks[name] = sum(1 << CAPABILITIES[capability] for capability in wanted)
        if lacking := masks[name] & ~host.bounding:
            names = [n for n, number in CAPABILITIES.items() if lacking >> number & 1]
            raise UnsupportedFeature(
                ", ".join(names), "this process can't give what it hasn't got"
            )
    return s.ChangeIdentity(
        host.bounding & ~masks["bounding"],
        masks["effective"],
        masks["permitted"],
        masks["inheritable"],
        tuple(sorted(CAPABILITIES[name] for name in capabilities.ambient)),
        cwd,
    )


def _mappings(config: Config) -> Iterator[tuple[str, bytes]]:
    yield "gid_map", _mapping(config.gid_mappings)
    yield "uid_map", _mapping(config.uid_mappings)


def _mapping(extents: Iterable[IdMapping]) -> bytes:
    """One write a file, as user_namespaces(7) wants it."""
    lines = (f"{e.container_id} {e.host_id} {e.size}\n" for e in extents)
    return "".join(lines).encode()


def _oom_score(settings: ProcessSettings) -> tuple[tuple[str, bytes], ...]:
    if settings.oom_score_adj is None:
        return ()
    return (("oom_score_adj", str(settings.oom_score_adj).encode()),)
