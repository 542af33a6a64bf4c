"""strace on the spawner and all that it clones: for what is seen from outside only."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiocontainer.proc import spawner


@contextmanager
def traced(log: Path, *options: str) -> Iterator[None]:
    """Trace the running spawner for the length of the block, into the file ``log``."""
    running = spawner.peek()
    assert running is not None, "start something first"
    tracer = subprocess.Popen(
        ["strace", "-f", *options, "-o", log, "-p", str(running.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr
    try:
        assert "attached" in tracer.stderr.readline()
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)
        tracer.stderr.close()
