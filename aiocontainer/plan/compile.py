"""From what a container is to what the helper does: the one place that decides order.

Pure: no system call is made, so a plan can be printed and tested without privilege.
(`Rootfs.host()` looks at which of its directories the host has.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

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


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for one process: by the spawner, then by the child."""

    clone_flags: int
    """``CLONE_NEW*`` that the child is born with."""
    user_namespace: bytes | None
    """Path of one to go through, so that it owns the new namespaces."""
    pid_namespace: bytes | int | None
    """Path of the one to be born in, or index of a container's pidfd among the
    descriptors."""
    proc_files: tuple[tuple[str, bytes], ...]
    """Written by the spawner to ``/proc/<child>/``, before the child goes on."""
    steps: tuple[s.Step, ...]

    def wire(self) -> tuple[Any, ...]:
        """The steps in the form that the helper takes."""
        return tuple(step.wire() for step in self.steps)

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
    """The part of a container's plan that doesn't depend on the program."""

    clone_flags: int
    user_namespace: bytes | None
    pid_namespace: bytes | None
    proc_files: tuple[tuple[str, bytes], ...]
    build: tuple[s.Step, ...]
    """Namespaces and file system, up to the last step that sees the host."""
    finish: tuple[s.Step, ...]
    join_kinds: int
    """``CLONE_NEW*`` of the namespaces that later processes join."""
    own_pids: bool
    """In a pid namespace of its own, whose end is everybody's end."""
    keyring: tuple[s.Step, ...]
    """Every process leaves the supervisor's session keyring, if any does."""


def frame(config: Config, hostname: str) -> Frame:
    """Compile what all processes of a container share.

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
    clone_flags = sum(_KINDS[kind] for kind in new - {"cgroup"})
    return Frame(
        clone_flags,
        joined.get("user"),
        joined.get("pid"),
        tuple(_mappings(config)) if "user" in new else (),
        tuple(_build(config, new, joined, hostname)),
        tuple(become_root(config)) if "mount" in new else (s.OpenRoot(),),
        sum(_KINDS[kind] for kind, choice in choices.items() if choice != "host"),
        choices["pid"] != "host",
        tuple(_keyring(config, hostname)),
    )


def first(
    container: Frame, settings: ProcessSettings, program: Program, host: HostFacts
) -> Plan:
    """The plan of a container's first process."""
    steps = [*container.build, *_terminal(program, console=True), *container.finish]
    steps += _process(settings, program, host)
    return Plan(
        container.clone_flags,
        container.user_namespace,
        container.pid_namespace,
        container.proc_files + _oom_score(settings),
        tuple(steps),
    )


def join(
    container: Frame,
    settings: ProcessSettings,
    program: Program,
    host: HostFacts,
    pidfd: int,
) -> Plan:
    """The plan of a later process; ``pidfd`` is the index of the first one's."""
    steps: list[s.Step] = [
        s.JoinCgroups(),
        s.JoinContainer(pidfd, container.join_kinds & ~c.CLONE_NEWPID),
    ]
    if container.join_kinds & c.CLONE_NEWUSER:
        steps.append(s.BeRootOfUserNamespace())
    steps += container.keyring
    steps += _terminal(program, console=False)
    steps += _process(settings, program, host)
    return Plan(
        0,
        None,
        pidfd if container.own_pids else None,
        _oom_score(settings),
        tuple(steps),
    )


def _build(
    config: Config, new: set[str], joined: Mapping[str, bytes], hostname: str
) -> Iterator[s.Step]:
    yield s.JoinCgroups()
    if new | set(joined) >= {"user"}:
        yield s.BeRootOfUserNamespace()
    if "cgroup" in new:
        yield s.Unshare(c.CLONE_NEWCGROUP)
    for kind in ("network", "ipc", "uts", "cgroup", "mount"):
        if kind in joined:
            yield s.JoinNamespace(joined[kind], _KINDS[kind])
    yield from _keyring(config, hostname)
    if "network" in new:
        yield s.BringUpLoopback()
    if "uts" in new:
        yield s.SetHostname((config.hostname or hostname).encode())
    if config.domainname is not None:
        yield s.SetDomainname(config.domainname.encode())
    if "mount" in new:
        yield from file_system(config)


def _keyring(config: Config, hostname: str) -> Iterator[s.Step]:
    if config.session_keyring:
        yield s.NewSessionKeyring(f"_ses.{hostname}"[:64].encode())


def _terminal(program: Program, *, console: bool) -> Iterator[s.Step]:
    if program.terminal is not None:
        rows, columns = program.terminal
        yield s.OpenTerminal(rows, columns, console)


def _process(
    settings: ProcessSettings, program: Program, host: HostFacts
) -> Iterator[s.Step]:
    """From a finished container to the program: privileges go, one by one."""
    limits = tuple(_limits(settings))
    cwd = os.fsencode(settings.cwd)
    yield s.FindUser(settings.user.encode(), _words(settings.groups))
    if program.own_stdio:
        yield s.OwnStdio(program.own_stdio)
    if limits:
        yield s.RaiseLimits(limits)
    yield s.ChangeDirectory(cwd)
    bpf, flags = None, 0
    if settings.seccomp is not None:
        compiled = compile_filter(settings.seccomp, settings.capabilities.bounding)
        bpf, flags = compiled.bpf, compiled.flags
    if settings.no_new_privs:
        yield s.NoNewPrivs()
    elif bpf is not None:
        yield s.LoadFilter(bpf, flags)
        bpf = None
    yield _identity(settings.capabilities, cwd, host)
    if program.arguments is None:
        yield s.ExecuteInit(program.passed, settings.umask, limits, bpf, flags)
        return
    yield s.Execute(
        tuple(map(os.fsencode, program.arguments)),
        tuple((k.encode(), v.encode()) for k, v in settings.env.items()),
        program.passed,
        settings.umask,
        limits,
        bpf,
        flags,
    )


def _words(groups: Iterable[str | int]) -> tuple[bytes, ...]:
    return tuple(str(group).encode() for group in groups)


def _limits(settings: ProcessSettings) -> Iterator[tuple[int, int, int]]:
    for name, limit in settings.rlimits.items():
        soft = _RLIM_INFINITY if limit.soft is None else limit.soft
        hard = _RLIM_INFINITY if limit.hard is None else limit.hard
        yield RLIMITS[name], soft, hard


def _identity(
    capabilities: Capabilities, cwd: bytes, host: HostFacts
) -> s.ChangeIdentity:
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
