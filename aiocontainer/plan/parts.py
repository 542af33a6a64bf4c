"""What a plan is made of, and the memory of those that were compiled."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Self, TypeVar

from . import steps as s

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
    map_commands: tuple[tuple[bytes, ...], ...] = ()
    """Programs that write the id maps instead: (path, arguments after the pid...)."""
    unprivileged: bool = False
    """The spawner may write these files as their owner only: see there."""
    listens: bool = False
    """The filter has a listener, which is to be sent."""
    gated: bool = False
    """The child waits at a gate, and who opens that gets the listener."""
    tunings: tuple[tuple[Any, ...], ...] = ()
    """Done to the child by the spawner: what takes the host's own capabilities, for who
    is born in a user namespace. See `aiocontainer.proc.helper.scheduling.tune`."""
    time_offsets: bytes | None = None
    """Of a new time namespace that the spawner makes for the child, in the form of
    time_namespaces(7)."""

    host_steps: tuple[s.Step, ...] = ()
    """Done with the program's rights by an intermediate process, for a child that has
    fewer."""

    @property
    def host_wire(self) -> tuple[Any, ...]:
        """Those steps in the form that the helper takes."""
        return tuple(step.wire() for step in self.host_steps)

    def step(self, index: int) -> s.Step | None:
        """The step that the helper reports by this number; None for none of them."""
        if index < -1:
            return (
                self.host_steps[-2 - index]
                if -index - 2 < len(self.host_steps)
                else None
            )
        return self.steps[index] if 0 <= index < len(self.steps) else None

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
        for path, *words in self.map_commands:
            lines.append(b" ".join((path, b"<child>", *words)).decode())
        for name, *_ in self.tunings:
            lines.append(f"<child>: set the {name.replace('_', ' ')}")
        if self.time_offsets is not None:
            offsets = self.time_offsets.decode().replace("\n", ", ").rstrip(", ")
            lines.append(f"<child>: born in a new time namespace {offsets}".rstrip())
        lines += [f"on the host: {step.title}" for step in self.host_steps]
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
    gate: int | None = None
    """Index of the listening socket that it waits behind, to be started by others."""
    notify: bytes | None = None
    """Where its notification socket is made, in the container."""
    listens: int = 0
    """How many of its descriptors, from 3 on, are for sd_listen_fds(3)."""
    listen_names: bytes | None = None


_K = TypeVar("_K")
_V = TypeVar("_V")


def remembered(compile_it: Callable[[_K], _V]) -> Callable[[_K], _V]:
    """Keep the last answers, told apart by the very object: to hash or compare a config
    would take as long as to compile it. The object is kept too, and so its id."""
    kept: OrderedDict[int, tuple[_K, _V]] = OrderedDict()

    @functools.wraps(compile_it)
    def remember(source: _K) -> _V:
        found = kept.get(id(source))
        if found is None:
            found = kept[id(source)] = (source, compile_it(source))
            if len(kept) > _REMEMBERED:
                with contextlib.suppress(KeyError):  # another thread was faster
                    kept.popitem(last=False)
        return found[1]

    return remember
