"""Steps that build the container's file system, up to the change of root."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Option, Step, text


@dataclass(frozen=True, slots=True)
class SetPropagation(Step):
    """Before the first mount, or it would show up on the host."""

    propagation: int


@dataclass(frozen=True, slots=True)
class RootDirectory(Step):
    """A host directory becomes the root."""

    path: bytes
    propagation: int

    def _subject(self) -> str:
        return text(self.path)


@dataclass(frozen=True, slots=True)
class RootOverlay(Step):
    """Directories under an empty writable layer, a tmpfs, become the root."""

    lower: tuple[bytes, ...]
    upper_options: tuple[Option, ...]
    overlay_options: tuple[Option, ...]

    def _subject(self) -> str:
        return ":".join(map(text, self.lower))


@dataclass(frozen=True, slots=True)
class RootTmpfs(Step):
    """An empty tmpfs becomes the root."""

    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class MountFilesystem(Step):
    """Mount a new file system."""

    destination: bytes
    kind: bytes
    options: tuple[Option, ...]
    attributes: int
    copy_up: bool = False

    def _subject(self) -> str:
        return f"{text(self.kind)} on {text(self.destination)}"


@dataclass(frozen=True, slots=True)
class Bind(Step):
    """Show a host file or directory."""

    source: bytes
    destination: bytes
    recursive: bool = False
    attr_set: int = 0
    attr_clr: int = 0
    rec_set: int = 0
    rec_clr: int = 0
    propagation: int = 0

    def _subject(self) -> str:
        return f"{text(self.source)} on {text(self.destination)}"


@dataclass(frozen=True, slots=True)
class ChangePropagation(Step):
    """Of a mount that is there."""

    destination: bytes
    propagation: int
    recursive: bool

    def _subject(self) -> str:
        return f"of {text(self.destination)}"


@dataclass(frozen=True, slots=True)
class ChangeAttributes(Step):
    """Of a mount that is there: read-only, once all in it has been made."""

    destination: bytes
    attr_set: int
    attr_clr: int = 0
    rec_set: int = 0
    rec_clr: int = 0

    def _subject(self) -> str:
        return f"of {text(self.destination)}"


@dataclass(frozen=True, slots=True)
class MakeNodes(Step):
    """Devices and FIFOs of one directory: (name, mode and type, device, uid, gid)."""

    directory: bytes
    nodes: tuple[tuple[bytes, int, int, int, int], ...]

    def _subject(self) -> str:
        return f"in {text(self.directory)}"


@dataclass(frozen=True, slots=True)
class BindNodes(Step):
    """The same with the host's own devices (their paths are last), where mknod(2) is
    refused."""

    directory: bytes
    nodes: tuple[tuple[bytes, int, int, int, int, bytes], ...]

    def _subject(self) -> str:
        return f"in {text(self.directory)}"


@dataclass(frozen=True, slots=True)
class MakeSymlinks(Step):
    """Symbolic links: (path, target)."""

    links: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class MakeDirectories(Step):
    """Directories: (path, mode)."""

    directories: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class ShowFiles(Step):
    """Small files of our own over those of the root: (path, content)."""

    files: tuple[tuple[bytes, bytes], ...]

    def _subject(self) -> str:
        return " ".join(text(path) for path, _ in self.files)


@dataclass(frozen=True, slots=True)
class Mask(Step):
    """Hide kernel files that tell of the host."""

    masked: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MakeReadonly(Step):
    """Keep kernel files from being written."""

    readonly: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WriteSysctl(Step):
    """Kernel parameters, while the host's proc is seen: see user_namespaces(7)."""

    values: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class RootAttributes(Step):
    """Read-only root, last: mount points had to be made in it."""

    attributes: int


@dataclass(frozen=True, slots=True)
class RootPropagation(Step):
    """How mounts spread to and from the root mount."""

    propagation: int


@dataclass(frozen=True, slots=True)
class Pivot(Step):
    """The root becomes the root; the host's goes away."""


@dataclass(frozen=True, slots=True)
class PivotTo(Step):
    """The same, with a directory of the root for the host's, for that instant."""

    directory: bytes

    def _subject(self) -> str:
        return text(self.directory)


@dataclass(frozen=True, slots=True)
class MoveRoot(Step):
    """The same without pivot_root(2)."""
