"""What a child said of its failure, as the error that the caller gets."""

from __future__ import annotations

import os

from ..errors import ContainerError, ExecError, HandshakeError, SetupError
from ..plan import steps
from ..plan.parts import Plan
from . import init_pipe
from .last_words import add_cause, summary


def failure_of(plan: Plan, message: bytes) -> ContainerError:
    """The error of a FAILED; the message isn't trusted."""
    try:
        index, code, path, reason = init_pipe.decode_failed(message)
    except ValueError:
        return HandshakeError("the child's last message can't be read")
    step = plan.step(index)
    text = summary(path, reason)
    error: ContainerError
    if isinstance(step, steps.Execute):
        error = ExecError(os.fsdecode(step.arguments[0]), text)
    elif isinstance(step, steps.AwaitGate):  # which looks for the program first
        error = ExecError(os.fsdecode(step.program) or "the built-in init", text)
    elif isinstance(step, steps.ExecuteInit):
        error = ExecError("the built-in init", text)
    else:
        error = SetupError("create the process" if step is None else step.title, text)
    add_cause(error, code, path, reason)
    return error
