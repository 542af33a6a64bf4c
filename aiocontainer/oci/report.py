"""Errors as engines read them: the last line on stderr, and lines in a log file.

The texts are runc's where engines look for words of them: docker's client makes an exit
status of "executable file not found", "no such file or directory" and "permission
denied", in lower case.
"""

from __future__ import annotations

import os
import sys
import time

from ..errors import (
    ContainerError,
    ContainerExists,
    ContainerNotFound,
    ExecError,
    SetupError,
    StatusError,
)
from ..state.quick_json import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NOT_FOUND: Final = "container does not exist"


class Log:
    """Where messages go, as ``--log`` and ``--log-format`` say."""

    def __init__(
        self, path: str | None, form: str, *, debug: bool, told: int = 0
    ) -> None:
        """Touch nothing yet.

        Args:
            path: of the log file; ``None`` is stderr.
            form: "text" or "json", of the file's lines.
            debug: whether messages of that level are written.
            told: so many warnings were written before, and come again.
        """
        self._path = path
        self._form = form
        self._debug = debug
        self._told = told
        self.warnings = 0
        """How many there were."""

    def debug(self, message: str) -> None:
        """Say what is being done, if that is wanted."""
        if self._debug:
            self._write("debug", message)

    def warning(self, message: str) -> None:
        """Say what is odd, but no reason to fail."""
        self.warnings += 1
        if self.warnings > self._told:
            self._write("warning", message)

    def error(self, message: str) -> None:
        """Say why the command failed: in the log, and on stderr."""
        self._write("error", message)
        if self._path is not None:
            sys.stderr.write(message + "\n")

    def _write(self, level: str, message: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._form == "json":
            line = f'{{"level": "{level}", "msg": {quote(message)}, "time": "{now}"}}'
        else:
            line = f'time="{now}" level={level} msg={quote(message)}'
        if self._path is None:
            sys.stderr.write(line + "\n")
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            file = os.open(self._path, flags, 0o644)
        except OSError as error:
            sys.stderr.write(f"{self._path}: {error.strerror}\n{line}\n")
            return
        try:
            os.write(file, line.encode("utf-8", "replace") + b"\n")
        finally:
            os.close(file)


def describe(error: BaseException) -> str:
    """One line for an error, in runc's words where it has some."""
    match error:
        case ContainerNotFound():
            return NOT_FOUND
        case ContainerExists():
            return "container with given ID already exists"
        case StatusError():
            return _status_words(error.wanted, error.status)
        case ExecError():
            reason = _lower(error.reason).removesuffix(f": {error.program}")
            words = f'exec: "{error.program}": {reason}'
            return f"unable to start container process: {words}"
        case SetupError():
            return f"unable to start container process: {_lower(str(error))}"
        case ContainerError():
            return str(error)
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            return f"{name}{_lower(error.strerror or str(error))}"
    return f"{type(error).__name__}: {error}"


def _status_words(wanted: str, status: str) -> str:
    match wanted, status:
        case "signal" | "pause" | "change limits", _:
            return "container not running"
        case "resume", _:
            return "container not paused"
        case "start", "running":
            return "cannot start an already running container"
        case "start", "stopped":
            return "cannot start a container that has stopped"
        case "start", _:
            return f"cannot start a container in the {status} state"
        case "exec", _:
            hint = "use --ignore-paused to override"
            return f"cannot exec in a {status} container ({hint})"
        case "start a process", _:
            return f"cannot exec in a {status} container"
        case _ if wanted.startswith("delete "):
            return f"cannot {wanted} that is not stopped: {status}"
    return str(StatusError(status, wanted))


def _lower(text: str) -> str:
    """As Go has the kernel's words: without a capital."""
    for words in ("No such file or directory", "Permission denied", "Not a directory"):
        text = text.replace(words, words.lower())
    return text[:1].lower() + text[1:]
