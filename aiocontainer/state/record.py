"""What a state file says, and how it is read: as if written by a stranger."""

from __future__ import annotations

import os
import time

from ..errors import StateError
from . import quick_json
from .identity import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Literal, TypeAlias

    Phase: TypeAlias = Literal["intent", "ready"]

VERSION: Final = 1
"""Of the format. Readers take what is older, and refuse what is newer."""

PHASES: Final = ("intent", "ready")


class Record:
    """One container: first what is about to be made, then what there is.

    Written before the first side effect (``intent``), and again when cgroup and first
    process are there (``ready``), before that process goes on.
    """

    __slots__ = (
        "args",
        "boot_id",
        "cgroup",
        "checkpoint",
        "config",
        "created_ns",
        "detached",
        "directories",
        "exit_status",
        "extra",
        "id",
        "init",
        "owner",
        "phase",
        "spawner",
    )

    def __init__(
        self,
        id: str,
        owner: Identity,
        *,
        phase: Phase = "intent",
        boot_id: str | None = None,
        created_ns: int | None = None,
        spawner: Identity | None = None,
        detached: bool = False,
        args: list[str] | None = None,
        init: Identity | None = None,
        directories: dict[str, int | None] | None = None,
        cgroup: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
        exit_status: int | None = None,
        checkpoint: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Take everything as it is; `parse` is for what comes from a file."""
        self.id = id
        self.owner = owner
        """The program that made it, and removes it unless it is detached."""
        self.spawner = spawner
        """The owner's fork server, which cleans up after it if it can."""
        self.phase: Phase = phase
        self.boot_id = this_boot() if boot_id is None else boot_id
        """Nothing that is said here outlives a reboot."""
        self.created_ns = time.time_ns() if created_ns is None else created_ns
        """When, in nanoseconds since 1970."""
        self.detached = detached
        """It lives on without its program."""
        self.args = [] if args is None else args
        """What its own program was started as."""
        self.init = init
        """Its first process, from ``ready`` on."""
        self.directories = {} if directories is None else directories
        """Its cgroup's directories in all hierarchies, outer ones first, and their
        inodes once they were made: a path alone may be another's by now."""
        self.cgroup = {} if cgroup is None else cgroup
        """What kind of cgroup it is, for who opens it again."""
        self.config = {} if config is None else config
        """The container's config, for who loads it."""
        self.exit_status = exit_status
        """How its program ended, where somebody saw it: negative for a signal."""
        self.checkpoint = checkpoint
        """Directory of its checkpoint, if it ended in one."""
        self.extra = {} if extra is None else extra
        """Whatever a layer above wants to keep: bundle, annotations."""

    @property
    def is_alive(self) -> bool:
        """Its first process runs; not if that is yet to come."""
        is_of_today = self.boot_id == this_boot()
        return is_of_today and self.init is not None and self.init.is_alive

    def text(self) -> bytes:
        """The state file: a line for each field."""
        lines = [f'"aiocontainer": {VERSION}']
        for name in self.__slots__:
            value = getattr(self, name)
            value = value.as_list() if isinstance(value, Identity) else value
            lines.append(f'"{name}": {quick_json.line(value)}')
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def parse(path: str, text: bytes) -> Record:
    """The record that ``text`` is.

    Raises:
        StateError: it is cut off, damaged, another program's, or of a later version.
    """
    try:
        fields = quick_json.loads(text)
    except (ValueError, RecursionError):
        raise StateError(path, "is cut off or damaged") from None
    version = fields.pop("aiocontainer", None) if isinstance(fields, dict) else None
    if not isinstance(version, int) or not _is_whole(version):
        raise StateError(path, "was not written by aiocontainer", is_foreign=True)
    if version > VERSION:
        reason = f"was written by a later version (format {version})"
        raise StateError(path, reason, is_foreign=True)
    if fields.keys() != set(Record.__slots__):
        raise StateError(path, "is damaged: fields are missing or unknown")
    for name, value in fields.items():
        if not _CHECKS[name](value):
            raise StateError(path, f"is damaged: {name} can't be {str(value)[:40]!r}")
    fields["owner"] = Identity(*fields["owner"])
    for name in ("init", "spawner"):
        if fields[name] is not None:
            fields[name] = Identity(*fields[name])
    return Record(**fields)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_identity(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(_is_whole(number) and number > 0 for number in value)
    )


def _is_path(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith("/")
        and "\0" not in value
        and ".." not in value.split("/")
    )


def _is_directories(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_path(path) and (inode is None or _is_whole(inode))
        for path, inode in value.items()
    )


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_CHECKS: Final[dict[str, Callable[[object], bool]]] = {
    "args": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "boot_id": _is_text,
    "cgroup": _is_mapping,
    "checkpoint": lambda value: value is None or _is_text(value),
    "config": _is_mapping,
    "created_ns": _is_whole,
    "detached": lambda value: isinstance(value, bool),
    "directories": _is_directories,
    "exit_status": lambda value: value is None or _is_whole(value),
    "extra": _is_mapping,
    "id": _is_text,
    "init": lambda value: value is None or _is_identity(value),
    "owner": _is_identity,
    "phase": lambda value: isinstance(value, str) and value in PHASES,
    "spawner": lambda value: value is None or _is_identity(value),
}


_this_boot: list[str] = []


def this_boot() -> str:
    """What the kernel calls the time from its start to its end."""
    if not _this_boot:
        descriptor = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY)
        try:
            _this_boot.append(os.read(descriptor, 100).decode().strip())
        finally:
            os.close(descriptor)
    return _this_boot[0]
