"""The closed vocabulary of what a helper child can do.

They are data: printable, comparable, and no behaviour but their form on the wire. Each
is done by the function of the same name (in lower case) in `aiocontainer.proc.helper`,
with the same parameters; a test compares the two.

Paths, names and values are bytes here: they are the kernel's, not text. ``attributes``
are ``MOUNT_ATTR_*``, ``propagation`` is one of ``MS_PRIVATE`` and so on, ``kind`` of a
namespace is ``CLONE_NEW*``, ``passed`` is ((number in the program, index among the
descriptors sent with the request), ...), ``limits`` ((resource, soft, hard), ...).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

Option: TypeAlias = tuple[bytes, bytes | None]
"""A file system's option: key and value, or None for a flag."""
Limits: TypeAlias = tuple[tuple[int, int, int], ...]
Passed: TypeAlias = tuple[tuple[int, int], ...]


class Step:
    """One thing that the child does."""

    __slots__: tuple[str, ...] = ()
    call: ClassVar[str]
    """What the helper calls it: the class's name, with underscores."""

    def __init_subclass__(cls) -> None:
        cls.call = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def wire(self) -> tuple[Any, ...]:
        """(name, arguments...), all of which ``marshal`` knows."""
        return (self.call, *(getattr(self, field) for field in self.__slots__))

    @property
    def title(self) -> str:
        """What is being done, for people: ``mount filesystem proc on /proc``."""
        words = self.call.replace("_", " ")
        return f"{words} {self._subject()}".rstrip()

    def _subject(self) -> str:
        return ""


_text = os.fsdecode


# -- namespaces ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JoinCgroups(Step):
    """First of all: a cgroup namespace takes its creator's cgroup as its root."""


@dataclass(frozen=True, slots=True)
class BeRootOfUserNamespace(Step):
    """Take the ids that the mappings made root; all files made now are its."""


@dataclass(frozen=True, slots=True)
class Unshare(Step):
    """New namespaces that clone3 couldn't make: the cgroup one, after the join."""

    kinds: int


@dataclass(frozen=True, slots=True)
class JoinNamespace(Step):
    """Join one namespace; ``number`` is its index among the descriptors."""

    path: bytes
    number: int
    kind: int

    def _subject(self) -> str:
        return _text(self.path)


@dataclass(frozen=True, slots=True)
class JoinContainer(Step):
    """Join the namespaces of a running container's first process, by its pidfd."""

    pidfd: int
    kinds: int


@dataclass(frozen=True, slots=True)
class OpenRoot(Step):
    """Use the root directory as it is, for a container without one of its own."""


@dataclass(frozen=True, slots=True)
class SetHostname(Step):
    """Name of the machine, as seen in the UTS namespace."""

    name: bytes


@dataclass(frozen=True, slots=True)
class SetDomainname(Step):
    """NIS domain name, as seen in the UTS namespace."""

    name: bytes


@dataclass(frozen=True, slots=True)
class BringUpLoopback(Step):
    """A new network namespace has its loopback interface down."""


@dataclass(frozen=True, slots=True)
class NewSessionKeyring(Step):
    """Leave the supervisor's keys behind."""


# -- root file system ----------------------------------------------------------------


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
        return _text(self.path)


@dataclass(frozen=True, slots=True)
class RootOverlay(Step):
    """Directories under an empty writable layer, a tmpfs, become the root."""

    lower: tuple[bytes, ...]
    upper_options: tuple[Option, ...]
    overlay_options: tuple[Option, ...]

    def _subject(self) -> str:
        return ":".join(map(_text, self.lower))


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
        return f"{_text(self.kind)} on {_text(self.destination)}"


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
        return f"{_text(self.source)} on {_text(self.destination)}"


@dataclass(frozen=True, slots=True)
class ChangePropagation(Step):
    """Of a mount that is there."""

    destination: bytes
    propagation: int
    recursive: bool

    def _subject(self) -> str:
        return f"of {_text(self.destination)}"


@dataclass(frozen=True, slots=True)
class ChangeAttributes(Step):
    """Of a mount that is there: read-only, once all in it has been made."""

    destination: bytes
    attr_set: int
    attr_clr: int = 0
    rec_set: int = 0
    rec_clr: int = 0

    def _subject(self) -> str:
        return f"of {_text(self.destination)}"


@dataclass(frozen=True, slots=True)
class MakeNodes(Step):
    """Devices and FIFOs of one directory: (name, mode and type, device, uid, gid)."""

    directory: bytes
    nodes: tuple[tuple[bytes, int, int, int, int], ...]

    def _subject(self) -> str:
        return f"in {_text(self.directory)}"


@dataclass(frozen=True, slots=True)
class BindNodes(Step):
    """The same with the host's own devices, where mknod(2) is refused."""

    directory: bytes
    nodes: tuple[tuple[bytes, int, int, int, int], ...]

    def _subject(self) -> str:
        return f"in {_text(self.directory)}"


@dataclass(frozen=True, slots=True)
class MakeSymlinks(Step):
    """Symbolic links: (path, target)."""

    links: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class MakeDirectories(Step):
    """Directories: (path, mode)."""

    directories: tuple[tuple[bytes, int], ...]


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
class MoveRoot(Step):
    """The same without pivot_root(2)."""


# -- the process ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTerminal(Step):
    """A terminal of the container's own devpts as stdin, stdout and stderr."""

    rows: int
    columns: int
    console: bool


@dataclass(frozen=True, slots=True)
class FindUser(Step):
    """Numbers for the user and groups, from the container's own files."""

    user: bytes
    additional: tuple[bytes, ...]

    def _subject(self) -> str:
        return _text(self.user)


@dataclass(frozen=True, slots=True)
class RaiseLimits(Step):
    """Raise hard limits, before CAP_SYS_RESOURCE is given up."""

    limits: Limits


@dataclass(frozen=True, slots=True)
class NoNewPrivs(Step):
    """No exec gives privileges any more."""


@dataclass(frozen=True, slots=True)
class LoadFilter(Step):
    """The system call filter, early: without no_new_privs it takes CAP_SYS_ADMIN."""

    bpf: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class OwnStdio(Step):
    """Give the program's pipes (numbers among the descriptors sent) to its user."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChangeDirectory(Step):
    """As root, since the user may not be able to pass through."""

    path: bytes

    def _subject(self) -> str:
        return f"to {_text(self.path)}"


@dataclass(frozen=True, slots=True)
class ChangeIdentity(Step):
    """Ids and the five capability sets (bit masks; ambient as numbers)."""

    drop_bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: tuple[int, ...]
    cwd: bytes


@dataclass(frozen=True, slots=True)
class Execute(Step):
    """Be the program. The filter goes last: nothing but execve comes after it."""

    arguments: tuple[bytes, ...]
    environment: tuple[tuple[bytes, bytes], ...]
    passed: Passed
    umask: int
    limits: Limits
    bpf: bytes | None
    flags: int

    def _subject(self) -> str:
        return _text(self.arguments[0])


@dataclass(frozen=True, slots=True)
class ExecuteInit(Step):
    """Be the built-in init."""

    passed: Passed
    umask: int
    limits: Limits
    bpf: bytes | None
    flags: int


VOCABULARY: Final = {step.call: step for step in Step.__subclasses__()}
"""Name in the helper -> step."""
