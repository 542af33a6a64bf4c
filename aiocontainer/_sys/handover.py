"""A page of memory that a child shares with the process that is to send its listener.

After its filter is loaded a child may call nothing but execve(2), so it can tell nobody
that it has a listener. It leaves the number here; and since the kernel lets a robust
futex go when its owner executes or ends (get_robust_list(2)), whoever waits for that
futex is woken at the right moment, without a call of the child's and without polling.
"""

from __future__ import annotations

import errno
import os
import select
from ctypes import (
    Structure,
    addressof,
    byref,
    c_int,
    c_int32,
    c_int64,
    c_long,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)

from . import constants as c
from .libc import attempt, call, fail, syscall

_PAGE_BYTES = 4096
_PROT_READ_WRITE = 0x3
_MAP_SHARED_ANONYMOUS = 0x21

_FUTEX_WAIT = 0
_FUTEX_WAKE = 1
_WAITERS = 0x8000_0000
_OWNER_DIED = 0x4000_0000

_LOOK_NS = 20_000_000
"""How often the sender looks whether a child ended that hasn't got its futex yet."""


class _Robust(Structure):
    """``struct robust_list_head`` with a list of one entry, and the entry's futex."""

    _fields_ = (
        ("next", c_uint64),
        ("futex_offset", c_int64),
        ("pending", c_uint64),
        ("entry_next", c_uint64),
        ("futex", c_uint32),
    )


class _Page(Structure):
    _fields_ = (
        ("child", _Robust),
        ("sender", _Robust),
        ("pipe", c_int32),
        ("listener", c_int32),
        ("error", c_int32),
    )


_HEAD_BYTES = 24
_FUTEX_AT = 32
_mmap = syscall(c.number("mmap"), c_void_p, c_size_t, c_int, c_int, c_int, c_long)
_set_robust_list = syscall(c.number("set_robust_list"), c_void_p, c_size_t)
_futex = syscall(
    c.number("futex"), c_void_p, c_int, c_uint32, c_void_p, c_void_p, c_uint32
)


class Handover:
    """Shared by a child and its sender, which have one table of descriptors."""

    __slots__ = ("_page",)

    def __init__(self) -> None:
        """Made by the sender, before it clones the child. It is never unmapped: both
        are gone soon."""
        flags = _MAP_SHARED_ANONYMOUS
        at = call("mmap", _mmap, None, _PAGE_BYTES, _PROT_READ_WRITE, flags, -1, 0)
        self._page = _Page.from_address(at)
        self._page.listener = self._page.pipe = -1
        _own(self._page.sender)

    # -- the child's side --------------------------------------------------------------

    def enter(self) -> bool:
        """First of all: wait until the sender has done its part; False if it ended."""
        _own(self._page.child)
        _wake(self._page.child)
        sender = self._page.sender
        while (value := sender.futex) and not value & _OWNER_DIED:
            _wait(sender, value)
        return not value

    def leave(self, pipe: int, listener: int) -> None:
        """Say where init pipe and listener are, without a system call."""
        self._page.pipe = pipe
        self._page.listener = listener

    def fail(self, code: int) -> None:
        """Say that the exec was refused, and end, whatever the filter permits."""
        self._page.error = code
        os._exit(1)
        c_int.from_address(0).value = 0

    # -- the sender's side -------------------------------------------------------------

    def let_go(self, pidfd: int) -> bool:
        """Let the child begin, once its end can't be missed; False if it has ended.

        From then on all descriptors are the child's to open and close.
        """
        child = self._page.child
        while child.futex == 0:
            _wait(child, 0, _LOOK_NS)
            if child.futex == 0 and select.select((pidfd,), (), (), 0)[0]:
                return False
        self._page.sender.futex = 0
        _wake(self._page.sender)
        return True

    def await_exec(self) -> tuple[int, int, int]:
        """Wait until the child has executed its program, or has ended: (init pipe,
        listener or -1, errno of a refused exec or 0)."""
        page = self._page
        while not (value := page.child.futex) & _OWNER_DIED:
            _wait(page.child, value)
        return page.pipe, page.listener, page.error


def _own(robust: _Robust) -> None:
    """Take the futex, which the kernel lets go by our exec or end."""
    head = addressof(robust)
    robust.next, robust.entry_next = head + _HEAD_BYTES, head
    robust.futex_offset = _FUTEX_AT - _HEAD_BYTES
    call("set_robust_list", _set_robust_list, head, _HEAD_BYTES)
    robust.futex = os.getpid() | _WAITERS


def _wait(robust: _Robust, value: int, timeout_ns: int | None = None) -> None:
    """Sleep while the futex has this value; may wake for no reason."""
    at = addressof(robust) + _FUTEX_AT
    spec = None if timeout_ns is None else byref((c_int64 * 2)(0, timeout_ns))
    answer = attempt("futex", _futex, at, _FUTEX_WAIT, value, spec, None, 0)
    if answer < 0 and -answer not in (errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT):
        fail("futex", -answer)


def _wake(robust: _Robust) -> None:
    at = addressof(robust) + _FUTEX_AT
    call("futex", _futex, at, _FUTEX_WAKE, 1, None, None, 0)
