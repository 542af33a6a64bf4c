"""Mount options: the words of mount(8) and of the OCI table, and what they mean.

The values are those of ``include/uapi/linux/mount.h``, as plain integers, so that the
plan can use them without loading anything else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = (
    "MOUNT_ATTR_NOATIME",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NODIRATIME",
    "MOUNT_ATTR_NOEXEC",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_NOSYMFOLLOW",
    "MOUNT_ATTR_RDONLY",
    "MOUNT_ATTR_RELATIME",
    "MOUNT_ATTR_STRICTATIME",
    "MOUNT_ATTR__ATIME",
    "MS_PRIVATE",
    "MS_SHARED",
    "MS_SLAVE",
    "MS_UNBINDABLE",
    "PROPAGATIONS",
    "MountOptions",
    "Propagation",
    "parse_options",
)

MOUNT_ATTR_RDONLY: Final = 0x0000_0001
MOUNT_ATTR_NOSUID: Final = 0x0000_0002
MOUNT_ATTR_NODEV: Final = 0x0000_0004
MOUNT_ATTR_NOEXEC: Final = 0x0000_0008
MOUNT_ATTR__ATIME: Final = 0x0000_0070
"""Mask of the access time modes, which are numbers in these bits and not flags."""
MOUNT_ATTR_RELATIME: Final = 0x0000_0000
MOUNT_ATTR_NOATIME: Final = 0x0000_0010
MOUNT_ATTR_STRICTATIME: Final = 0x0000_0020
MOUNT_ATTR_NODIRATIME: Final = 0x0000_0080
MOUNT_ATTR_NOSYMFOLLOW: Final = 0x0020_0000

MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20

PROPAGATIONS: Final[dict[str, int]] = {
    "private": MS_PRIVATE,
    "shared": MS_SHARED,
    "slave": MS_SLAVE,
    "unbindable": MS_UNBINDABLE,
}
"""Propagation words and their ``MS_*`` value; with an ``r`` before, recursive."""


@dataclass(frozen=True, slots=True)
class Propagation:
    """One change of propagation."""

    flag: int
    """One of the ``MS_*`` values."""
    recursive: bool
    """For all mounts below too."""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What a list of option words asks for."""

    attr_set: int = 0
    """``MOUNT_ATTR_*`` to set on the mount."""
    attr_clear: int = 0
    """``MOUNT_ATTR_*`` to clear; holds the whole access time mask when a mode is asked
    for, as mount_setattr(2) demands."""
    recursive_set: int = 0
    """``MOUNT_ATTR_*`` to set on the mount and all below it (``rro``, ``rnosuid``…)."""
    recursive_clear: int = 0
    bind: bool = False
    """A bind mount."""
    recursive: bool = False
    """A bind mount that takes the mounts below the source along (``rbind``)."""
    propagation: tuple[Propagation, ...] = ()
    """In the order given."""
    superblock: tuple[str, ...] = ()
    """Words for all file systems, for ``fsconfig(FSCONFIG_SET_FLAG)``: ``sync`` …"""
    flags: frozenset[str] = frozenset()
    """Words that we act on: ``tmpcopyup``, ``copy-symlink``, ``src-nofollow``,
    ``dest-nofollow``, ``idmap``, ``ridmap``, ``remount``, ``silent``."""
    id_ranges: str = ""
    """What follows ``idmap=`` or ``ridmap=``."""
    data: tuple[str, ...] = ()
    """All others, which are the file system's own, in the order given."""


# word -> (attributes to set, attributes to clear)
_ATTRIBUTES: Final[dict[str, tuple[int, int]]] = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
    "strictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
    # All of these ask for the kernel's default mode, which is relatime since 2.6.30.
    "relatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "atime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "norelatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "nostrictatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
}

# The words that vfs_parse_sb_flag (fs/fs_context.c) takes for every file system.
# Each replaces its opposite.
_SUPERBLOCK: Final[dict[str, str]] = {
    "sync": "async",
    "async": "sync",
    "dirsync": "",
    "lazytime": "nolazytime",
    "nolazytime": "lazytime",
    "mand": "nomand",
    "nomand": "mand",
}

_FLAGS: Final = frozenset(
    {
        "copy-symlink",
        "dest-nofollow",
        "idmap",
        "remount",
        "ridmap",
        "silent",
        "src-nofollow",
        "tmpcopyup",
    }
)

# Words of the OCI table that undo a default which we never set, or (i_version) ask for
# what a file system does of itself where it can, since Linux 6.x.
_WITHOUT_EFFECT: Final = frozenset({"defaults", "loud", "iversion", "noiversion"})

KNOWN_OPTIONS: Final = frozenset(
    {*_ATTRIBUTES, *(f"r{word}" for word in _ATTRIBUTES), "bind", "rbind"}
    | {*PROPAGATIONS, *(f"r{word}" for word in PROPAGATIONS)}
    | {*_SUPERBLOCK, *_FLAGS, *_WITHOUT_EFFECT}
)
"""All words that have a meaning of their own; the others are a file system's."""


def parse_options(options: Iterable[str]) -> MountOptions:
    """Sort option words by what they do. Of words that contradict, the last counts.

    Pure, and never fails: unknown words are the file system's own.
    """
    plain = [0, 0]
    recursive = [0, 0]
    bind = rbind = False
    propagation: list[Propagation] = []
    superblock: list[str] = []
    flags: set[str] = set()
    data: list[str] = []
    id_ranges = ""
    for word in options:
        if word in _ATTRIBUTES:
            _apply(plain, *_ATTRIBUTES[word])
        elif word[:1] == "r" and word[1:] in _ATTRIBUTES:
            _apply(recursive, *_ATTRIBUTES[word[1:]])
        elif word in ("bind", "rbind"):
            bind, rbind = True, rbind or word == "rbind"
        elif (name := word.removeprefix("r")) in PROPAGATIONS:
            propagation.append(Propagation(PROPAGATIONS[name], word != name))
        elif word in _SUPERBLOCK:
            superblock = [w for w in superblock if w not in (word, _SUPERBLOCK[word])]
            superblock.append(word)
        elif word[:1] == "r" and word[1:] in _SUPERBLOCK:  # crun has these
            superblock.append(word[1:])
        elif word in _FLAGS:
            flags.add(word)
        elif word.startswith(("idmap=", "ridmap=")):
            kind, _, id_ranges = word.partition("=")
            flags.add(kind)
        elif word not in _WITHOUT_EFFECT:
            data.append(word)
    return MountOptions(
        attr_set=plain[0],
        attr_clear=plain[1],
        recursive_set=recursive[0],
        recursive_clear=recursive[1],
        bind=bind,
        recursive=rbind,
        propagation=tuple(propagation),
        superblock=tuple(superblock),
        flags=frozenset(flags),
        id_ranges=id_ranges,
        data=tuple(data),
    )


def _apply(attributes: list[int], wanted: int, unwanted: int) -> None:
    """Take one word into ``[set, clear]``; it overrides the earlier ones."""
    attributes[0] = attributes[0] & ~unwanted | wanted
    attributes[1] = attributes[1] & ~wanted | unwanted
