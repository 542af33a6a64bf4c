"""The steps of bind mounts: one for most, two for what has to be prepared first."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence

from ..config import Config, IdMapping, Mount
from ..config.mount_ids import mount_mappings
from ..config.options import MS_PRIVATE, MS_SHARED, MS_SLAVE
from ..config.rootfs import DirectoryRootfs
from . import steps as s

_WORDS = frozenset(("copy-symlink", "dest-nofollow", "src-nofollow"))


class Trees:
    """Numbers for the trees of one plan, in the order in which they are prepared."""

    def __init__(self, config: Config, user_namespace: int | None = None) -> None:
        self._config = config
        self._user_namespace = user_namespace
        every = (*config.system_mounts, *config.mounts)
        # In a user namespace nobody may translate the owners of the host's files.
        self._early = [
            mount
            for mount in every
            if mount.is_id_mapped and config.namespaces.user != "host"
        ]
        rootfs = config.rootfs
        self._root = rootfs if getattr(rootfs, "idmap", False) else None
        before = 0 if self._root is None else 1
        self._early_numbers = itertools.count(before)
        self._numbers = itertools.count(before + len(self._early))

    def of_host(self) -> Iterator[s.Step]:
        """What is done with the host's rights, before the child is made."""
        if isinstance(self._root, DirectoryRootfs):
            yield self._prepare_root(self._root)
        for mount in self._early:
            yield self.prepare(mount, propagation_of(mount), locked=True)

    def bind(self, mount: Mount, private: int) -> Iterator[s.Step]:
        """What the child does."""
        options = mount.parsed
        if mount.is_id_mapped and self._early:
            yield attach(mount, next(self._early_numbers))
        elif mount.is_id_mapped or options.flags & _WORDS:
            yield self.prepare(mount, private)
            yield attach(mount, next(self._numbers))
        else:
            yield s.Bind(
                _source(mount),
                os.fsencode(mount.destination),
                options.recursive,
                options.attr_set,
                options.attr_clear,
                options.recursive_set,
                options.recursive_clear,
                private,
            )

    def prepare(
        self, mount: Mount, private: int, *, locked: bool = False
    ) -> s.PrepareTree:
        """Have a tree made of the host's mount."""
        options = mount.parsed
        return s.PrepareTree(
            _source(mount),
            options.recursive,
            options.flags.isdisjoint(("src-nofollow", "copy-symlink")),
            options.attr_set,
            options.attr_clear,
            options.recursive_set,
            options.recursive_clear,
            private,
            self._mapping(mount),
            "ridmap" in options.flags,
            locked,
        )

    def _prepare_root(self, rootfs: DirectoryRootfs) -> s.PrepareTree:
        follows = self._config.rootfs_propagation in ("slave", "shared")
        return s.PrepareTree(
            os.fsencode(rootfs.path),
            recursive=True,
            follow=False,
            propagation=MS_SLAVE if follows else MS_PRIVATE,
            mapping=self._own_mapping(),
            locked=True,
        )

    def _mapping(self, mount: Mount) -> tuple[bytes, bytes] | int | None:
        if not mount.is_id_mapped:
            return None
        own = (self._config.uid_mappings, self._config.gid_mappings)
        found = mount_mappings(mount, *own)
        if found is None:
            return self._own_mapping()
        return mapping_text(found[0]), mapping_text(found[1])

    def _own_mapping(self) -> tuple[bytes, bytes] | int:
        if self._user_namespace is not None:
            return self._user_namespace
        config = self._config
        return mapping_text(config.uid_mappings), mapping_text(config.gid_mappings)


def follows(mount: Mount) -> bool:
    """Whether what the host mounts below the source is to show up."""
    return any(p.flag in (MS_SLAVE, MS_SHARED) for p in mount.parsed.propagation)


def propagation_of(mount: Mount) -> int:
    """For a copy that is made among the host's mounts."""
    return MS_SLAVE if follows(mount) else MS_PRIVATE


def attach(mount: Mount, number: int) -> s.AttachTree:
    """Attach the tree that was prepared for this mount."""
    flags = mount.parsed.flags
    return s.AttachTree(
        _source(mount),
        os.fsencode(mount.destination),
        number,
        "dest-nofollow" not in flags,
        "copy-symlink" in flags,
    )


def _source(mount: Mount) -> bytes:
    assert mount.source is not None  # by validation
    return os.fsencode(mount.source)


def mapping_text(extents: Sequence[IdMapping]) -> bytes:
    """What is written to uid_map or gid_map, at once (user_namespaces(7))."""
    lines = (f"{e.container_id} {e.host_id} {e.size}\n" for e in extents)
    return "".join(lines).encode()
