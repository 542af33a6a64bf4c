"""What a child said when it failed, as errors; without the plan, which not all have."""

from __future__ import annotations

from ..errors import ContainerError, ExecError, HandshakeError, SetupError
from . import init_pipe


def failure_at_gate(message: bytes, program: str) -> ContainerError:
    """The error of a FAILED from behind a gate; the message isn't trusted."""
    try:
        _index, code, path, reason = init_pipe.decode_failed(message)
    except ValueError:
        return HandshakeError("the child's last message can't be read")
    text = summary(path, reason)
    error: ContainerError
    if "from execve(2)" in reason:
        error = ExecError(program, text)
    else:
        error = SetupError("start the program", text)
    add_cause(error, code, path, reason)
    return error


def summary(path: str, reason: str) -> str:
    """One line: what it was, and where."""
    return f"{reason.split('; ')[0]}{f': {path}' if path else ''}"


def add_cause(error: ContainerError, code: int, path: str, reason: str) -> None:
    """Have the child's ``OSError``, if it was one, as the cause."""
    if code:
        cause = OSError(code, reason.split("; ")[0], path or None)
        for note in reason.split("; ")[1:]:
            cause.add_note(note)
        error.__cause__ = cause
