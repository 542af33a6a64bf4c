"""What the tests of ``aiocontainer.cgroups`` share: own groups, and processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aiocontainer.cgroups import Cgroup, detect, open_cgroup
from aiocontainer.cgroups.tree import walk
from aiocontainer.config import CgroupSettings

LAYOUT = detect()
MIB = 1024 * 1024
PARENT = f"aiocontainer-test-parent-{os.getpid()}"


def places(pid: int) -> dict[str, str]:
    """Controller (of v2 ``""``) -> the cgroup's directory, for those that aren't this
    process's, too."""
    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        hierarchy = LAYOUT.v2 if not names else LAYOUT.v1.get(names.split(",")[0])
        if hierarchy is not None and hierarchy.own != path:
            found[names] = hierarchy.directory(path)
    return found


def new_group(mode: Any = "auto", **options: Any) -> Cgroup:
    """A group that isn't made yet, in a parent of the tests."""
    settings = CgroupSettings(parent=PARENT, mode=mode)
    name = f"aiocontainer-test-{uuid.uuid4().hex[:8]}"
    return open_cgroup(LAYOUT, settings, name, **options)


@contextlib.contextmanager
def group_for_test(**options: Any) -> Iterator[Cgroup]:
    """A group that is made; whatever happens it and its processes are gone after."""
    group = new_group(**options)
    group.create()
    planned = group.directories
    try:
        yield group
    finally:
        wipe(planned)


def wipe(directories: tuple[str, ...]) -> None:
    """Remove groups and their parent, killing what is inside; without our own code as
    far as possible, which is what is being tested."""
    for directory in reversed(directories):
        for path in list(walk(directory)):
            for pid in _pids(path):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(path)
    for directory in directories:
        parent = os.path.dirname(directory)
        if os.path.basename(parent) == PARENT:
            with contextlib.suppress(FileNotFoundError, OSError):
                os.rmdir(parent)


def _pids(path: str) -> list[int]:
    try:
        with open(f"{path}/cgroup.procs") as file:
            return [int(line) for line in file]
    except FileNotFoundError:
        return []


def existing(group: Cgroup) -> list[str]:
    """Those of its directories that are there."""
    return [path for path in group.directories if os.path.isdir(path)]


_ENTER = 'for f in $ENTRY; do echo 0 > "$f" || exit 99; done; exec "$@"'


def start_inside(
    group: Cgroup, *arguments: str, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a program that enters the group before anything else.

    Its input is a pipe that stays open, and so is its output.
    """
    entry = group.entry()
    files = [*entry.join_files, *filter(None, [entry.clone_fallback])]
    return subprocess.Popen(
        ["sh", "-c", _ENTER, "sh", *arguments],
        env={**os.environ, "ENTRY": " ".join(files)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **options,
    )


@contextlib.contextmanager
def running(
    group: Cgroup, *arguments: str, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A program inside for the length of a block, which has written its first line.

    Without arguments it is one that says so and waits.
    """
    program = arguments or ("sh", "-c", "echo ready; read x")
    with start_inside(group, *program, **options) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "it ended before its first line"
            yield process
        finally:
            process.kill()
            # Whoever else is inside may hold the output open.
            for pid in group.pids():
                os.kill(pid, 9)
            process.communicate()


def run_inside(group: Cgroup, *arguments: str) -> tuple[int, str]:
    """Run a program inside to its end: its status and what it wrote."""
    with start_inside(group, *arguments, stderr=subprocess.STDOUT) as process:
        output, _ = process.communicate(timeout=50)
    return process.returncode, output.decode()


def reap(pids: Iterable[int]) -> None:
    """Take the orphans that came to this process, once they are dead."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED)


def python(code: str) -> tuple[str, ...]:
    """The arguments that run some Python, quickly started."""
    return (sys.executable, "-I", "-S", "-c", code)
