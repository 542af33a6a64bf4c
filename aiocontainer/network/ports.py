"""Ports of the host that lead into containers: kept, so that each has one taker."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from .._sys.libc import call
from ..config import PublishedPort, replace
from .nftables import PortRule
from .parts import Address, step

_ANY: Final[dict[int, Address]] = {
    4: ipaddress.IPv4Address(0),
    6: ipaddress.IPv6Address(0),
}


class Published:
    """Ports of one container. Each is bound by a socket that nothing ever reaches, so
    that the kernel refuses it to others, and tells us who was first."""

    def __init__(self) -> None:
        self.ports: tuple[PublishedPort, ...] = ()
        """With the numbers that were chosen."""
        self.rules: tuple[PortRule, ...] = ()
        self._sockets: list[socket.socket] = []

    def reserve(
        self, ports: Sequence[PublishedPort], addresses: Sequence[Address]
    ) -> None:
        """Take the ports, which are to lead to a container of these addresses.

        Raises:
            NetworkError: one is taken already.
        """
        kept: list[PublishedPort] = []
        rules: list[PortRule] = []
        for port in ports:
            chosen = port
            for address in addresses:
                at = port.host_address
                if at is not None and at.version != address.version:
                    continue
                words = f"publish port {chosen.host_port}/{port.protocol}"
                with step("", words):
                    number = self._bind(chosen, at or _ANY[address.version])
                chosen = replace(chosen, host_port=number)
                rules.append(
                    PortRule(port.protocol, at, number, address, port.container_port)
                )
            kept.append(chosen)
        self.ports, self.rules = tuple(kept), tuple(rules)

    def _bind(self, port: PublishedPort, at: Address) -> int:
        family = socket.AF_INET if at.version == 4 else socket.AF_INET6
        kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
        sock: socket.socket = call("socket", socket.socket, family, kind)
        self._sockets.append(sock)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        call("bind", sock.bind, (str(at), port.host_port))
        number: int = sock.getsockname()[1]
        return number

    @property
    def reaches_loopback(self) -> bool:
        """Whether programs of the host reach one by 127.0.0.1."""
        hosts = (rule.host_address for rule in self.rules if rule.address.version == 4)
        return any(host is None or host.is_loopback for host in hosts)

    def close(self) -> None:
        """Let the ports go."""
        self.ports = self.rules = ()
        while self._sockets:
            self._sockets.pop().close()
