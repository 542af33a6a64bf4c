"""A pair of interfaces, one in the container and one on the host."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from ..config import Veth
from ..errors import NetworkError
from . import links
from .netlink import Netlink
from .parts import Address, Interface, NetworkStatus, Place, step
from .removal import gone


@dataclass(frozen=True, slots=True)
class Inside:
    """How the container's end is to be."""

    name: str
    addresses: tuple[Interface, ...] = ()
    gateways: tuple[Address, ...] = ()


async def set_up(place: Place, inside: Inside) -> None:
    """Give the container's end its addresses, and bring it up with its routes."""
    name = inside.name
    with step(name, "find the interface"):
        link = await links.find(place.inside, name)
    if link is None:
        raise NetworkError(name, "find the interface", "it has gone")
    for address in inside.addresses:
        with step(name, f"add the address {address}"):
            await links.add_address(
                place.inside, link.index, links.Assigned.usual(address)
            )
    with step(name, "bring the interface up"):
        await links.set_up(place.inside, link.index)
    for gateway in inside.gateways:
        with step(name, f"add a default route by {gateway}"):
            await links.add_route(
                place.inside,
                None,
                version=gateway.version,
                gateway=gateway,
                index=link.index,
            )


class HostEnd:
    """The host's end of a pair."""

    def __init__(self) -> None:
        self.name = ""
        self.index = 0

    async def make(self, place: Place, pair: links.Pair, bridge: int | None) -> None:
        """Make the pair; `FileExistsError` where the name is taken."""
        # Known before: if the answer is lost, it may be there all the same.
        self.name, self.index = pair.name, links.new_index()
        await links.add_veth(place.host, pair, self.index, place.pid, bridge)

    async def remove(self, host: Netlink) -> None:
        """Return once it is gone, with the container's namespace or before."""
        if self.index:
            await gone(host, self.index, self.name)
        self.name, self.index = "", 0


class VethPart:
    """What `Veth` of a config says."""

    def __init__(self, config: Veth) -> None:
        self._config = config
        self._end = HostEnd()
        self.status: NetworkStatus | None = None

    async def attach(self, place: Place) -> None:
        """See `Part`."""
        config = self._config
        name = config.host_name or f"veth{secrets.token_hex(4)}"
        bridge = None if config.bridge is None else await self._bridge(place.host)
        pair = links.Pair(
            name, config.name, config.mac_address, config.mtu, config.tx_queue_len
        )
        with step(config.name, f"make the pair with {name}"):
            await self._end.make(place, pair, bridge)
        if config.hairpin or config.isolated:
            with step(name, f"set its options as a port of {config.bridge}"):
                await links.set_port(
                    place.host,
                    self._end.index,
                    hairpin=config.hairpin,
                    isolated=config.isolated,
                )
        both: tuple[Interface | None, ...] = (config.address, config.address6)
        ways: tuple[Address | None, ...] = (config.gateway, config.gateway6)
        addresses = tuple(address for address in both if address is not None)
        gateways = tuple(gateway for gateway in ways if gateway is not None)
        await set_up(place, Inside(config.name, addresses, gateways))
        self.status = NetworkStatus(
            config.name, addresses, name, config.bridge, config.gateway
        )

    async def _bridge(self, host: Netlink) -> int:
        name = self._config.bridge or ""
        with step(name, "find the bridge"):
            link = await links.find(host, name)
        if link is None:
            raise NetworkError(name, "find the bridge", "there is none of that name")
        if link.kind != "bridge":
            raise NetworkError(name, "use the bridge", "it is none")
        return link.index

    async def detach(self, host: Netlink) -> None:
        """See `Part`."""
        self.status = None
        await self._end.remove(host)
