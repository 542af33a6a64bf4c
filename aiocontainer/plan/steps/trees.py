"""Steps for bind mounts that take more than `Bind`: prepared first, attached later."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Step, text


@dataclass(frozen=True, slots=True)
class PrepareTree(Step):
    """Copy a mount of the host, with all that is to be true of the copy."""

    source: bytes
    recursive: bool
    follow: bool
    attr_set: int = 0
    attr_clr: int = 0
    rec_set: int = 0
    rec_clr: int = 0
    propagation: int = 0
    mapping: tuple[bytes, bytes] | int | None = None
    map_recursive: bool = False
    locked: bool = False

    def _subject(self) -> str:
        return text(self.source)


@dataclass(frozen=True, slots=True)
class AttachTree(Step):
    """Attach what was prepared, by its number among those."""

    source: bytes
    destination: bytes
    number: int
    follow: bool = True
    copy_link: bool = False

    def _subject(self) -> str:
        return f"{text(self.source)} on {text(self.destination)}"


@dataclass(frozen=True, slots=True)
class RootTree(Step):
    """What was prepared becomes the root."""

    path: bytes
    number: int

    def _subject(self) -> str:
        return text(self.path)


@dataclass(frozen=True, slots=True)
class Relabel(Step):
    """Give all files of a volume an SELinux label."""

    source: bytes
    label: bytes

    def _subject(self) -> str:
        return text(self.source)


@dataclass(frozen=True, slots=True)
class Reconfigure(Step):
    """Change options of a file system that was mounted for the container."""

    destination: bytes
    options: tuple[tuple[bytes, bytes | None], ...]

    def _subject(self) -> str:
        return f"{text(self.destination)}"


@dataclass(frozen=True, slots=True)
class MountCgroups(Step):
    """Show the cgroups: of all hierarchies, or of cgroup2 alone."""

    destination: bytes
    attributes: int
    own_namespace: bool
    unified: bool

    def _subject(self) -> str:
        return f"on {text(self.destination)}"
