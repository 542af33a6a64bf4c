"""A process in the foreground: signals go to it, and its terminal is ours."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from ..proc.process import Process

_OURS: Final = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGWINCH,
    signal.SIGURG,
}
"""Signals that aren't sent on: what can't be caught, or means only us."""


def prepare(*, terminal: bool | tuple[int, int]) -> None:
    """Load what `follow` will need, before anything is made."""
    if terminal:
        from ..cli import attach as _attach  # noqa: F401


async def follow(
    process: Process, begin: Callable[[], Awaitable[object]] | None = None
) -> int:
    """Wait for a process to which our signals are sent on.

    Args:
        process: it may wait behind a gate.
        begin: opens that.

    Returns:
        An exit status as a shell has it: 128 and more for a signal.
    """
    if process.terminal is None:
        with _forwarding(process):
            status = await _begun(process, begin)
    else:
        from ..cli.attach import Wiring, attached

        wiring = Wiring({}, tty=True)
        async with attached(process, wiring, process.send_signal):
            status = await _begun(process, begin)
    return 128 - status if status < 0 else status


async def _begun(
    process: Process, begin: Callable[[], Awaitable[object]] | None
) -> int:
    if begin is not None:
        await begin()
    return await process.wait()


@contextlib.contextmanager
def _forwarding(process: Process) -> Iterator[None]:
    def forward(number: int, _: object) -> None:
        process.send_signal(number)

    before = {}
    for number in signal.valid_signals() - _OURS:
        with contextlib.suppress(ValueError, OSError):  # the C library's own
            before[number] = signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
