"""Making, listing and removing cgroup directories; the same in every hierarchy."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import anyio

from .._sys.libc import call
from ..errors import CgroupBusy, CgroupError
from .files import read_pids

__all__ = (
    "is_refusal",
    "kill_listed",
    "kill_until_none",
    "make",
    "members",
    "prune",
    "remove_all",
    "remove_soon",
    "translated",
    "unmake",
    "wait_changed",
    "wait_empty",
    "walk",
)

_GONE: Final = frozenset({errno.ENOENT, errno.ENODEV})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def is_refusal(error: CgroupError) -> bool:
    """Whether this user or mount may not do it, rather than it being wrong."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _REFUSED


def make(
    directory: str,
    *,
    parents: int = 0,
    prepare: Callable[[str], None] | None = None,
    made: list[str] | None = None,
) -> None:
    """Make one cgroup.

    Args:
        directory: what to make.
        parents: how many of the directories above it may be made too. Never more than
            belong to us: where a hierarchy is not mounted, nothing is to be made.
        prepare: called with each of those that was made.
        made: gets those that were made, outer ones first.

    Raises:
        CgroupError: with the ``OSError`` as its cause.
    """
    # Another program may remove a shared parent that is empty at this moment.
    for _ in range(8):
        try:
            call("mkdir", os.mkdir, directory, 0o755)
        except FileNotFoundError as error:
            if not parents:
                raise cgroup_error(directory, error) from error
            _make_parent(directory.rpartition("/")[0], parents - 1, prepare, made)
        except OSError as error:
            raise cgroup_error(directory, error) from error
        else:
            return
    raise CgroupError(directory, "its parent is removed again and again")


def _make_parent(
    directory: str,
    parents: int,
    prepare: Callable[[str], None] | None,
    made: list[str] | None,
) -> None:
    try:
        make(directory, parents=parents, prepare=prepare, made=made)
        if made is not None:
            made.append(directory)
    except CgroupError as error:
        # Made by another program meanwhile, which also prepares it.
        if not isinstance(error.__cause__, FileExistsError):
            raise
    if prepare is None:
        return
    try:
        prepare(directory)
    except CgroupError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _GONE:
            raise  # else it was removed again, and is made again


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Make a `CgroupError` of an ``OSError`` from within the block.

    Raises:
        CgroupError: about the file that the ``OSError`` names, else about ``path``.
    """
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else path
        raise cgroup_error(named, error) from error


def cgroup_error(path: str, error: OSError) -> CgroupError:
    """What is to be raised ``from error``."""
    return CgroupError(path, _REASONS.get(error.errno or 0, error.strerror or "?"))


_REASONS: Final = {
    errno.EEXIST: "a cgroup of this name exists already",
    errno.EROFS: "the cgroup file system is mounted read-only",
    errno.EACCES: "not permitted; this user has no delegated cgroup here",
    errno.EPERM: "not permitted",
    errno.EAGAIN: "the limit on the number of cgroups is reached",
    errno.ENODEV: "the cgroup is gone",
    errno.ENOENT: "no such file or cgroup",
}


def unmake(directories: Iterable[str], error: BaseException) -> None:
    """Remove what a failed `make` had made; a failure of that is noted on ``error``."""
    for directory in directories:
        try:
            call("rmdir", os.rmdir, directory)
        except OSError as second:
            if second.errno not in _GONE:
                error.add_note(f"and could not remove {directory}: {second.strerror}")


def prune(directories: Iterable[str]) -> None:
    """Remove those cgroups, given inner ones first, in which nothing is left.

    Who makes a cgroup in one at this moment is safe: either the kernel says "busy"
    here, or there "no such directory", and that `make` tries again.
    """
    for directory in directories:
        with contextlib.suppress(OSError):
            call("rmdir", os.rmdir, directory)


def walk(directory: str) -> Iterator[str]:
    """The cgroup and all below it, inner ones first. Nothing once it is gone."""
    try:
        for path in _inner(directory):
            yield from walk(path)
    except OSError as error:
        if error.errno in _GONE:
            return
        raise
    yield directory


def _inner(directory: str) -> list[str]:
    # One link from above, one by itself, and one from each directory inside: without
    # any, there is no need to list the many files.
    if os.stat(directory).st_nlink == 2:
        return []
    with os.scandir(directory) as entries:
        return [e.path for e in entries if e.is_dir(follow_symlinks=False)]


def members(directory: str, *, recursive: bool) -> list[int]:
    """Pids in a cgroup, each once; empty once it is gone."""
    found: dict[int, None] = {}
    for path in walk(directory) if recursive else (directory,):
        try:
            found.update(dict.fromkeys(read_pids(path + "/cgroup.procs")))
        except OSError as error:
            # A threaded cgroup has no processes of its own: its domain lists them.
            if error.errno not in _GONE and error.errno != errno.EOPNOTSUPP:
                raise
    return list(found)


def remove_all(directories: Iterable[str]) -> list[str]:
    """Remove empty cgroups, given inner ones first; return those that are busy.

    Raises:
        CgroupError: the kernel refused for another reason than use or absence.
    """
    busy = []
    for directory in directories:
        try:
            call("rmdir", os.rmdir, directory)
        except OSError as error:
            if error.errno == errno.EBUSY:
                busy.append(directory)
            elif error.errno not in _GONE:
                raise cgroup_error(directory, error) from error
    return busy


async def remove_soon(directories: Sequence[str], timeout_s: float) -> None:
    """Remove cgroups and all inside them, inner ones first, trying for a while.

    The last process of a cgroup may still be on its way out after its parent has been
    told of its end, so "busy" is no final answer.

    Raises:
        CgroupBusy: they are still in use after ``timeout_s``; the pids are named.
    """
    busy = remove_all(directories)
    if not busy:
        return
    due = time.monotonic() + timeout_s
    pause = 0.0005
    while busy := [top for top in busy if remove_all(walk(top))]:
        if time.monotonic() >= due:
            raise CgroupBusy(busy[0], _who_is_in(busy))
        await anyio.sleep(pause)
        pause = min(pause * 2, 0.1)


def _who_is_in(directories: Sequence[str]) -> str:
    pids = sorted({p for d in directories for p in members(d, recursive=True)})
    return f"still in use by processes {pids}" if pids else "still in use"


def kill_listed(list_pids: Callable[[], list[int]]) -> bool:
    """Send SIGKILL to the processes that ``list_pids`` names, and to no others.

    A pid may be given to another process between reading and killing. So each is
    opened first, and only those that are listed once more are signalled: had the
    number passed to a stranger before it was opened, it would not be listed now.

    Returns:
        Whether any was there.
    """
    opened: dict[int, int] = {}
    try:
        for pid in list_pids():
            try:
                opened[pid] = call("pidfd_open", os.pidfd_open, pid)
            except ProcessLookupError:
                continue
        listed = frozenset(list_pids())
        for pid, fd in opened.items():
            if pid in listed:
                _kill(fd)
        return bool(opened)
    finally:
        for fd in opened.values():
            os.close(fd)


def kill_until_none(list_pids: Callable[[], list[int]]) -> None:
    """Kill again and again until no new process is listed, within bounds.

    For kernels that can neither kill nor hold still a cgroup as a whole.
    """
    known: frozenset[int] = frozenset()
    for _ in range(64):
        kill_listed(list_pids)
        left = frozenset(list_pids())
        if left <= known:  # only those that are dying already
            return
        known = left


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        call("pidfd_send_signal", signal.pidfd_send_signal, pidfd, signal.SIGKILL)


async def wait_changed(path: str, done: Callable[[str], bool]) -> None:
    """Wait until the text of a cgroup event file satisfies ``done``, or it is gone.

    kernfs files are always readable, and tell of a change by ``POLLPRI`` only, which
    event loops don't ask for: an epoll of our own does, and is itself readable then.
    """
    try:
        fd = call("open", os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with select.epoll(1) as events:
            events.register(fd, select.EPOLLPRI | select.EPOLLET)
            # Read after registering: each read arms the next notification.
            while not done(os.pread(fd, 4096, 0).decode()):
                await anyio.wait_readable(events.fileno())
                events.poll(0)
    except OSError as error:
        if error.errno not in _GONE:
            raise
    finally:
        os.close(fd)


async def wait_empty(
    path: str,
    pids: Callable[[], list[int]],
    unified: str | None,
    timeout_s: float,
) -> None:
    """Wait until no process is left, by the kernel's word where there is a cgroup2
    directory, else by looking again at growing intervals.

    Raises:
        CgroupBusy: some are left after ``timeout_s``.
    """
    with anyio.move_on_after(timeout_s):
        if unified is not None:
            events = unified + "/cgroup.events"
            await wait_changed(events, lambda text: "populated 0" in text)
        pause = 0.0005
        while pids():
            await anyio.sleep(pause)
            pause = min(pause * 2, 0.05)
        return
    raise CgroupBusy(path, f"still in use by processes {pids()}")
