"""Filters with a listener: how that gets from a child, which may call nothing any more,
to the program.

The child is cloned by an intermediate that has the same table of descriptors and stays
until the child has executed its program. By then the table is its own, with the
listener in it.
"""

from __future__ import annotations

import errno
import os

from ..._sys.libc import call
from .. import init_pipe
from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from ..._sys.handover import Handover
    from ..._sys.seccomp import Filter
    from .child import Context


def execute(
    context: Context,
    handover: Handover,
    loaded: Filter | None,
    program: bytes | int,
    arguments: tuple[bytes, ...],
    env: Mapping[bytes, bytes],
) -> NoReturn:
    """Load the filter, leave the number of its listener, and be the program."""
    handover.leave(context.pipe, context.listener)
    if loaded is not None:
        handover.leave(context.pipe, loaded.load())
    try:
        call("execve", os.execve, program, arguments, env, path=arguments[0])
    except OSError as error:
        handover.fail(error.errno or errno.EIO)
    os._exit(1)


def send(
    handover: Handover, pidfd: int, steps: tuple[tuple[Any, ...], ...]
) -> NoReturn:
    """The intermediate's part: let the child begin, and send its listener once it has
    executed its program."""
    if not handover.let_go(pidfd):
        os._exit(0)
    pipe, listener, code = handover.await_exec()
    if code:
        name = steps[-1][1][0] if steps[-1][0] == "execute" else b""
        error = OSError(code, os.strerror(code), name)
        error.add_note("from execve(2)")
        wire.report(pipe, len(steps) - 1, error)
    elif listener >= 0:
        wire.send_descriptor(pipe, init_pipe.LISTENER, listener)
    os._exit(0)
