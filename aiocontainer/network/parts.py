"""What the parts of a container's network have in common."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ..config import PublishedPort
from ..errors import NetworkError
from .netlink import Netlink

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Will: TypeAlias = tuple[tuple[Any, ...], ...]


class Helper(Protocol):
    """What the spawner does for us."""

    def open_relay(
        self, pidfd: int | None
    ) -> AbstractAsyncContextManager[list[socket.socket]]:
        """Sockets for rtnetlink here, and there if a process is given, whose kernel may
        take its time."""

    async def open_netlink(self, pidfd: int, protocol: int) -> socket.socket:
        """A netlink socket of the network namespace that a process is in."""

    def new_key(self) -> int:
        """A number to be used for one `bequeath`."""

    async def bequeath(self, key: int, will: Will, sockets: tuple[int, ...]) -> None:
        """Have this done if the program is lost; see `proc.helper.network`."""

    def forget(self, key: int) -> None:
        """Undo `bequeath`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part is made."""

    host: Netlink
    inside: Netlink
    pid: int
    """A process in the container's network namespace."""
    pidfd: int


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """An interface that a container has, as it is."""

    interface: str
    """Its name in the container."""
    addresses: tuple[Interface, ...]
    """With prefix lengths."""
    host_interface: str | None = None
    """The other end, of the host."""
    bridge: str | None = None
    gateway: Address | None = None
    """Where its IPv4 default route leads."""
    ports: tuple[PublishedPort, ...] = ()
    """Ports of the host that lead to it; a free one that was asked for has its number.
    """
    masqueraded: bool = False
    """What it sends elsewhere bears an address of the host, which forwards it."""

    @property
    def address(self) -> Address | None:
        """Its first address."""
        return self.addresses[0].ip if self.addresses else None


class Part(Protocol):
    """One interface of a container."""

    @property
    def status(self) -> NetworkStatus | None:
        """What it is, while it is attached."""

    async def attach(self, place: Place) -> None:
        """Make it. Cancelled or failed, `detach` is called."""

    async def detach(self, host: Netlink) -> None:
        """Remove it, and what is left of half of it. May be called again."""


@contextlib.contextmanager
def step(interface: str, name: str) -> Iterator[None]:
    """Make a `NetworkError` of what the kernel refuses in this step."""
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        reason = error.strerror or os.strerror(code)
        raise NetworkError(interface, name, reason) from error
