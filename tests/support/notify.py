"""What the tests of ``aiocontainer.notify`` share: backends, cgroups, memory hogs."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from aiocontainer.notify import pressure, source

MIB = 1024 * 1024
_OWN_MEMORY_CGROUP = next(
    (
        line.split(":", 2)[2].strip()
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if ":memory:" in line
    ),
    None,
)
_OWN_V2_CGROUP = next(
    line.split(":", 2)[2].strip()
    for line in [*Path("/proc/self/cgroup").read_text().splitlines(), "0::/"]
    if line.startswith("0::")
)


def memory_root() -> tuple[Path, int] | None:
    """Where memory cgroups of this program can be made, and the version."""
    v1 = Path("/sys/fs/cgroup/memory")
    if _OWN_MEMORY_CGROUP is not None and (v1 / "cgroup.event_control").exists():
        return v1 / _OWN_MEMORY_CGROUP.lstrip("/"), 1
    v2 = Path("/sys/fs/cgroup")
    if "memory" in _words(v2 / "cgroup.subtree_control"):
        return v2, 2
    return None


def unified_root() -> Path | None:
    """Where cgroups of the v2 hierarchy can be made, with or without controllers."""
    for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if (path / "cgroup.controllers").exists():
            return path
    return None


def pids_root() -> tuple[Path, int] | None:
    """Where cgroups with the pids controller can be made, and the version."""
    if Path("/sys/fs/cgroup/pids/cgroup.procs").exists():
        return Path("/sys/fs/cgroup/pids"), 1
    if "pids" in _words(Path("/sys/fs/cgroup/cgroup.subtree_control")):
        return Path("/sys/fs/cgroup"), 2
    return None


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


class TestCgroup:
    """A cgroup made for one test; `remove` takes those below it too."""

    __test__ = False

    def __init__(self, parent: Path, name: str | None = None) -> None:
        unique = f"aiocontainer-test-notify-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.path = parent / (name or unique)
        self.path.mkdir()
        self.below: list[TestCgroup] = []

    @property
    def directory(self) -> str:
        return str(self.path)

    def write(self, file: str, value: object) -> None:
        (self.path / file).write_text(str(value))

    def child(self, name: str) -> TestCgroup:
        cgroup = TestCgroup(self.path, name)
        self.below.append(cgroup)
        return cgroup

    def limit_memory(self, version: int, limit_bytes: int) -> None:
        if version == 2:
            self.write("memory.max", limit_bytes)
            if (self.path / "memory.swap.max").exists():
                self.write("memory.swap.max", 0)
            return
        self.write("memory.limit_in_bytes", limit_bytes)
        if (self.path / "memory.memsw.limit_in_bytes").exists():
            self.write("memory.memsw.limit_in_bytes", limit_bytes)

    def remove(self) -> None:
        for cgroup in self.below:
            cgroup.remove()
        with contextlib.suppress(FileNotFoundError):
            rmdir_soon(self.path)


def rmdir_soon(path: Path) -> None:
    """Remove a cgroup whose last process may not be quite gone yet."""
    deadline_s = time.monotonic() + 5
    while True:
        try:
            path.rmdir()
        except OSError as error:
            # Nothing tells when a v1 cgroup can be removed; it takes milliseconds.
            if error.errno != errno.EBUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(0.002)
        else:
            return


def start_python(
    cgroup: TestCgroup, source: str, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A Python process that joins a cgroup and runs some source."""
    join = f"open({str(cgroup.path / 'cgroup.procs')!r}, 'w').write('0')\n"
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", join + source],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process on the event loop; its return code."""
    pidfd = os.pidfd_open(process.pid)
    try:
        await anyio.wait_readable(pidfd)
    finally:
        os.close(pidfd)
    assert process.stdout is not None
    process.stdout.close()
    return process.wait()


async def said(process: subprocess.Popen[bytes]) -> bytes:
    """What a process writes next to its stdout; empty when it has ended."""
    assert process.stdout is not None
    await anyio.wait_readable(process.stdout)
    return os.read(process.stdout.fileno(), 4096)


def descriptors() -> set[str]:
    """The open descriptors of this program, as ``number -> what``."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return {fd for fd in found if "/fd" not in fd}


class FakeFile:
    """Stands in for a watched kernel file: an ordinary file, changed by `fire`.

    An ordinary file can't be watched with epoll.
    """

    open_files: dict[str, FakeFile]

    def __init__(
        self, path: str, changed: Callable[[], None], *, trigger: bytes | None = None
    ) -> None:
        self.path = path
        self.changed = changed
        self.trigger = trigger
        self.read()  # fails if there is no such file
        self.open_files[path] = self

    def read(self) -> str:
        return Path(self.path).read_text()

    def close(self) -> None:
        self.open_files.pop(self.path, None)


class FakeTree:
    """A directory that looks like a cgroup, whose files change when told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.open_files: dict[str, FakeFile] = {}

    def write(self, name: str, text: str, *, fire: bool = False) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if fire:
            self.open_files[str(path)].changed()

    def remove(self) -> None:
        """Remove the cgroup, as one rmdir(2) of it would."""
        shutil.rmtree(self.root)

    def counts(self, name: str, *, fire: bool = False, **counts: int) -> None:
        text = "".join(f"{key} {value}\n" for key, value in counts.items())
        self.write(name, text, fire=fire)


@contextlib.contextmanager
def fake_tree(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTree]:
    """A fake cgroup whose files are watched by `FakeFile`s."""
    tree = FakeTree(root)
    kind = type("FakeFile", (FakeFile,), {"open_files": tree.open_files})
    for module in (source, pressure):
        monkeypatch.setattr(module, "WatchedFile", kind)
    yield tree
    assert tree.open_files == {}, "a watch was left behind"
