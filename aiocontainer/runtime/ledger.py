"""What is written down of one container, from before it is made until it is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from ..cgroups import Cgroup
from ..cgroups.saved import inodes, saved
from ..errors import ContainerNotFound, StateError
from ..proc import spawner
from ..state import Folder, Identity, Record, Store, gate
from .locking import lock, locked
from .remaining import end_and_remove


class Ledger:
    """Keeps the record of one container true. An attachment: the first to come, when
    the first process is known but hasn't gone on, and the last to go."""

    def __init__(
        self, store: Store, id: str, config: dict[str, Any], extra: dict[str, Any]
    ) -> None:
        """Touch nothing yet.

        Args:
            store: where it is kept.
            id: the container's.
            config: for who loads it.
            extra: what the caller wants to keep with it.
        """
        self.store = store
        self.id = id
        self.cgroup: Callable[[], Cgroup | None] = lambda: None
        self._config = config
        self._extra = extra
        self.is_broken = False
        """Somebody removed half of what is written down, and was killed: the rest is to
        be removed by what is written."""
        self._folder: Folder | None = None
        self._record: Record | None = None

    def open(self, folder: Folder, record: Record) -> None:
        """Take over the folder of a container that is there already."""
        self._folder, self._record = folder, record

    @property
    def record(self) -> Record | None:
        """As it was written or read last; ``None`` before there is any."""
        return self._record

    # -- making ------------------------------------------------------------------------

    def begin(self, args: tuple[str, ...], directories: tuple[str, ...]) -> None:
        """Write down what is about to be made; the lock is ours from now on.

        Raises:
            ContainerExists: the id is taken.
            StateError: it can't be written.
        """
        record = Record(
            self.id,
            Identity.own(),
            spawner=Identity.of(spawner.current().pid),
            args=list(args),
            directories=dict.fromkeys(directories),
            config=self._config,
            extra=self._extra,
        )
        self._folder = self.store.create(record)
        self._record = record

    def build_gate(self) -> int:
        """The descriptor that the first process is to wait behind; the caller's."""
        return gate.build(self._open_folder())

    async def attach(self, pid: int, pidfd: int) -> None:
        """Write down what has been made; the first process waits for that.

        Raises:
            StateError: it can't be written.
        """
        record = self._open_record()
        record.init = Identity.of(pid)
        record.spawner = Identity.of(spawner.current().pid)  # it may be another by now
        cgroup = self.cgroup()
        if cgroup is not None:
            record.directories = inodes(cgroup)
            record.cgroup = saved(cgroup)
        record.phase = "ready"
        self._open_folder().write(record)

    async def started(self, pid: int) -> None:
        """Nothing is to be done."""

    def made(self, *, detached: bool) -> None:
        """All is made; others may have the lock. ``detached``: it isn't ours alone."""
        if detached:
            record = self._open_record()
            record.detached = True
            self._open_folder().write(record)
        self._open_folder().unlock()

    # -- while it is there -------------------------------------------------------------

    def gate_is_shut(self) -> bool:
        """Whether the first process waits behind the gate."""
        return self._folder is not None and gate.is_shut(self._folder)

    def read(self) -> Record | None:
        """What is written now; ``None`` once it is gone, or can't be read."""
        with contextlib.suppress(ContainerNotFound, StateError):
            if self._folder is not None:
                return self._folder.read()
        return None

    def note_exit(self, status: int | None) -> None:
        """Keep how it ended, for who comes too late to see it; if the lock is free."""
        with (
            contextlib.suppress(ContainerNotFound, StateError),
            self.store.open(self.id) as folder,
        ):
            record = folder.read() if folder.try_lock() else None
            if record is not None and record.init == self._open_record().init:
                record.exit_status = status
                folder.write(record)

    # -- leaving -----------------------------------------------------------------------

    async def detach(self) -> None:
        """Remove it; fine if another program did.

        Raises:
            StateError: it can't be removed.
            CgroupBusy: what it tells of can't be.
        """
        folder, self._folder = self._folder, None
        if folder is None:
            return
        try:
            await lock(folder)
            if self.is_broken:
                await end_and_remove(self._open_record())
            folder.remove()
        except ContainerNotFound:
            pass
        finally:
            folder.close()

    def close(self) -> None:
        """Leave it to others."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.close()

    async def lock(self) -> Folder:
        """The folder with its lock, for one move; the caller's to close.

        Raises:
            ContainerNotFound: it is gone.
            StateError: another program holds it.
        """
        return await locked(self.store, self.id)

    def _open_folder(self) -> Folder:
        if self._folder is None:
            raise ContainerNotFound(self.id)
        return self._folder

    def _open_record(self) -> Record:
        if self._record is None:
            raise ContainerNotFound(self.id)
        return self._record
