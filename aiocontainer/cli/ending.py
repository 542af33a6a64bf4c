"""How a program in the foreground is signalled, and what we exit with for it."""

from __future__ import annotations

import contextlib
import json
import signal
from dataclasses import asdict
from typing import Any

import click

from ..container import Container
from ..proc.process import Process
from ..proc.result import ExitReason
from .going import TIMED_OUT, tell

_ENDING = frozenset(
    {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
    | {signal.SIGUSR1, signal.SIGUSR2}
)


class Ending:
    """Signals for a program, and what became of it."""

    def __init__(self, container: Container, process: Process) -> None:
        self._container = container
        self._process = process
        self._killed_for = 0

    def signal(self, number: int) -> None:
        """Send a signal on. The first process of a pid namespace gets none that it
        doesn't handle (pid_namespaces(7)); what would have ended any other program
        ends it all the same."""
        with contextlib.suppress(OSError):
            self._process.send_signal(number)
        if number in _ENDING and self._ignores_as_first(number):
            self._killed_for = number
            self._container.kill()

    def _ignores_as_first(self, number: int) -> bool:
        if self._process is not self._container.init:
            return False
        try:
            with open(f"/proc/{self._process.pid}/status", "rb") as file:
                lines = dict(line.split(b":", 1) for line in file if b":" in line)
        except OSError:
            return False
        bit = 1 << (number - 1)
        is_first = lines[b"NSpid"].split()[-1] == b"1"
        cared = int(lines[b"SigCgt"], 16) | int(lines[b"SigIgn"], 16)
        return is_first and not cared & bit

    def status(self) -> int:
        """What a shell would make of it: its own status, or 128 and the signal."""
        if self._process.reason is ExitReason.TIMED_OUT:
            tell("its time was over")
            return TIMED_OUT
        if self._process.reason is ExitReason.OOM_KILLED:
            tell("out of memory: the kernel killed it")
        returncode = self._process.returncode
        if self._killed_for and returncode == -signal.SIGKILL:
            return 128 + self._killed_for
        if returncode is None:
            tell("nobody knows how it ended")
            return 1
        return returncode if returncode >= 0 else 128 - returncode

    def report(self, form: str) -> None:
        """Say on stderr how it ended and what it used, as ``text`` or ``json``."""
        usage = self._process.usage
        figures: dict[str, Any] = {} if usage is None else asdict(usage)
        what = {
            "returncode": self._process.returncode,
            "reason": str(self._process.reason),
            **{name: value for name, value in figures.items() if value is not None},
        }
        if form == "json":
            click.echo(json.dumps(what), err=True)
            return
        for name, value in what.items():
            shown = f"{value:.3f}" if isinstance(value, float) else value
            click.echo(f"{name:>20}  {shown}", err=True)


def signal_number(word: str) -> int:
    """A signal by name (``TERM``, ``SIGTERM``) or number.

    Raises:
        click.BadParameter: there is none.
    """
    with contextlib.suppress(ValueError, KeyError):
        if word.isdecimal():
            return signal.Signals(int(word)).value
        name = word.upper()
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    raise click.BadParameter(f"{word!r} is no signal")
