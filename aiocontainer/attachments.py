"""What a container has outside of its processes and its cgroup: network, hooks..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from .config import Config, Loopback, UserNetwork


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
        """All were made by another program, of the same config: ours to `detach`."""
        self._touched = list(self._all)

    def let_live(self) -> None:
        """All are to stay as they are when this program goes: those that would be
        removed then have a method of this name."""
        for attachment in self._touched:
            stay = getattr(attachment, "let_live", None)
            if stay is not None:
                stay()

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


def attachments_of(config: Config, name: str) -> list[Attachment]:
    """What a container of this config has beside processes and cgroup, in order."""
    inner: list[Attachment] = []
    by_kernel = [n for n in config.network if type(n) not in (Loopback, UserNetwork)]
    if by_kernel:
        from .network.attach import Networking
        from .proc.sockets import NetworkHelper

        inner.append(Networking(by_kernel, NetworkHelper()))
    for network in config.network:
        if isinstance(network, UserNetwork):
            from .user_networking import UserNetworking

            inner.append(UserNetworking(network))
    if config.intel_rdt is not None:
        from .intel_rdt import IntelRdtGroup

        inner.append(IntelRdtGroup(config.intel_rdt, name))
    if not config.hooks:
        return inner
    from .hooks import PoststopHooks, ProgramHooks

    # The last detached, and the last attached: hooks find all else made, or gone.
    return [PoststopHooks(config, name), *inner, ProgramHooks(config, name)]


def more_files(config: Config, name: str) -> tuple[str, ...]:
    """What a later process joins beside its cgroup."""
    if config.intel_rdt is None:
        return ()
    from .intel_rdt import task_files

    return task_files(config.intel_rdt, name)
