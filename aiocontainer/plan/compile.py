"""From what a container is to what the helper does: the one place that decides order.

Pure: no system call is made, so a plan can be printed and tested without privilege.
(`Rootfs.host()` looks at which of its directories the host has.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .._sys import constants as c
from ..config import Config, ProcessSettings
from ..errors import ConfigError
from . import hooks, lsm, scheduling, settle
from . import namespaces as ns
from . import steps as s
from .host import HostFacts
from .mounts import become_root, file_system, of_host
from .name_files import name_files
from .parts import Part, Plan, Program, remembered
from .users import IdFacts, Writers, check_process, resolved, writers

_CREATED: Final = Part.of((s.Stop(b"created"),))
_CREATED_UNPRIVILEGED: Final = Part.of(
    (s.BeTraceable(True), s.Stop(b"created"), s.BeTraceable(False))
)

__all__ = ("Frame", "Part", "Plan", "Program", "first", "frame", "join")


@dataclass(frozen=True, slots=True)
class Frame:
    """What all processes of all containers of one config share."""

    config: Config
    clone_flags: int
    namespaces: tuple[bytes, ...]
    go_through: tuple[tuple[int, int], ...]
    pid_namespace: int | None
    writers: Writers
    """Of the id maps of a new user namespace."""
    unprivileged: bool
    comes_back: bool
    """The spawner may join a pid namespace and leave it again."""
    enter: Part
    """Namespaces."""
    build: Part
    """The file system, up to the last step that sees the host."""
    leave: Part
    """The host's root goes."""
    join_kinds: int
    """``CLONE_NEW*`` of the namespaces that later processes join."""
    time_offsets: bytes | None
    """Of a new time namespace that the spawner makes."""
    host_steps: tuple[s.Step, ...]
    """Done before the first process is made."""
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


@remembered
def frame(config: Config) -> Frame:
    """Compile what a config says of every container made from it.

    Raises:
        UnsupportedFeature: asked for, but not there yet.
    """
    config = resolved(config)
    host = HostFacts.read()
    lsm.check(config)
    choices = config.namespaces.model_dump()
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
    inside = ns.go_through(new, index, comes_back=host.comes_back)
    return Frame(
        config,
        sum(ns.KINDS[kind] for kind in new - {"cgroup", "time"}),
        tuple(joined.values()),
        tuple((index[kind], ns.KINDS[kind]) for kind in inside),
        index.get("pid") if "pid" not in inside else None,
        writers(config, host, IdFacts.read) if "user" in new else Writers(),
        not host.is_privileged,
        host.comes_back,
        Part.of(ns.enter(config, new, joined, index, inside, host.is_privileged)),
        Part.of(lsm.labelled(config, file_system(config)) if own_mounts else ()),
        Part.of(become_root(config) if own_mounts else (s.OpenRoot(),)),
        sum(ns.KINDS[kind] for kind, choice in choices.items() if choice != "host"),
        ns.time_offsets(config) if "time" in new and host.is_privileged else None,
        tuple(of_host(config, index.get("user"))) if own_mounts else (),
        choices["pid"] == "new",
    )


def first(
    container: Frame,
    name: str,
    settings: ProcessSettings,
    program: Program,
    *,
    stop: bool = False,
) -> Plan:
    """The plan of the first process of the container called ``name``.

    With ``stop`` it waits at the stop called "created": all namespaces and mounts are
    there, and the host's root is still seen.
    """
    config = container.config
    tuned = config.namespaces.user != "host"
    _check_ids(container, settings)
    parts = [
        *_parts(lsm.attributes(config, settings)),
        container.enter,
        *_parts(scheduling.affinity(config, settings, joins=False)),
        Part.of(_names(config, name)),
        container.build,
        *_parts(name_files(config, name)),
        Part.of(_terminal(program, console=True)),
        *((_created(container),) if stop else ()),
        *_parts(hooks.create_container(config, name)),
        container.leave,
        *settle.process(
            settings,
            program,
            tuned=tuned,
            hooks=tuple(hooks.start_container(config, name)),
        ),
    ]
    return Plan(
        container.clone_flags,
        container.namespaces,
        container.go_through,
        container.pid_namespace,
        container.writers.files + settle.proc_files(settings),
        tuple(parts),
        container.writers.commands,
        container.unprivileged,
        tunings=settle.settle(settings).tunings if tuned else (),
        time_offsets=container.time_offsets,
        listens=settle.settle(settings).listens,
        gated=program.gate is not None,
        host_steps=container.host_steps,
    )


def join(
    container: Frame, settings: ProcessSettings, program: Program, pidfd: int
) -> Plan:
    """The plan of a later process; ``pidfd`` is the index of the first one's."""
    _check_ids(container, settings)
    kinds = container.join_kinds & ~c.CLONE_NEWPID
    owned = kinds & c.CLONE_NEWUSER
    inside: tuple[tuple[int, int], ...] = ()
    if not container.comes_back:
        # Only in the user namespace that owns it may a pid namespace be joined, and
        # whoever leaves it again needs the rights of the owner of the other one, too.
        inside = ((pidfd, container.join_kinds & (c.CLONE_NEWUSER | c.CLONE_NEWPID)),)
        kinds &= ~c.CLONE_NEWUSER
    tuned = bool(owned)
    steps: list[s.Step] = [
        *lsm.attributes(container.config, settings),
        *scheduling.initial_affinity(settings),
        s.JoinCgroups(),
        *scheduling.affinity(container.config, settings, joins=True),
        s.JoinContainer(pidfd, kinds),
    ]
    if owned:
        steps.append(s.BeRootOfUserNamespace())
    steps += _keyring(container.config)
    steps += _terminal(program, console=False)
    return Plan(
        0,
        (),
        inside,
        pidfd if container.join_kinds & c.CLONE_NEWPID and not inside else None,
        settle.proc_files(settings),
        (Part.of(steps), *settle.process(settings, program, tuned=tuned)),
        unprivileged=container.unprivileged,
        tunings=settle.settle(settings).tunings if tuned else (),
        listens=settle.settle(settings).listens,
    )


def _created(container: Frame) -> Part:
    """The stop; without privileges, what is to be attached has to be let in."""
    if container.unprivileged and container.config.namespaces.user == "new":
        return _CREATED_UNPRIVILEGED
    return _CREATED


def _check_ids(container: Frame, settings: ProcessSettings) -> None:
    if container.config.namespaces.user == "new":
        keeps_groups = container.writers.denies_groups
        check_process(container.config, settings, keeps_groups=keeps_groups)


def _parts(steps: Iterable[s.Step]) -> tuple[Part, ...]:
    """Nothing for no steps, as is the case most of the time."""
    some = tuple(steps)
    return (Part.of(some),) if some else ()


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
