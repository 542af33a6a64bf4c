"""Programs of their own process: for what a test process can't do to itself.

with program(SOURCE, "argument") as child:
    assert child.line() == "ready"
    child.kill()                 # as the kernel does when memory runs out
    assert child.left_behind() == []
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import procfs

ROOT = Path(__file__).parents[2]
PATIENCE_S = 10.0


class Program:
    """A Python program that was started by `program`."""

    def __init__(self, process: subprocess.Popen[bytes], before: set[int]) -> None:
        self._process = process
        self._before = before
        self._buffer = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status as subprocess has it, ``None`` while the program runs."""
        return self._process.poll()

    def line(self, timeout_s: float = PATIENCE_S) -> str:
        """Its next line of output, without the line end.

        Raises:
            EOFError: the program closed its output; the text has what it said last.
            TimeoutError: no line came in time.
        """
        deadline = time.monotonic() + timeout_s
        assert self._process.stdout is not None
        number = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            remaining_s = max(0.0, deadline - time.monotonic())
            if not select.select([number], [], [], remaining_s)[0]:
                raise TimeoutError(f"no line in {timeout_s} s; so far {self._buffer!r}")
            chunk = os.read(number, 65536)
            if not chunk:
                raise EOFError(self._buffer.decode(errors="replace"))
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def send(self, text: str) -> None:
        """Write to its input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and reap it."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit status as subprocess has it."""
        return self._process.wait(timeout_s)

    def left_behind(self, timeout_s: float = 2.0) -> list[str]:
        """What still runs ``timeout_s`` after it ended of all that it had started.

        Its orphans are children of the test process, which is a subreaper; those that
        have ended are reaped here, as init would do.
        """
        deadline = time.monotonic() + timeout_s
        while (left := self._orphans()) and time.monotonic() < deadline:
            time.sleep(0.005)  # nothing tells when a stranger's child ends
        facts = [procfs.read_stat(pid) for pid in left]
        return [f"{fact.pid} {fact.name}" for fact in facts if fact is not None]

    def _orphans(self) -> list[int]:
        """Reap the orphans that have ended; the pids of the others."""
        running: list[int] = []
        for pid in set(procfs.children()) - self._before - {self.pid}:
            facts = procfs.read_stat(pid)
            if facts is not None and facts.state == "Z":
                os.waitpid(pid, 0)
            elif facts is not None:
                running.append(pid)
        return running


@contextmanager
def program(
    source: str, *arguments: str, env: dict[str, str] | None = None
) -> Iterator[Program]:
    """Run Python source in a process of its own, with its stdin and stdout as pipes.

    Leaving the block kills it and everything that it left, so that a failed test
    doesn't fail the ones after it.
    """
    before = set(procfs.children())
    process = subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )
    child = Program(process, before)
    try:
        yield child
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        child.kill()
        while left := child._orphans():
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
