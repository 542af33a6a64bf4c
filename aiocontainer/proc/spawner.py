"""The program's side of the fork server: starting it, and handing it requests.

One spawner serves all event loops and threads of a program. It is started on first use
by posix_spawn (never fork: the program may have threads) from a sealed copy of the
interpreter, and started again if it was lost; containers don't depend on it to live.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import importlib.util
import itertools
import marshal
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio

from .._sys import constants as c
from .._sys import mounts, pidfd
from ..errors import SpawnerError
from . import init_pipe
from .helper.init_program import create_memfd, seal

_CONTROL: Final = 3  # proc.helper.server.CONTROL
_BOOT: Final = (
    "import sys; sys.path += {paths!r}\n"
    "from aiocontainer.proc.helper.server import main; main({program})"
)
_SEND_BUFFER_BYTES: Final = 1 << 20
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


class Spawner:
    """A running fork server. Use `current`."""

    def __init__(self) -> None:
        self.pid = 0
        self.pidfd = self._words = -1
        try:
            self._control, theirs = socket.socketpair(
                socket.AF_UNIX, socket.SOCK_SEQPACKET
            )
            with theirs:
                self._start(theirs.fileno())
        except OSError as error:
            reason = f"could not start the spawner: {error.strerror}"
            raise SpawnerError(reason) from error

    def _start(self, theirs: int) -> None:
        try:
            self._control.setblocking(False)
            self._control.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES
            )
            self._words = os.memfd_create("aiocontainer-spawner-stderr", os.MFD_CLOEXEC)
            self.pid = _spawn(theirs, self._words)
            self.pidfd = os.pidfd_open(self.pid)
        except BaseException:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.close()
            raise

    def send(self, request: tuple[Any, ...], descriptors: Sequence[int] = ()) -> None:
        """Hand over one request, without waiting.

        Raises:
            BlockingIOError: too many requests wait already.
            ConnectionError: the spawner is gone.
        """
        data = marshal.dumps(request)
        if len(data) <= init_pipe.INLINE_REQUEST:
            self._send(data, descriptors)
            return
        memfd = os.memfd_create("aiocontainer-request", os.MFD_CLOEXEC)
        try:
            os.write(memfd, data)
            self._send(marshal.dumps(("memfd",)), (*descriptors, memfd))
        finally:
            os.close(memfd)

    def send_patiently(
        self, request: tuple[Any, ...], descriptors: Sequence[int]
    ) -> None:
        """Hand over one request, blocking while there is no room for it.

        For what a new spawner is told before anybody waits for it.
        """
        poll = select.poll()
        poll.register(self._control, select.POLLOUT)
        while True:
            try:
                return self.send(request, descriptors)
            except BlockingIOError:
                poll.poll()

    def _send(self, data: bytes, descriptors: Sequence[int]) -> None:
        ancillary = []
        if descriptors:
            rights = array.array("i", descriptors)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        self._control.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)

    async def writable(self) -> None:
        """Wait until another request may fit."""
        # A duplicate: several tasks may wait, on loops of several threads.
        duplicate = self._control.dup()
        try:
            await anyio.wait_writable(duplicate)
        finally:
            duplicate.close()

    async def has_ended(self) -> bool:
        """Whether it has ended, or does so within a second."""
        if self.pidfd < 0:
            return True
        duplicate = os.dup(self.pidfd)  # several tasks may ask
        try:
            with anyio.move_on_after(1.0):
                await anyio.wait_readable(duplicate)
        finally:
            os.close(duplicate)
        return self.pidfd < 0 or pidfd.has_ended(self.pidfd)

    def last_words(self) -> str:
        """What it wrote to stderr, at most 4 KiB; empty if all is well."""
        return os.pread(self._words, 4096, 0).decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Let it go: without a program it ends by itself."""
        self._control.close()
        numbers = (self._words, self.pidfd)
        self._words = self.pidfd = -1
        for number in numbers:
            if number >= 0:
                os.close(number)

    def end(self) -> None:
        """Reap it. It closes its socket an instant before it has ended."""
        pidfd.send_signal(self.pidfd, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)


def _spawn(control: int, words: int) -> int:
    executable, sealed = _sealed_interpreter()
    numbers = [sealed, control, words]
    moved: list[int] = []
    try:
        for number in numbers:  # out of the way of the numbers they are to get
            duplicate = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10)
            moved.append(duplicate)
        program, theirs, stderr = moved
        null = os.devnull
        actions = (
            (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
            (os.POSIX_SPAWN_DUP2, theirs, _CONTROL),
        )
        boot = _BOOT.format(paths=_import_paths(), program=os.getpid())
        return os.posix_spawn(
            f"/proc/self/fd/{program}",
            [executable, "-I", "-S", "-c", boot],
            _environment(),
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    finally:
        os.close(sealed)
        for number in moved:
            os.close(number)


def _environment() -> dict[str, str]:
    """Nothing of the program's but what its interpreter may need to load at all."""
    path = os.environ.get("LD_LIBRARY_PATH")
    return {} if path is None else {"LD_LIBRARY_PATH": path}


# Looked up now and not at first use: by then the program may stand in a directory that
# others can write to, with "" in its sys.path.
_PRCTL: Final = importlib.util.find_spec("_prctl")


def _import_paths() -> list[str]:
    """Where this package and python-prctl are; after the standard library's places."""
    if _PRCTL is None or _PRCTL.origin is None:
        raise SpawnerError("python-prctl is not installed")
    package = os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    )
    return list(dict.fromkeys((package, os.path.dirname(_PRCTL.origin))))


def _sealed_interpreter() -> tuple[str, int]:
    """(path, descriptor) of an interpreter that nobody can write to.

    A container process can reach the executable of a process that enters its
    namespaces, and overwrite it (CVE-2019-5736): that must not be the host's Python.
    """
    executable = sys.executable
    if not executable or not os.path.isabs(executable):
        raise SpawnerError("sys.executable doesn't name an interpreter")
    try:
        return executable, _sealed_copy(executable)
    except OSError as first:
        try:
            return executable, _readonly_mount(executable)
        except OSError as second:
            raise SpawnerError(
                "the interpreter can be neither sealed nor mounted read-only: "
                f"{first.strerror}; {second.strerror}"
            ) from second


def _sealed_copy(executable: str) -> int:
    memfd = create_memfd("aiocontainer-python")
    try:
        with open(executable, "rb", buffering=0) as source:
            while os.sendfile(memfd, source.fileno(), None, 1 << 30):
                pass
        seal(memfd)
        # Only a read-only description can be executed while it is open.
        return os.open(f"/proc/self/fd/{memfd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(memfd)


def _readonly_mount(executable: str) -> int:
    tree = mounts.clone_tree_at(os.fsencode(os.path.realpath(executable)))
    try:
        mounts.set_attributes(tree, c.MOUNT_ATTR_RDONLY)
    except BaseException:
        os.close(tree)
        raise
    return tree


# -- the one spawner of this program ---------------------------------------------------

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
