"""Our own terminal while a program in a container has it: raw, and restored after."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import tty
from typing import Any, Final

_OFLAG: Final = 1  # index in what tcgetattr answers


class OwnTerminal:
    """The terminal on stdin, if there is one: passes every key on while `raw`."""

    def __init__(self, number: int = 0) -> None:
        """Look at the terminal that descriptor ``number`` is; change nothing."""
        self._number = number
        self._before: list[Any] | None = None
        with contextlib.suppress(termios.error):
            self._before = termios.tcgetattr(number)

    def __bool__(self) -> bool:
        return self._before is not None

    def __enter__(self) -> OwnTerminal:
        self.raw()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.restore()

    def raw(self) -> None:
        """Keys reach the program as they are, Ctrl-C too; output passes unchanged."""
        if self._before is not None:
            with contextlib.suppress(termios.error):
                tty.setraw(self._number, termios.TCSADRAIN)

    def restore(self) -> None:
        """As it was. Fine if the terminal has gone away."""
        if self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)

    def stop(self) -> None:
        """Stop this program as Ctrl-Z from outside wants it, with a usable terminal;
        returns when it goes on."""
        self.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.raw()


def window_size() -> tuple[int, int] | None:
    """(rows, columns) of the terminal that we have, on whichever descriptor."""
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(number)
            if size.lines and size.columns:
                return size.lines, size.columns
    return None


def add_carriage_returns(master: int) -> None:
    """Have a program's terminal end lines as a raw one of ours needs it (ONLCR)."""
    attributes = termios.tcgetattr(master)  # the master answers for the pair
    attributes[_OFLAG] |= termios.OPOST | termios.ONLCR
    termios.tcsetattr(master, termios.TCSANOW, attributes)


def is_ours(number: int) -> bool:
    """Whether a terminal on this descriptor lets us read now: one in the background is
    stopped by trying (SIGTTIN)."""
    try:
        return os.tcgetpgrp(number) == os.getpgrp()
    except OSError:
        return True  # not our controlling terminal
