"""Steps of a short-lived child that answers a system call of a container."""

from __future__ import annotations

import os

from ..._sys import seccomp
from ..._sys.libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def add_descriptor(
    context: Context,
    listener: int,
    source: int,
    report: int,
    notification: int,
    number: int,
    close_on_exec: bool,
    answer: bool,
) -> None:
    """Wait here, and not in the program's event loop, until the caller has taken it."""
    made = seccomp.add_descriptor(
        context.descriptors[listener],
        notification,
        context.descriptors[source],
        number,
        close_on_exec,
        answer,
    )
    call("write", os.write, context.descriptors[report], b"%d" % made)
