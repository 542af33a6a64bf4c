"""The parent's side of a program's terminal."""

from __future__ import annotations

import os
import termios
from typing import Final

from anyio.abc import ByteStream

from .._sys import terminal as _sys_terminal
from .streams import ReceiveStream, SendStream

__all__ = ("Terminal",)

BUFFER_BYTES: Final = 64 * 1024
"""More than the kernel holds of a pty's output (8 KiB on its way and 4 KiB arrived)."""

_CC: Final = 6  # index of c_cc in what tcgetattr answers


class Terminal(ReceiveStream, SendStream, ByteStream):
    """A pseudoterminal: what the program prints, and what it is to read as typed.

    Output arrives as the program wrote it: ONLCR was cleared when the pair was opened
    (see `aiocontainer._sys.terminal.open_pty`), so a newline has no CR before it. Input
    is echoed and edited by the line discipline as for a person, until the program asks
    otherwise; ``b"\\x03"`` is the interrupt key. Output ends (``EndOfStream``) when no
    process has the terminal open any more; what is sent then is lost, as the kernel
    takes some kilobytes before ``send`` can tell (``BrokenResourceError``).

    Reading and sending may be done by two tasks at once.
    """

    def __init__(self, master: int) -> None:
        """Take over ``master``, which is made non-blocking."""
        ReceiveStream.__init__(self, master)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program that its window has changed (it gets SIGWINCH).

        Raises:
            ValueError: a number is negative or above 65535.
            anyio.ClosedResourceError: this terminal is closed.
        """
        for name, count in (("rows", rows), ("columns", columns)):
            if not 0 <= count <= 0xFFFF:
                raise ValueError(f"{name} must be from 0 to 65535, not {count}")
        _sys_terminal.set_size(self.fileno(), rows, columns)

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines now, in the order of `os.terminal_size`."""
        rows, columns = _sys_terminal.get_size(self.fileno())
        return os.terminal_size((columns, rows))

    def pending_bytes_at_most(self) -> int:
        """No more than this can be received now without waiting.

        A bound only: FIONREAD doesn't count what is still on its way through the line
        discipline, though a read gets it.
        """
        held = 0 if self._ahead is None else self._ahead.held_bytes
        return held + (BUFFER_BYTES if self.fileno() >= 0 else 0)

    async def send_eof(self) -> None:
        """Type the end-of-file key, as the program has it set (usually Ctrl-D).

        It ends the input only while the program reads whole lines and only at the
        start of a line; a terminal has no other end of input. Errors and cancellation
        as in ``send``.
        """
        attributes = termios.tcgetattr(self.fileno())  # the master answers for the pair
        await self.send(attributes[_CC][termios.VEOF])
