"""Between our stdio and a program's: what is handed over, what is copied, and signals.

A terminal of ours is never given to a container: it could be read, and typed into
(TIOCSTI). Files and pipes are handed over as they are; for a terminal there is a pipe
and a copy, or with ``--tty`` a terminal of the container's own.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import anyio
import anyio.abc

from ..proc.process import Process
from ..proc.stdio import PIPE
from ..proc.streams import ReceiveStream, SendStream
from .terminal import OwnTerminal, add_carriage_returns, is_ours, window_size

_CHUNK_BYTES: Final = 64 * 1024
_TAIL_S: Final = 0.1
"""How long output that is on its way is waited for, once the program has ended."""
_PASSED_ON: Final = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
_ABOUT_US: Final = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)


class Wiring(NamedTuple):
    """How a program is connected to us."""

    streams: dict[str, Any]
    """Keywords of `Container.start`."""
    tty: bool

    @classmethod
    def to_us(cls, *, tty: bool) -> Wiring:
        """By a terminal of its own, or by what our stdin, stdout and stderr are."""
        if tty:
            return cls({"terminal": window_size() or True}, tty)
        given = {
            name: PIPE if os.isatty(number) else None
            for number, name in enumerate(("stdin", "stdout", "stderr"))
        }
        return cls(given, tty)


@asynccontextmanager
async def attached(
    process: Process, wiring: Wiring, on_signal: Callable[[int], None]
) -> AsyncIterator[None]:
    """Copy between us and a program, and pass signals on, for the length of a block.

    What the program has printed by the end of the block is copied, too.

    Args:
        process: the program; it needs not have begun.
        wiring: how it was started.
        on_signal: called with each signal that is to end or tell it something.
    """
    own = OwnTerminal() if wiring.tty else None
    failed: BaseException | None = None
    with own or contextlib.nullcontext():
        async with anyio.create_task_group() as tasks:
            await tasks.start(_pass_signals, process, own, on_signal)
            copied: list[anyio.Event] = []
            for stream, number in _outputs(process):
                copied.append(anyio.Event())
                tasks.start_soon(_copy_out, stream, number, copied[-1])
            sink = process.terminal or process.stdin
            if sink is not None:
                tasks.start_soon(_copy_in, sink)
            try:
                yield
                with anyio.move_on_after(_TAIL_S):
                    for event in copied:
                        await event.wait()
            except BaseException as error:  # as it is, and not in a group
                failed = error
            tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed


def _outputs(process: Process) -> list[tuple[ReceiveStream, int]]:
    if process.terminal is not None:
        with contextlib.suppress(OSError):
            add_carriage_returns(process.terminal.fileno())
        return [(process.terminal, 1)]
    both = ((process.stdout, 1), (process.stderr, 2))
    return [(stream, number) for stream, number in both if stream is not None]


async def _copy_out(stream: ReceiveStream, number: int, done: anyio.Event) -> None:
    try:
        with contextlib.suppress(anyio.ClosedResourceError):
            async for data in stream:
                await _write(number, data)
    except BrokenPipeError:
        stream.close()  # nobody reads us: the program is to notice that
    finally:
        done.set()


async def _write(number: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        with contextlib.suppress(OSError):  # a file is always ready, and can't be asked
            await anyio.wait_writable(number)
        # No more than a terminal takes at once, so that it doesn't hold us up.
        left = left[os.write(number, left[:4096]) :]


async def _copy_in(sink: SendStream) -> None:
    """Pass our input on until it ends; then the program's ends, too."""
    try:
        while data := await _read(0):
            await sink.send(data)
        if isinstance(sink, ReceiveStream):  # a terminal has no other end of input
            await sink.send_eof()  # type: ignore[attr-defined]
        else:
            await sink.aclose()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass


async def _read(number: int) -> bytes:
    """What is there to read; nothing at the end."""
    while True:
        # A file is always ready, and can't be asked.
        with contextlib.suppress(PermissionError):
            await anyio.wait_readable(number)
        if os.isatty(number) and not is_ours(number):
            await anyio.sleep(0.2)  # in the background; who types means others
            continue
        try:
            return os.read(number, _CHUNK_BYTES)
        except OSError:
            return b""  # the terminal has gone


async def _pass_signals(
    process: Process,
    own: OwnTerminal | None,
    on_signal: Callable[[int], None],
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    numbers = _PASSED_ON if own is None else (*_PASSED_ON, *_ABOUT_US)
    with anyio.open_signal_receiver(*numbers) as signals:
        task_status.started()
        async for number in signals:
            if own is None or number in _PASSED_ON:
                on_signal(number)
                continue
            if number == signal.SIGTSTP:
                own.stop()
            elif number == signal.SIGCONT:
                own.raw()
            size = window_size()
            if size is not None and process.terminal is not None:
                with contextlib.suppress(anyio.ClosedResourceError):
                    process.terminal.resize(*size)
