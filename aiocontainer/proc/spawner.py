"""The program's spawner: the one fork server that it has, and what that is told.

One spawner serves all event loops and threads of a program. It is started on first use
by posix_spawn (never fork: the program may have threads) from a sealed copy of the
interpreter, and started again if it was lost; containers don't depend on it to live.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import select
import signal
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .._sys import pidfd
from ..errors import SpawnerError
from .fork_server import Spawner

_STOP_S: Final = 15.0
"""Its janitor takes at most 10."""

keys = itertools.count(1)
"""Numbers for what the janitor is told about."""


@dataclass(slots=True)
class Watched:
    """What the spawner's janitor is to end and remove if the program is lost."""

    directories: tuple[str, ...] = ()
    pidfd: int | None = None
    will: tuple[tuple[Any, ...], ...] = ()
    """What is to be done to the network: see `proc.helper.network`."""
    sockets: tuple[int, ...] = ()
    """Descriptors that the will speaks of, or that are to be held till the end."""


_lock = threading.Lock()
_current: Spawner | None = None
_watched: dict[int, Watched] = {}
_stale: list[int] = []
_MOST_STALE: Final = 32


def current() -> Spawner:
    """The program's spawner, started if there is none (about 5 ms; it is ready for work
    30 ms later).

    Raises:
        SpawnerError: it couldn't be started.
    """
    global _current
    with _lock:
        if _current is None:
            _current = Spawner()
            for key, watched in tuple(_watched.items()):  # a successor knows them too
                _tell(_current, key, watched)
        return _current


def peek() -> Spawner | None:
    """The program's spawner if there is one."""
    return _current


def lost(spawner: Spawner) -> SpawnerError:
    """Take note that ``spawner`` is gone; the next `current` starts another."""
    global _current
    with _lock:
        if _current is spawner:
            _current = None
            words = spawner.last_words()
            spawner.end()
            spawner.close()
            return SpawnerError(
                "the spawner was lost" + (f": {words}" if words else "")
            )
    return SpawnerError("the spawner was lost")


async def watch_directories(key: int, directories: Iterable[str]) -> None:
    """Have cgroups removed, with all in them, if the program is lost.

    Called *before* they are made. Cancelled or failed, `forget` it.

    Raises:
        SpawnerError: there is no spawner to be had.
    """
    watched = _watched.setdefault(key, Watched())
    addition = tuple(directories)
    watched.directories += addition
    stale = _take_stale()
    try:
        await send(("watch", key, addition, stale), ())
    except BaseException:
        _stale.extend(stale)
        raise


async def remove_if_empty(parents: Iterable[str]) -> None:
    """Have cgroups removed at the end of the program, lost or not, if nothing is in
    them by then.

    Raises:
        SpawnerError: there is no spawner to be had.
    """
    await watch_directories(next(keys), [parent + "/" for parent in parents])


def watch_process(key: int, pidfd: int) -> None:
    """Have a successor of the spawner know a process: the present one cloned it."""
    _watched[key] = Watched(pidfd=pidfd)


async def bequeath(
    key: int, will: tuple[tuple[Any, ...], ...], sockets: tuple[int, ...]
) -> None:
    """Have something done to the network if the program is lost, and these sockets
    stay open until then; in place of what was said before. The sockets stay the
    caller's, who closes them after `forget`.

    Raises:
        SpawnerError: there is no spawner to be had.
    """
    _watched[key] = Watched(will=will, sockets=sockets)
    await send(("inherit", key, will), sockets)


def adopt(key: int, pidfd: int) -> None:
    """Have the janitor end a process that an intermediate has cloned: the spawner knows
    only of its own."""
    spawner = _current
    if spawner is not None:
        _tell(spawner, key, Watched(pidfd=pidfd))


def _tell(spawner: Spawner, key: int, watched: Watched) -> None:
    descriptors = () if watched.pidfd is None else (watched.pidfd,)
    try:
        if watched.will or watched.sockets:
            request = ("inherit", key, watched.will)
            spawner.send_patiently(request, watched.sockets)
            return
        spawner.send_patiently(("watch", key, watched.directories, ()), descriptors)
    except OSError:
        return  # it is lost already: whoever uses it next finds out


def forget(key: int, *, at_once: bool = False) -> None:
    """The program has seen to this itself.

    The spawner is told with the next request, unless ``at_once``: a datagram for each
    process would cost both sides more than the end of the process itself.
    """
    _watched.pop(key, None)
    _stale.append(key)
    if at_once or len(_stale) > _MOST_STALE:
        flush()


async def let_live(*keys: int) -> None:
    """Have what is known by these keys live on without this program.

    Unlike with `forget`, on return the spawner is sure to know.

    Raises:
        SpawnerError: there is no spawner to be had.
    """
    for key in keys:
        _watched.pop(key, None)
    await send(("forget", keys), ())


def flush() -> None:
    """Tell the spawner now what it can forget."""
    if _current is None or not _stale:
        return
    keys = _take_stale()
    try:
        _current.send(("forget", keys))
    except BlockingIOError:
        _stale.extend(keys)
    except OSError:
        return  # it is gone, and its memory with it


def _take_stale() -> tuple[int, ...]:
    keys = tuple(_stale)
    del _stale[: len(keys)]
    return keys


async def send(request: tuple[Any, ...], descriptors: Sequence[int]) -> Spawner:
    """Hand a request to the spawner, starting it (again) if need be; which one it was.

    Cancelled while waiting, nothing has been sent.

    Raises:
        SpawnerError: there is no spawner to be had.
    """
    for _ in range(2):
        spawner = current()
        try:
            while True:
                try:
                    spawner.send(request, descriptors)
                except BlockingIOError:
                    await spawner.writable()
                else:
                    return spawner
        except ConnectionError:
            error = lost(spawner)
    raise error


def _after_fork() -> None:
    """A forked child of the program has no spawner, and isn't to keep ours alive."""
    global _current, _lock
    _lock = threading.Lock()
    spawner, _current = _current, None
    _watched.clear()
    _stale.clear()
    if spawner is not None:
        spawner.close()


def stop() -> None:
    """End the spawner and reap it, blocking: for a command that is done.

    Its parent might not expect a child of ours. What isn't to live on is ended first.
    """
    global _current
    with _lock:
        spawner, _current = _current, None
    if spawner is None:
        return
    own = os.dup(spawner.pidfd)
    spawner.close()
    try:
        select.select([own], [], [], _STOP_S)
        pidfd.send_signal(own, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, own, os.WEXITED)
    finally:
        os.close(own)


def _at_exit() -> None:
    """Let the spawner see to what the program leaves, and no socket be left to the
    interpreter, which would complain."""
    global _current
    with _lock:
        spawner, _current = _current, None
    if spawner is not None:
        spawner.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
