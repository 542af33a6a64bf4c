"""The leak check: what exists before a test must exist after it, and nothing else.

A snapshot is a set of items, so a comparison is a set difference. The kernel cleans up
asynchronously (a cgroup empties, a namespace goes, some time after the last process was
reaped), so a difference counts only when it stays the same for `PATIENCE_S`. That also
keeps out what other programs on the machine do at the same time.

Looked at: descriptors, threads, descendants (zombies too), mounts, network interfaces,
cgroups below folders of ours, state and temporary files, the spawner's descriptors, and
what the library promises never to change about its caller (namespaces, working
directory, umask, signal dispositions, limits, capabilities ...).
"""

import gc
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import procfs, spawners

PATIENCE_S = 2.0
PREFIX = "aiocontainer"
STATE_ROOTS = ("/run/aiocontainer",)

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
CALLER = (
    *("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"),
)
"""Lines of /proc/self/status that a library has no business to change."""


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing that exists, named so that a reader finds it."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


Snapshot = frozenset[Item]
BOTH_WAYS = {"descriptor", "caller"}
"""Kinds whose loss is a fault too: a descriptor closed twice is somebody else's."""


def take() -> Snapshot:
    """What exists now. Costs about a millisecond."""
    return frozenset(item for source in SOURCES for item in source())


def _descriptors() -> Iterator[Item]:
    lasting = spawners.descriptors()
    for number, target in procfs.descriptors().items():
        if number not in lasting and not _is_listing(target):
            yield Item("descriptor", f"{number} -> {target}")


def _is_listing(target: str) -> bool:
    return target.startswith("/proc/") and target.endswith("/fd")  # the folder we read


def _threads() -> Iterator[Item]:
    # Trio keeps idle worker threads for ten seconds, for the next call.
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for task in os.listdir("/proc/self/task"):
        name = names.get(int(task), "not started by Python")
        if not name.startswith("Trio thread"):
            yield Item("thread", f"{task} ({name})")


def _processes() -> Iterator[Item]:
    spawner = spawners.find()
    for pid in procfs.descendants():
        facts = procfs.read_stat(pid)
        if facts is not None and pid != spawner:
            title = "zombie" if facts.state == "Z" else "process"
            yield Item(title, f"{pid} {facts.name} (started {facts.start_ticks})")


def _spawner() -> Iterator[Item]:
    pid = spawners.find()
    if pid is None:
        return
    for number, target in procfs.descriptors(pid).items():
        if not _is_listing(target):
            yield Item(f"descriptor of spawner {pid}", f"{number} -> {target}")


def _mounts() -> Iterator[Item]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield Item("mount", line)


def _interfaces() -> Iterator[Item]:
    for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]:
        yield Item("network interface", line.partition(":")[0].strip())


def _cgroups() -> Iterator[Item]:
    for folder in _cgroup_roots():
        try:
            entries = [entry.path for entry in os.scandir(folder) if entry.is_dir()]
        except FileNotFoundError:
            continue
        for path in entries:
            if os.path.basename(path).startswith(PREFIX):
                yield from _cgroup_tree(path)


def _cgroup_roots() -> Iterator[str]:
    """Folders that may hold folders of ours: root, own, and systemd's slice."""
    own = procfs.own_cgroups()
    for point, controllers in procfs.cgroup_mounts().items():
        inside = own.get(controllers, "/").strip("/")
        yield point
        if inside:
            yield os.path.join(point, inside)
        for name in ("machine.slice", "system.slice"):
            if os.path.isdir(f"{point}/{name}"):
                yield f"{point}/{name}"


def _cgroup_tree(path: str) -> Iterator[Item]:
    # The folder of all containers is shared by all programs and stays.
    if os.path.basename(path) != PREFIX:
        yield Item("cgroup", path)
    try:
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                yield from _cgroup_tree(entry.path)
    except OSError:
        return  # removed while we looked


def _files() -> Iterator[Item]:
    for folder in {"/tmp", "/var/tmp", "/dev/shm", tempfile.gettempdir()}:
        yield from (
            Item("temporary file", entry.path)
            for entry in os.scandir(folder)
            if entry.name.startswith(PREFIX)
        )
    for folder in STATE_ROOTS:
        if os.path.isdir(folder):
            yield from (Item("state", entry.path) for entry in os.scandir(folder))


def _caller() -> Iterator[Item]:
    for kind in NAMESPACES:
        yield Item("caller", f"namespace {procfs.namespace(kind)}")
    yield Item("caller", f"working directory {os.getcwd()}")
    # The dumpable flag decides who owns the files of /proc/self.
    yield Item("caller", f"owner of /proc/self is {os.stat('/proc/self/fd').st_uid}")
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.startswith("Sig") and name in CALLER:
            # glibc catches 32 and 33 for itself from the first thread on, and a time
            # limit for tests (pytest-timeout) comes and goes with SIGALRM.
            theirs = 3 << 31 | 1 << (signal.SIGALRM - 1)
            yield Item("caller", f"{name} {int(value, 16) & ~theirs:016x}")
        elif name in CALLER:
            yield Item("caller", f"{name} {value.strip()}")
    for line in Path("/proc/self/limits").read_text().splitlines():
        yield Item("caller", " ".join(line.split()))


SOURCES: tuple[Callable[[], Iterable[Item]], ...] = (
    _descriptors,
    _threads,
    _processes,
    _spawner,
    _mounts,
    _interfaces,
    _cgroups,
    _files,
    _caller,
)


def difference(before: Snapshot, after: Snapshot) -> set[str]:
    """What came and stayed, and what went that should have stayed, in words."""
    came = {f"left behind: {item}" for item in after - before}
    went = {f"gone: {item}" for item in before - after if item.kind in BOTH_WAYS}
    return came | went


def _excused(words: str, before: Snapshot) -> bool:
    """Whether a difference is the first use of something that lives on, or foreign."""
    _, _, item = words.partition(": ")
    kind, _, name = item.partition(": ")
    if kind.startswith("descriptor of spawner"):
        # A spawner that came with this test has no "before", one that went no "after".
        # And what it may forget it hears late: that goes any time.
        if words.startswith("gone: ") and name.endswith("anon_inode:[pidfd]"):
            return True
        is_present = kind == f"descriptor of spawner {spawners.find()}"
        return not (is_present and any(old.kind == kind for old in before))
    if kind == "cgroup":
        return _is_strangers(name) or _holds_strangers(name)
    if kind == "mount":
        point = name.split()[4]
        elsewhere = "/pytest-of-" in point
        return elsewhere and not point.startswith(tempfile.gettempdir())
    return False


def _is_strangers(cgroup: str) -> bool:
    """Whether this is a container's of another program, or the parent of all."""
    _, found, rest = cgroup.partition(f"/{PREFIX}")
    if not found or (rest and not rest.startswith("/")):
        return False
    ours = spawners.watched_names()
    return ours is not None and rest[1:].partition("/")[0] not in ours


def _holds_strangers(cgroup: str) -> bool:
    """Whether another program's processes run in this cgroup or below it."""
    ours = set(procfs.descendants())
    for folder, _, files in os.walk(cgroup):
        if "cgroup.procs" in files:
            try:
                pids = {
                    int(w) for w in Path(folder, "cgroup.procs").read_text().split()
                }
            except OSError:
                continue
            if pids - ours - {0}:
                return True
    return False


def find(before: Snapshot, *, patience_s: float = PATIENCE_S) -> list[str]:
    """What differs from ``before`` and stays so. Empty, and at once, when all is well.

    Waits up to ``patience_s`` for the kernel, and collects garbage: a descriptor in a
    reference cycle is to be reported by its own warning, not as one left open.
    """
    lasting = difference(before, take())
    deadline = time.monotonic() + patience_s
    pause_s = 0.001
    collected = False
    while lasting:
        lasting &= difference(before, take())
        lasting = {words for words in lasting if not _excused(words, before)}
        if not lasting or time.monotonic() > deadline:
            break
        if pause_s > 0.016 and not collected:
            # Takes longer than most of what we wait for, so not at once.
            gc.collect()
            collected = True
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.1)
    return sorted(lasting)
