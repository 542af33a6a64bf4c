"""The fork server as a process: a sealed interpreter, started, spoken to, ended."""

from __future__ import annotations

import array
import contextlib
import fcntl
import importlib.util
import marshal
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
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


class Spawner:
    """A running fork server. A program has one: see `aiocontainer.proc.spawner`."""

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
        boot = _BOOT.format(paths=import_paths(), program=os.getpid())
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


def import_paths() -> list[str]:
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
        return executable, sealed_copy(executable)
    except OSError as first:
        try:
            return executable, readonly_mount(executable)
        except OSError as second:
            raise SpawnerError(
                "the interpreter can be neither sealed nor mounted read-only: "
                f"{first.strerror}; {second.strerror}"
            ) from second


def sealed_copy(executable: str) -> int:
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


def readonly_mount(executable: str) -> int:
    tree = mounts.clone_tree_at(os.fsencode(os.path.realpath(executable)))
    try:
        mounts.set_attributes(tree, c.MOUNT_ATTR_RDONLY)
    except BaseException:
        os.close(tree)
        raise
    return tree
