"""Hostile root file systems: what an image may hold to reach the host, or to hang us.

Each `Case` spoils a good root file system (see `rootfs`) and says how to run in it. For
all of them the same is true: whatever becomes of the start, the `Scene.canary` tree on
the host (and its witnesses in /proc/sys) is as before, no other path of the host was
touched, an error is a typed one, and it took no longer than two seconds.

    @pytest.mark.parametrize("case", hostile_cases())
    async def test_...(case, own_rootfs, tmp_path):
        scene = Scene.set(own_rootfs, tmp_path)
        case.build(scene)
        before = host_snapshot(scene.canary)
        ...Config(rootfs=scene.root, **case.settings(scene))...
        assert host_snapshot(scene.canary) == before
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WITNESSES = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/sysrq")
"""Files of the host that attacks of the past have rewritten."""

Build = Callable[["Scene"], None]
Settings = Callable[["Scene"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A root file system to be spoilt, and a tree of the host that must not change."""

    root: Path
    canary: Path

    @classmethod
    def set(cls, root: Path, folder: Path) -> "Scene":
        """Plant the canary tree in a new folder below ``folder``."""
        canary = folder / "canary"
        (canary / "directory/inner").mkdir(parents=True)
        (canary / "empty").mkdir()
        (canary / "file").write_text("the host's file\n")
        (canary / "directory/secret").write_text("the host's secret\n")
        (canary / "link").symlink_to("file")
        (canary / "passwd").write_text("canary:x:4711:4711::/:/bin/sh\n")
        return cls(root, canary)

    def __truediv__(self, name: str) -> Path:
        """A path inside the root file system."""
        return self.root / name.lstrip("/")

    def clear(self, name: str) -> Path:
        """Remove what is at this path of the root file system, and return the path."""
        path = self / name
        if path.is_symlink() or path.is_file() or path.is_fifo():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def link(self, name: str, target: str | Path) -> None:
        """Put a symbolic link at this path of the root file system."""
        self.clear(name).symlink_to(target)

    def fifo(self, name: str) -> None:
        """Put a FIFO there, which holds up whoever opens it."""
        os.mkfifo(self.clear(name))

    def file(self, name: str, text: str = "", mode: int = 0o644) -> None:
        path = self.clear(name)
        path.write_text(text)
        path.chmod(mode)

    def device(
        self, name: str, major: int, minor: int, kind: int = stat.S_IFCHR
    ) -> None:
        os.mknod(self.clear(name), kind | 0o666, os.makedev(major, minor))


def _no_settings(scene: Scene) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Case:
    """One way to be hostile."""

    name: str
    build: Build
    settings: Settings = _no_settings
    """Arguments of ``Config`` beside ``rootfs``, as plain values."""
    args: Sequence[str] = ("/bin/true",)
    """The program to start."""
    must_fail: bool = False
    """Whether no container can come of it, so that the start has to raise."""
    origin: str = ""
    """A CVE of this class, in whichever runtime it was."""


@dataclass(slots=True)
class Table:
    cases: list[Case] = field(default_factory=list)

    def add(self, name: str, build: Build, **details: Any) -> None:
        self.cases.append(Case(name, build, **details))


def host_snapshot(tree: Path) -> dict[str, tuple[Any, ...]]:
    """All that could change below ``tree``: ``{"./file": (mode, owner, inode, ...)}``.

    Contains content (as a hash), link targets, extended attributes and times but the
    access time, and the witnesses in /proc/sys.
    """
    found: dict[str, tuple[Any, ...]] = {
        path: (Path(path).read_bytes(),) for path in WITNESSES if os.path.exists(path)
    }
    for folder, folders, files in os.walk(tree):
        for name in (".", *folders, *files):
            path = os.path.join(folder, name)
            facts = os.lstat(path)
            found[os.path.relpath(path, tree)] = (
                *(facts.st_mode, facts.st_uid, facts.st_gid, facts.st_ino),
                *(facts.st_nlink, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns),
                tuple(os.listxattr(path, follow_symlinks=False)),
                _content(path, facts.st_mode),
            )
    return found


def _content(path: str, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if stat.S_ISREG(mode):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return ""
