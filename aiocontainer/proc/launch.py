"""From "run this" to a child of the helper: what to pass, and into which cgroup."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
import anyio.lowlevel

from .._sys import pidfd as sys_pidfd
from ..cgroups import Cgroup, Entry
from ..config import ProcessSettings
from ..errors import CgroupError, ConfigError
from ..plan.compile import Plan, Program
from . import handshake
from .listen import ListenFds, ListenSources, checked_listen_fds
from .result import Usage
from .stdio import Stdio

Arg: TypeAlias = "str | bytes | os.PathLike[str]"
"""One argument of a program."""


@dataclass(frozen=True, slots=True)
class Request:
    """A program to be run, checked."""

    args: tuple[Arg, ...] | None
    """``None`` is the built-in init."""
    settings: ProcessSettings
    terminal: tuple[int, int] | None = None
    """(rows, columns); 0 for the kernel's default."""
    pass_fds: tuple[int, ...] = ()
    gate: int | None = None
    """The listening socket that it is to wait behind."""
    listen: ListenFds = ListenFds()
    notify: bool = False
    """It gets a notification socket."""
    entry: Entry | None = None
    """The way into a cgroup that is there, for who gets none of its own."""

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments as text."""
        return tuple(map(os.fsdecode, self.args or ("init",)))

    def program(
        self, stdio: Stdio, root_owner: tuple[int, int] | None
    ) -> tuple[Program, list[int]]:
        """What the plan has to know, and the descriptors that its indexes mean.

        Index 0 is the init pipe, which the handshake adds. The program's pipes are
        given to ``root_owner``, the root of its user namespace: from inside, nobody may
        change what belongs to an id that isn't mapped.
        """
        sources = dict(enumerate(stdio.child or ()))
        own = tuple(n + 1 for n in sources if stdio.is_pipe(n))
        if self.terminal is not None:
            own = (0,)
        sources.update(enumerate(self.listen.numbers, start=3))
        sources.update((number, number) for number in self.pass_fds)
        if root_owner is not None and stdio.child is not None:
            for index in own:
                # Without privileges it is ours already, or the child tries to.
                with contextlib.suppress(PermissionError):
                    os.fchown(stdio.child[index - 1], *root_owner)
        passed = tuple((n, index) for index, n in enumerate(sources, start=1))
        numbers = list(sources.values())
        at: int | None = None
        if self.gate is not None:
            numbers.append(self.gate)
            at = len(numbers)
        notify = f"/dev/notify-{os.urandom(6).hex()}".encode() if self.notify else None
        count, names = len(self.listen.numbers), self.listen.names
        program = Program(
            self.args, passed, own, self.terminal, at, notify, count, names
        )
        return program, numbers


def checked(
    args: Sequence[Arg],
    settings: ProcessSettings,
    terminal: bool | tuple[int, int],
    pass_fds: Sequence[int],
    listen_fds: ListenSources = (),
    notify: bool = False,
    entry: Entry | None = None,
) -> Request:
    """A request whose every part can be used.

    Raises:
        ConfigError: naming the argument.
    """
    if isinstance(args, str | bytes) or not args:
        raise ConfigError("args", "should be a program and its arguments, in a list")
    for index, arg in enumerate(args):
        _check_arg(f"args[{index}]", arg)
    if not os.fsencode(args[0]):
        raise ConfigError("args[0]", "is empty")
    for index, number in enumerate(pass_fds):
        _check_passed(f"pass_fds[{index}]", number)
    size = _checked_size(terminal)
    listen = checked_listen_fds(listen_fds, pass_fds)
    return Request(
        tuple(args),
        settings,
        size,
        tuple(pass_fds),
        listen=listen,
        notify=notify,
        entry=entry,
    )


def _checked_size(terminal: bool | tuple[int, int]) -> tuple[int, int] | None:
    if isinstance(terminal, bool):
        return (0, 0) if terminal else None
    try:
        rows, columns = terminal
        if 0 <= rows <= 0xFFFF and 0 <= columns <= 0xFFFF:
            return int(rows), int(columns)
    except (TypeError, ValueError):
        pass
    raise ConfigError("terminal", "should be rows and columns, from 0 to 65535")


def _check_arg(field: str, arg: Arg) -> None:
    try:
        encoded = os.fsencode(arg)
    except (TypeError, UnicodeEncodeError) as error:
        raise ConfigError(field, f"can't be passed: {error}") from None
    if b"\0" in encoded:
        raise ConfigError(field, "contains a NUL")


def _check_passed(field: str, number: int) -> None:
    if not isinstance(number, int) or number < 3:
        raise ConfigError(field, "should be a descriptor number from 3 on")
    try:
        fcntl.fcntl(number, fcntl.F_GETFD)
    except (OSError, OverflowError):
        raise ConfigError(field, f"descriptor {number} is not open") from None


_STARTS_AT_ONCE: Final = max(8, 2 * (os.cpu_count() or 1))
_slots: Final = anyio.lowlevel.RunVar[anyio.CapacityLimiter]("aiocontainer.starts")


def start_slots() -> anyio.CapacityLimiter:
    """How many starts may be in progress on this event loop; ``async with`` it.

    A start takes half a millisecond of the loop's time. Were hundreds of them ready at
    once, the loop would do them all before it looked at anything else, and the cores
    are busy with fewer.
    """
    limiter = _slots.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_STARTS_AT_ONCE)
        _slots.set(limiter)
    return limiter


async def launch(
    key: int,
    plan: Plan,
    descriptors: list[int],
    entry: Entry,
    stops: Mapping[bytes, handshake.Stop] = handshake.NO_STOPS,
    *,
    more_files: tuple[str, ...] = (),
) -> handshake.Child:
    """Have the plan carried out, in a cgroup. The child also writes "0" to
    ``more_files``. Cancellation and errors: `handshake`."""
    join_files = entry.join_files + more_files
    if entry.clone_directory is None:
        return await handshake.start(
            key, plan, descriptors, join_files=join_files, stops=stops
        )
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    directory = os.open(entry.clone_directory, flags)
    try:
        return await handshake.start(
            key,
            plan,
            [*descriptors, directory],
            join_files=join_files,
            cgroup=(1 + len(descriptors), entry.clone_fallback),
            stops=stops,
        )
    finally:
        os.close(directory)


def usage_of(ended: sys_pidfd.Exit, wall_s: float, cgroup: Cgroup | None) -> Usage:
    """What a process used, by its cgroup where there is one, else by the kernel's
    ``rusage`` of it and the children it waited for."""
    counted = None
    if cgroup is not None:
        with contextlib.suppress(CgroupError):  # removed by somebody: no reason to fail
            counted = cgroup.usage()
    if counted is None:
        return Usage(wall_s, ended.user_s, ended.system_s, ended.peak_rss_bytes)
    exact = counted.cpu_user_s is not None and counted.cpu_system_s is not None
    return Usage(
        wall_s,
        counted.cpu_user_s if exact else ended.user_s,  # type: ignore[arg-type]
        counted.cpu_system_s if exact else ended.system_s,  # type: ignore[arg-type]
        counted.memory_peak_bytes or ended.peak_rss_bytes,
        counted.swap_peak_bytes,
        counted.io_read_bytes,
        counted.io_write_bytes,
        counted.throttled_periods,
        counted.throttled_s,
        counted.oom_kills,
        counted.pids_peak,
    )
