"""What a container has outside of its processes and its cgroup: network, hooks..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Attachment(Protocol):
    """Something that comes and goes with one container."""

    async def attach(self, pid: int, pidfd: int) -> None:
        """Make it, while the first process waits with all namespaces and mounts made.

        Runs before the container's root becomes its root, and before the program.
        Cancelled or failed, the container is destroyed, and `detach` is called.

        Args:
            pid: the first process, as the caller sees it; it can't end unreaped.
            pidfd: of the same; stays the caller's.

        Raises:
            ContainerError: it can't be made.
        """

    async def started(self, pid: int) -> None:
        """Called once the container's program runs."""

    async def detach(self) -> None:
        """Remove it, once all processes have ended; also after a failed `attach`, or
        none. Idempotent, never cancelled, bounded in time.

        Raises:
            ContainerError: something can't be removed.
        """


class Attachments:
    """All that is attached to one container, in the order in which it is made."""

    def __init__(self, attachments: Sequence[Attachment]) -> None:
        self._all = tuple(attachments)
        self._touched: list[Attachment] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    def __iter__(self) -> Iterator[Attachment]:
        return iter(self._all)

    def adopt(self) -> None:
        """All were made by another program, of the same config; `detach` is ours now."""
        self._touched = list(self._all)

    async def attach(self, pid: int, pidfd: int) -> None:
        """Make all, one after the other; see `Attachment.attach`."""
        for attachment in self._all:
            self._touched.append(attachment)
            await attachment.attach(pid, pidfd)

    async def started(self, pid: int) -> None:
        """See `Attachment.started`."""
        for attachment in self._all:
            await attachment.started(pid)

    async def detach(self) -> None:
        """Remove what was made, the last first. Each is tried; the first error is
        raised."""
        failed: Exception | None = None
        while self._touched:
            try:
                await self._touched[-1].detach()
            except Exception as error:
                failed = failed or error
            self._touched.pop()  # not before: cancelled, this is called again
        if failed is not None:
            raise failed
