"""One system call that waits for an answer, and the answers there are."""

from __future__ import annotations

import errno
import os
import warnings
from dataclasses import dataclass
from typing import Final, TypeAlias

from .._sys import notifications
from ..plan.syscalls import call_name
from .listener import Listener

_READ_MOST: Final = 1 << 20
_PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Continue:
    """The kernel carries the call out as if nothing had been.

    No means of security: what the arguments point to may have been changed since the
    handler looked at it.
    """


@dataclass(frozen=True, slots=True)
class Errno:
    """The call fails with this number, as ``errno.EPERM``."""

    code: int


@dataclass(frozen=True, slots=True)
class Return:
    """The call isn't made, and returns this value."""

    value: int = 0


@dataclass(frozen=True, slots=True)
class AddFd:
    """The call isn't made, and returns a new descriptor of what ``fd`` is open on."""

    fd: int
    """A descriptor of this program, which stays its own."""
    close_on_exec: bool = True


Answer: TypeAlias = Continue | Errno | Return | AddFd


class SyscallCall:
    """One system call that waits for an answer; it gets exactly one.

    Whatever is read of its process's memory is looked at again afterwards: it counts
    only if the call still waits. Who drops it unanswered answers EPERM.
    """

    __slots__ = ("_answered", "_listener", "_notification", "architecture", "name")

    def __init__(
        self, listener: Listener, notification: notifications.Notification
    ) -> None:
        self._listener = listener
        self._notification = notification
        self._answered = False
        self.name, self.architecture = call_name(
            notification.number, notification.architecture
        )
        """Name of the call, as ``"mkdirat"``; and its entry, as ``"X86_64"``."""

    def __repr__(self) -> str:
        args = ", ".join(f"{arg:#x}" for arg in self.args)
        return f"<SyscallCall {self.name}({args}) pid={self.pid}>"

    @property
    def id(self) -> int:
        """The kernel's number for it, of no other call of this listener."""
        return self._notification.id

    @property
    def pid(self) -> int:
        """The thread that makes it, as this program sees it; 0 if it doesn't."""
        return self._notification.pid

    @property
    def number(self) -> int:
        """Number of the call, by its architecture."""
        return self._notification.number

    @property
    def args(self) -> tuple[int, ...]:
        """The six arguments, as unsigned numbers of 64 bits."""
        return self._notification.arguments

    @property
    def instruction_pointer(self) -> int:
        """Where in its program the call is made."""
        return self._notification.instruction_pointer

    @property
    def answered(self) -> bool:
        """It has had its answer."""
        return self._answered

    def is_waiting(self) -> bool:
        """Asked of the kernel: no signal has ended or interrupted it."""
        return not self._answered and self._listener.is_waiting(self.id)

    # -- its process's memory ----------------------------------------------------------

    async def read(self, address: int, size: int) -> bytes:
        """Read from the caller's memory.

        Args:
            address: where, as in `args`.
            size: how many bytes, at most 1 MiB.

        Raises:
            ProcessLookupError: the call waits no more.
            OSError: EFAULT: not all of it is there; EACCES: this user may not.
        """
        if not 0 <= size <= _READ_MOST:
            raise ValueError(f"size should be from 0 to {_READ_MOST}, not {size}")
        memory = self._open_memory(os.O_RDONLY)
        try:
            data = _pread(memory, address, size)
        finally:
            os.close(memory)
        self._check_waiting()
        if len(data) < size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return data

    async def read_string(self, address: int, limit: int = 4096) -> bytes:
        """Read bytes up to a NUL, which isn't returned.

        Raises:
            OSError: as `read`; ENAMETOOLONG: no NUL among the first ``limit`` bytes.
        """
        memory = self._open_memory(os.O_RDONLY)
        found = b""
        try:
            while b"\0" not in found and len(found) < limit:
                # Not over the end of a page: the next one may not be there.
                at = address + len(found)
                size = min(_PAGE_BYTES - at % _PAGE_BYTES, limit - len(found))
                data = _pread(memory, at, size)
                if not data:  # nothing is there, or the process has gone
                    self._check_waiting()
                    raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
                found += data
        finally:
            os.close(memory)
        self._check_waiting()
        text, end, _ = found.partition(b"\0")
        if not end:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return text

    async def read_path(self, address: int) -> str:
        """Read a path as the caller wrote it: it means what it does to the caller, in
        its mount namespace and below its working directory."""
        return os.fsdecode(await self.read_string(address))

    async def write(self, address: int, data: bytes) -> None:
        """Write to the caller's memory, what a call would have put there.

        Raises:
            ProcessLookupError: the call waits no more.
            OSError: as `read`.
        """
        memory = self._open_memory(os.O_RDWR)
        try:
            done = _pwrite(memory, address, data)
        finally:
            os.close(memory)
        if done < len(data):
            self._check_waiting()
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))

    def _open_memory(self, flags: int) -> int:
        if not self.pid:
            raise PermissionError(errno.EACCES, "the caller can't be seen from here")
        try:
            memory = os.open(f"/proc/{self.pid}/mem", flags | os.O_CLOEXEC)
        except OSError:
            self._check_waiting()  # the pid may be nobody's by now, or another's
            raise
        try:
            # The pid could be another's by now. If the call waits, it is this one's,
            # and so is the memory, which the descriptor holds on to.
            self._check_waiting()
        except BaseException:
            os.close(memory)
            raise
        return memory

    def _check_waiting(self) -> None:
        if not self.is_waiting():
            raise ProcessLookupError(errno.ESRCH, "the call waits no more")

    # -- answering ---------------------------------------------------------------------

    def allow(self) -> None:
        """See `Continue`. That the call waits no more is no error, here and below."""
        self._take()
        self._listener.let_continue(self.id)

    def deny(self, code: int = errno.EPERM) -> None:
        """See `Errno`."""
        if not 0 < code <= 4095:
            raise ValueError(f"no errno: {code}")
        self._take()
        self._listener.respond(self.id, 0, code)

    def answer(self, value: int = 0) -> None:
        """See `Return`."""
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"more than 64 bits: {value}")
        self._take()
        signed = value - 2**64 if value >= 2**63 else value
        self._listener.respond(self.id, signed, 0)

    async def add_fd(
        self, fd: int, *, number: int | None = None, close_on_exec: bool = True
    ) -> int:
        """Put a descriptor into the caller's table, and leave the call unanswered.

        Cancelled, it has got it or not.

        Returns:
            Its number there: ``number``, replacing what that was, or a free one.

        Raises:
            ProcessLookupError: the call waits no more.
            OSError: the caller can have no more (EMFILE).
        """
        made = await self._listener.add_descriptor(
            self.id, fd, number=number, close_on_exec=close_on_exec
        )
        if made is None:
            raise ProcessLookupError(errno.ESRCH, "the call waits no more")
        return made

    async def answer_fd(self, fd: int, *, close_on_exec: bool = True) -> None:
        """See `AddFd`. Where the caller can have no more, its call fails by EMFILE."""
        self._take()
        try:
            try:
                await self._listener.add_descriptor(
                    self.id, fd, close_on_exec=close_on_exec, answer=True
                )
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # Before Linux 5.14 these are two things.
                made = await self.add_fd(fd, close_on_exec=close_on_exec)
                self._listener.respond(self.id, made, 0)
        except OSError as error:
            self._listener.respond(self.id, 0, error.errno or errno.EIO)
            if error.errno not in (errno.EMFILE, errno.ESRCH):
                raise
        except BaseException:
            self._listener.respond(self.id, 0, errno.EPERM)
            raise

    async def give(self, answer: Answer) -> None:
        """Answer by a record."""
        match answer:
            case Continue():
                self.allow()
            case Errno(code):
                self.deny(code)
            case Return(value):
                self.answer(value)
            case AddFd(fd, close_on_exec):
                await self.answer_fd(fd, close_on_exec=close_on_exec)
            case _:
                raise TypeError(f"no answer to a system call: {answer!r}")

    def refuse(self) -> None:
        """Answer EPERM, if it has no answer yet."""
        if not self._answered:
            self.deny(errno.EPERM)

    def _take(self) -> None:
        if self._answered:
            raise RuntimeError(f"{self!r} has its answer already")
        self._answered = True

    def __del__(self) -> None:
        if not getattr(self, "_answered", True) and self._listener.is_open:
            warnings.warn(f"{self!r} was never answered", ResourceWarning, stacklevel=2)
            self.refuse()


def _in_memory(address: int) -> bool:
    return 0 <= address < 2**63


def _pread(memory: int, address: int, size: int) -> bytes:
    try:
        return os.pread(memory, size, address) if _in_memory(address) else b""
    except OSError as error:
        if error.errno == errno.EIO:  # /proc/<pid>/mem's word for it
            return b""
        raise


def _pwrite(memory: int, address: int, data: bytes) -> int:
    try:
        return os.pwrite(memory, data, address) if _in_memory(address) else 0
    except OSError as error:
        if error.errno == errno.EIO:
            return 0
        raise
