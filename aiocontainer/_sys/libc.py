"""The one door to the kernel: every call of ours goes through `call`.

Calls that ``os`` lacks are made with ctypes. Each has its prototype fixed once, at
import, because a ctypes function is shared by the whole process.

The helper is forked for every container and pays for each page it has: nothing in this
package imports ``typing``, ``enum`` or ``dataclasses`` (3 MB together).
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypeAlias

    Path: TypeAlias = str | bytes | os.PathLike[str]

_libc = ctypes.CDLL(None, use_errno=True)
# PyDLL keeps the GIL held: only for clone3, whose child must find it in a known state.
_libc_holding_gil = ctypes.PyDLL(None, use_errno=True)

fault: Callable[[str], None] | None = None
"""Test hook: called with the name of each kernel call before it is made. It may raise
the ``OSError`` that the kernel is to be said to have answered, or end the process."""


def call(name: str, function: Callable[..., Any], *args: Any, path: Any = None) -> Any:
    """Make one kernel call by ``function``, which is ours (ctypes) or from ``os``.

    Raises:
        OSError: the kernel refused. Its class follows ``errno`` (``PermissionError``
            and so on); ``filename`` is ``path``, and a note names the call.
    """
    try:
        if fault is not None:
            fault(name)
        result = function(*args)
    except OSError as error:
        if path is not None and error.filename is None:
            error.filename = path
        error.add_note(f"from {name}(2)")
        raise
    if result == -1:
        fail(name, ctypes.get_errno(), path)
    return result


def attempt(name: str, function: Callable[..., int], *args: Any) -> int:
    """Like `call` with one of our own functions, but a refusal is the negative errno.

    For what is expected to fail: making and catching an exception takes 20 µs in a
    freshly forked process, a system call 2.
    """
    if fault is not None:
        try:
            fault(name)
        except OSError as error:
            return -(error.errno or errno.EIO)
    result = function(*args)
    return -ctypes.get_errno() if result == -1 else result


def fail(name: str, code: int, path: Any = None) -> NoReturn:
    """Raise the ``OSError`` of ``code``, with a note that names the call."""
    error = OSError(code, os.strerror(code), path)
    error.add_note(f"from {name}(2)")
    raise error


def syscall(number: int, *argtypes: Any, hold_gil: bool = False) -> Callable[..., int]:
    """A system call that the C library may not wrap, by number.

    Each gets a function object of its own (``libc["syscall"]`` makes a new one), so
    prototypes never meet.
    """
    function = (_libc_holding_gil if hold_gil else _libc)["syscall"]
    function.argtypes = (c_long, *argtypes)
    function.restype = c_long
    return lambda *args: function(number, *args)


def function(name: str, *argtypes: Any) -> Callable[..., int]:
    """A function of the C library that answers an ``int`` and sets ``errno``."""
    found = _libc[name]
    found.argtypes = argtypes
    found.restype = ctypes.c_int
    return found
