"""Files of a child in /proc, written by the spawner for it: what a process may not, or
can't, write for itself."""

from __future__ import annotations

import os

from ..._sys import identity


def write_inherited(
    files: tuple[tuple[str, bytes], ...],
) -> tuple[tuple[str, bytes], ...]:
    """Write those that a child inherits, while we are on the host; give the others."""
    own = tuple(file for file in files if file[0] == "oom_score_adj")
    if own:
        identity.set_dumpable(True)  # they are root's, or ours
        try:
            write("self", own)
        finally:
            identity.set_dumpable(False)
    return tuple(file for file in files if file not in own)


def write(pid: str, files: tuple[tuple[str, bytes], ...]) -> None:
    """Write each (name below ``/proc/<pid>/``, text), in one write.

    Raises:
        OSError: the kernel refused; it has the path.
    """
    for name, data in files:
        path = f"/proc/{pid}/{name}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, data)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(descriptor)
