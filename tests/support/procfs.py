"""What /proc says about this process and its descendants. Nobody else is looked at."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process as /proc/<pid>/stat shows it."""

    pid: int
    parent: int
    state: str
    """One letter of proc(5): ``R``, ``S``, ``Z`` ..."""
    start_ticks: int
    """Start time in clock ticks since boot: with the pid, an identity."""
    name: str


def read_stat(pid: int) -> ProcessFacts | None:
    """The facts of a process, or ``None`` when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may contain spaces and brackets, so only the last bracket ends it.
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return ProcessFacts(pid, int(fields[1]), fields[0], int(fields[19]), name)


def children(pid: int | None = None) -> list[int]:
    """Pids of the children of every thread of ``pid`` (this process by default)."""
    owner = "self" if pid is None else str(pid)
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{owner}/task"):
            with open(f"/proc/{owner}/task/{task}/children") as file:
                found.extend(map(int, file.read().split()))
    except (FileNotFoundError, ProcessLookupError):
        pass  # ended while we looked: its children have other parents now
    return sorted(found)


def descendants(pid: int | None = None) -> Iterator[int]:
    """All processes below ``pid`` (this process by default), parents first."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def descriptors(pid: int | None = None) -> dict[int, str]:
    """Open descriptors: ``{3: "socket:[4711]"}``, without the one used for looking."""
    folder = f"/proc/{'self' if pid is None else pid}/fd"
    found: dict[int, str] = {}
    try:
        numbers = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return found
    for number in numbers:
        try:
            found[int(number)] = os.readlink(f"{folder}/{number}")
        except FileNotFoundError:
            continue  # the descriptor that listed the folder
    return found


def namespace(kind: str, pid: int | None = None) -> str | None:
    """``"net:[4026531840]"``, or ``None`` when the process is gone or not ours."""
    try:
        return os.readlink(f"/proc/{'self' if pid is None else pid}/ns/{kind}")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def executable(pid: int) -> str | None:
    """Path of the executable; ``None`` for zombies, and where it may not be read."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def cgroup_mounts() -> dict[str, str]:
    """Where each cgroup hierarchy is mounted: ``{"/sys/fs/cgroup/pids": "pids"}``.

    The value is the list of controllers of v1, and ``""`` for cgroup2.
    """
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup":
            words = [word for word in options.split(",") if word not in ("rw", "ro")]
            found[before.split()[4]] = ",".join(words)
        elif kind == "cgroup2":
            found[before.split()[4]] = ""
    return found


def own_cgroups() -> dict[str, str]:
    """This process's cgroups by controllers: ``{"pids": "/", "": "/user.slice"}``."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found[controllers] = path
    return found
