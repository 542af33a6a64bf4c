"""Running a program to its end: input, output, limits of time and output."""

from __future__ import annotations

import os
from collections.abc import Sequence

import anyio

from ..config import ProcessChanges
from ..errors import ProcessFailed
from .capture import Overflow, Sink, communicate
from .launch import Arg
from .process import Process
from .result import ExitReason, Result, Usage
from .stdio import StdioSource
from .syscalls import Decide


class RunOptions(ProcessChanges, total=False):
    """Keywords of `Container.run`, which says what they mean."""

    input: bytes | None
    stdin: StdioSource
    stdout: StdioSource
    stderr: StdioSource
    timeout: float | None
    max_output: int | str | None
    overflow: Overflow
    check: bool
    pass_fds: Sequence[int]
    on_syscall: Decide | None


def not_started(args: Sequence[Arg], spent_s: float, check: bool) -> Result:
    """The result of a program that didn't come to run in its time."""
    names = tuple(map(os.fsdecode, args))
    usage = Usage(spent_s, 0.0, 0.0)
    result = Result(names, None, ExitReason.TIMED_OUT, b"", b"", usage)
    return result.check() if check else result


async def finish(
    process: Process,
    input: bytes | None,
    timeout: float | None,
    max_output: int | None,
    overflow: Overflow,
    check: bool,
) -> Result:
    """Feed and read a started process until its end.

    Cancelled or failed, the process and its descendants have ended.
    """

    def on_exceeded() -> None:
        if overflow != "truncate":
            process.kill_because(ExitReason.OUTPUT_LIMIT)

    sink = Sink(max_output, on_exceeded)
    try:
        await communicate(
            lambda: _wait(process, timeout),
            process.outputs(sink),
            stdin=process.stdin if input is not None else None,
            data=input or b"",
        )
        result = _result(process, sink)
    finally:
        await process.aclose()
    if check:
        result.check()
    if overflow == "raise" and result.reason is ExitReason.OUTPUT_LIMIT:
        raise ProcessFailed(result)
    return result


async def _wait(process: Process, timeout: float | None) -> None:
    with anyio.move_on_after(timeout):
        await process.wait_for_end()
    if not process.ended:
        await process.end(ExitReason.TIMED_OUT)


def _result(process: Process, sink: Sink) -> Result:
    usage, reason = process.usage, process.reason
    if usage is None or reason is None:
        raise TimeoutError(f"pid {process.pid} can't be killed (state D)")
    return Result(
        process.args,
        process.returncode,
        reason,
        sink.stdout.getvalue(),
        sink.stderr.getvalue(),
        usage,
        sink.exceeded,
    )
