"""A bridge of the host that is made with its first container and goes with its last.

The kernel keeps the leases: the host's end of a container's interface has the number of
the lease in its name, and a name can't be taken twice. So no two programs give out one
address, nothing has to be written down, and the kernel takes an address back when it
removes the namespace of a dead container, whoever lives or not.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Sequence
from typing import Final

from ..config import BridgeNetwork
from ..errors import NetworkError, UnsupportedFeature
from . import bridges, links
from .lock import locked, namespace_number
from .netlink import Netlink
from .nftables import Rules
from .parts import Address, Helper, Interface, NetworkStatus, Place, step
from .ports import Published
from .veth import HostEnd, Inside, set_up

_MOST_LEASES: Final = 1 << 16
"""More would not fit the name of an interface."""
_FORWARDING: Final = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


class BridgePart:
    """What `Network.bridge` says."""

    def __init__(
        self, config: BridgeNetwork, helper: Helper, *, default: bool = True
    ) -> None:
        self._config = config
        self._leads_out = default and not config.internal
        self._helper = helper
        self._membership = bridges.Membership(config.bridge)
        self._is_member = False
        self._end = HostEnd()
        self._published = Published()
        self._rules = Rules()
        self.status: NetworkStatus | None = None

    async def attach(self, place: Place) -> None:
        """See `Part`."""
        config = self._config
        masqueraded = self._forwards()
        async with locked(self._helper) as lock:
            self._is_member = True
            bridge = await bridges.join(
                place.host, config, self._helper, lock, self._membership
            )
            addresses = await self._lease(place, bridge)
        # A container that uses a port of its own comes back by the way it went.
        hairpin = bool(config.publish)
        if config.isolated or hairpin:
            with step(config.name, "set its options as a port of the bridge"):
                index, isolated = self._end.index, config.isolated
                await links.set_port(
                    place.host, index, hairpin=hairpin, isolated=isolated
                )
        gateways = tuple(a.ip for a in bridge.addresses) if self._leads_out else ()
        await set_up(place, Inside(config.name, addresses, gateways))
        await self._open(bridge, [a.ip for a in addresses], masqueraded)
        self.status = NetworkStatus(
            config.name,
            addresses,
            self._end.name,
            config.bridge,
            gateways[0] if gateways else None,
            self._published.ports,
            masqueraded,
        )

    def _forwards(self) -> bool:
        """Whether what the container sends elsewhere is to be masqueraded.

        Raises:
            UnsupportedFeature: it has to be, but the host forwards nothing.
        """
        config = self._config
        if config.internal or config.masquerade is False:
            return False
        if config.forwarding:
            versions = (4,) if config.subnet6 is None else (4, 6)
            with step("", "make the host forward packets"):
                for version in versions:
                    _write_sysctl(_FORWARDING[version], "1")
        if _read_sysctl(_FORWARDING[4]) == "1":
            return True
        if config.masquerade:
            raise UnsupportedFeature(
                "masquerading",
                "net.ipv4.ip_forward is 0, so this host forwards nothing",
                "set it to 1, or let forwarding=True do so",
            )
        return False

    async def _lease(
        self, place: Place, bridge: bridges.Bridge
    ) -> tuple[Interface, ...]:
        """Make the container's interface, with a number that nobody else has."""
        config = self._config
        v4 = bridge.address(4)
        v6 = bridge.address(6)
        assert v4 is not None  # by _joined
        offsets = min(v4.network.num_addresses - 1, _MOST_LEASES)
        place_of = (namespace_number(), bridge.index)
        cursor = bridges.cursors.get(place_of, 0)
        for turn in range(1, offsets):
            offset = (cursor + turn) % offsets
            addresses = [_nth(a, offset) for a in (v4, v6) if a is not None]
            if offset == 0 or {a.ip for a in addresses} & {
                a.ip for a in bridge.addresses
            }:
                continue
            # By its address: neighbours that still remember the one before are right.
            mac = "02:ac:" + addresses[0].ip.packed.hex(":")
            name = f"ac{bridge.index:x}-{offset:x}"
            pair = links.Pair(name, config.name, mac, config.mtu)
            try:
                with step(config.name, f"make the pair with {name}"):
                    await self._end.make(place, pair, bridge.index)
            except NetworkError as error:
                if isinstance(error.__cause__, FileExistsError):
                    continue
                raise
            bridges.cursors[place_of] = offset
            return tuple(addresses)
        reason = f"all addresses of {v4.network} are taken"
        raise NetworkError(config.name, "lease an address", reason)

    async def _open(
        self, bridge: bridges.Bridge, addresses: Sequence[Address], masqueraded: bool
    ) -> None:
        """Let it out, and others in by its published ports."""
        self._published.reserve(self._config.publish, addresses)
        rules = Rules(tuple(addresses) if masqueraded else (), self._published.rules)
        if rules:
            self._rules = rules
            with step(self._config.name, "add rules to nftables"):
                await bridge.table.add(rules)
        if self._published.reaches_loopback and not bridge.localnet:
            with step(bridge.name, "let packets from 127.0.0.1 out"):
                _write_sysctl(f"net/ipv4/conf/{bridge.name}/route_localnet", "1")
            bridge.localnet = True

    async def detach(self, host: Netlink) -> None:
        """See `Part`."""
        self.status = None
        await self._close()
        await self._end.remove(host)
        await self._leave(host)  # when it has no port by us any more

    async def _close(self) -> None:
        bridge = self._membership.bridge
        if self._rules and bridge is not None:
            with contextlib.suppress(FileNotFoundError):
                await bridge.table.remove(self._rules)
        self._rules = Rules()
        self._published.close()

    async def _leave(self, host: Netlink) -> None:
        if self._is_member:
            async with locked(self._helper):
                await bridges.leave(host, self._helper, self._membership)
            self._is_member = False


def _nth(address: Interface, offset: int) -> Interface:
    network = address.network
    host = network.network_address + offset
    return ipaddress.ip_interface(f"{host}/{network.prefixlen}")


def _read_sysctl(key: str) -> str:
    with open(f"/proc/sys/{key}") as file:
        return file.read().strip()


def _write_sysctl(key: str, value: str) -> None:
    with open(f"/proc/sys/{key}", "w") as file:
        file.write(value)
