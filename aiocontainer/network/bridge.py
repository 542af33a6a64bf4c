"""A bridge of the host that is made with its first container and goes with its last.

The kernel keeps the leases: the host's end of a container's interface has the number of
the lease in its name, and a name can't be taken twice. So no two programs give out one
address, nothing has to be written down, and the kernel takes an address back when it
removes the namespace of a dead container, whoever lives or not.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ..config import BridgeNetwork
from ..errors import NetworkError, UnsupportedFeature
from . import links
from .lock import locked, namespace_number
from .netlink import NLM_F_DUMP, Netlink, Request
from .nftables import Rules, Table
from .parts import Address, Helper, Interface, NetworkStatus, Place, Will, step
from .ports import Published
from .veth import HostEnd, Inside, set_up

_ALIAS: Final = "aiocontainer"
_INTERNAL: Final = "aiocontainer internal"
"""What we call a bridge of our own, so that the last of us knows it."""
_CANDIDATES: Final = tuple(
    ipaddress.IPv4Network(f"10.{second}.0.0/20") for second in range(213, 223)
)
_MOST_LEASES: Final = 1 << 20
"""More would not fit the name of an interface."""
_FORWARDING: Final = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


@dataclass(slots=True)
class Bridge:
    """A bridge that containers of this program are on."""

    index: int
    name: str
    is_ours: bool
    addresses: tuple[Interface, ...]
    table: Table
    key: int
    """What the spawner knows it by."""
    users: int = 0
    localnet: bool = field(default=False)

    def address(self, version: int) -> Interface | None:
        """Its own address of that IP version."""
        found = (a for a in self.addresses if a.version == version)
        return next(found, None)


_bridges: dict[tuple[int, int], Bridge] = {}
"""By namespace and index. Changed under the lock only."""
_cursors: dict[tuple[int, int], int] = {}
"""Where the last lease was found: addresses that were given back last come last."""


def _after_fork() -> None:
    """A fork of the program is not to keep our tables alive."""
    for bridge in _bridges.values():
        bridge.table.close()
    _bridges.clear()


os.register_at_fork(after_in_child=_after_fork)


class BridgePart:
    """What `Network.bridge` says."""

    def __init__(
        self, config: BridgeNetwork, helper: Helper, *, default: bool = True
    ) -> None:
        self._config = config
        self._leads_out = default and not config.internal
        self._helper = helper
        self._bridge: Bridge | None = None
        self._end = HostEnd()
        self._published = Published()
        self._rules = Rules()
        self.status: NetworkStatus | None = None

    async def attach(self, place: Place) -> None:
        """See `Part`."""
        config = self._config
        masqueraded = self._forwards()
        async with locked() as lock:
            bridge = await _joined(place.host, config, self._helper, lock)
            bridge.users += 1
            self._bridge = bridge
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

    async def _lease(self, place: Place, bridge: Bridge) -> tuple[Interface, ...]:
        """Make the container's interface, with a number that nobody else has."""
        config = self._config
        v4 = bridge.address(4)
        v6 = bridge.address(6)
        assert v4 is not None  # by _joined
        offsets = min(v4.network.num_addresses - 1, _MOST_LEASES)
        place_of = (namespace_number(), bridge.index)
        cursor = _cursors.get(place_of, 0)
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
            _cursors[place_of] = offset
            return tuple(addresses)
        reason = f"all addresses of {v4.network} are taken"
        raise NetworkError(config.name, "lease an address", reason)

    async def _open(
        self, bridge: Bridge, addresses: Sequence[Address], masqueraded: bool
    ) -> None:
        """Let it out, and others in by its published ports."""
        self._published.reserve(self._config.publish, addresses)
        rules = Rules(tuple(addresses) if masqueraded else (), self._published.rules)
        if rules:
            with step(self._config.name, "add rules to nftables"):
                await bridge.table.add(rules)
            self._rules = rules
        if self._published.reaches_loopback and not bridge.localnet:
            with step(bridge.name, "let packets from 127.0.0.1 out"):
                _write_sysctl(f"net/ipv4/conf/{bridge.name}/route_localnet", "1")
            bridge.localnet = True

    async def detach(self, host: Netlink) -> None:
        """See `Part`."""
        self.status = None
        if self._rules and self._bridge is not None:
            rules, self._rules = self._rules, Rules()
            await self._bridge.table.remove(rules)
        self._published.close()
        await self._end.remove(host)
        if self._bridge is not None:
            async with locked():
                bridge, self._bridge = self._bridge, None
                bridge.users -= 1
                if bridge.users == 0:
                    await _leave(host, bridge, self._helper)


def _nth(address: Interface, offset: int) -> Interface:
    network = address.network
    host = network.network_address + offset
    return ipaddress.ip_interface(f"{host}/{network.prefixlen}")


# -- making and removing it, under the lock --------------------------------------------


async def _joined(
    host: Netlink, config: BridgeNetwork, helper: Helper, lock: str
) -> Bridge:
    """The bridge, made if there is none."""
    name = config.bridge
    alias = _INTERNAL if config.internal else _ALIAS
    with step(name, "find the bridge"):
        link = await links.find(host, name)
    if link is None:
        link = await _make(host, config, alias)
    if link.kind != "bridge":
        raise NetworkError(name, "use the bridge", "it is none")
    known = _bridges.get((namespace_number(), link.index))
    if known is not None and known.name == name:
        _require_same(config, known.addresses, link, alias)
        return known
    is_ours = link.alias in (_ALIAS, _INTERNAL)
    try:
        with step(name, "read the addresses"):
            assigned = await links.addresses(host, link.index)
        addresses = tuple(one.address for one in assigned)
        _require_same(config, addresses, link, alias)
        return await _register(host, config, helper, lock, link, addresses)
    except BaseException:
        if is_ours:
            await _remove_unused(host, link.index)
        raise


async def _make(host: Netlink, config: BridgeNetwork, alias: str) -> links.Link:
    """A new bridge, with all that it is to have."""
    name = config.bridge
    subnets = [config.subnet or await _free_subnet(host)]
    addresses = [_first(subnet) for subnet in subnets]
    if config.subnet6 is not None:
        addresses.append(_first(config.subnet6))
    mac = "02:" + secrets.token_bytes(5).hex(":")
    with step(name, "make the bridge"):
        await links.add_bridge(host, name, mac, config.mtu)
        link = await links.find(host, name)
    if link is None:
        raise NetworkError(name, "make the bridge", "it has gone")
    try:
        with step(name, "set the bridge up"):
            for address in addresses:
                await links.add_address(host, link.index, links.Assigned.usual(address))
            await links.set_alias(host, link.index, alias)
            await links.set_up(host, link.index)
            found = await links.find(host, name)
    except BaseException:
        await links.delete(host, link.index)
        raise
    return found or link


def _first(subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Interface:
    return ipaddress.ip_interface(f"{subnet.network_address + 1}/{subnet.prefixlen}")


async def _free_subnet(host: Netlink) -> ipaddress.IPv4Network:
    with step("", "read the routes"):
        used = await links.destinations(host)
    for candidate in _CANDIDATES:
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    reason = f"none of {_CANDIDATES[0]} to {_CANDIDATES[-1]} is free: give a subnet"
    raise NetworkError("", "choose a subnet", reason)


def _require_same(
    config: BridgeNetwork,
    addresses: Sequence[Interface],
    link: links.Link,
    alias: str,
) -> None:
    """Refuse a bridge that isn't as this config wants it."""
    networks = {address.network for address in addresses}
    for wanted in (config.subnet, config.subnet6):
        if wanted is not None and wanted not in networks:
            has = ", ".join(map(str, networks)) or "no addresses"
            reason = f"it has {has}, and not {wanted}"
            raise NetworkError(link.name, "use the bridge", reason)
    if not any(network.version == 4 for network in networks):
        raise NetworkError(link.name, "use the bridge", "it has no IPv4 address")
    if link.alias in (_ALIAS, _INTERNAL) and link.alias != alias:
        kind = "internal" if link.alias == _INTERNAL else "not internal"
        raise NetworkError(link.name, "use the bridge", f"it is {kind}")


async def _register(
    host: Netlink,
    config: BridgeNetwork,
    helper: Helper,
    lock: str,
    link: links.Link,
    addresses: tuple[Interface, ...],
) -> Bridge:
    """Make our table for it, and have both removed if we are lost."""
    is_ours = link.alias in (_ALIAS, _INTERNAL)
    key = helper.new_key()
    with step(link.name, "open a socket for nftables"):
        table = Table(f"aiocontainer-{link.name}-{secrets.token_hex(4)}")
    try:
        will = _will(lock, link.index) if is_ours else ()
        await helper.bequeath(key, will, (table.fileno(),))
        with step(link.name, "make a table of nftables"):
            await table.create(
                link.name, [a.network for a in addresses], internal=config.internal
            )
    except BaseException:
        helper.forget(key)
        table.close()
        raise
    bridge = Bridge(link.index, link.name, is_ours, addresses, table, key)
    _bridges[namespace_number(), link.index] = bridge
    return bridge


def _will(lock: str, index: int) -> Will:
    """See `proc.helper.network`."""
    ports = Request(links.ports_of(index), links.RTM_GETLINK, NLM_F_DUMP)
    delete = Request(links.deleted(index), links.RTM_DELLINK, 0)
    return (("bridge", lock, ports.encode(1), delete.encode(2)),)


async def _leave(host: Netlink, bridge: Bridge, helper: Helper) -> None:
    """No container of this program is on it any more."""
    for place, known in tuple(_bridges.items()):
        if known is bridge:
            del _bridges[place]
    try:
        if bridge.is_ours and await _remove_unused(host, bridge.index):
            _cursors.pop((namespace_number(), bridge.index), None)
    finally:
        helper.forget(bridge.key)
        bridge.table.close()


async def _remove_unused(host: Netlink, index: int) -> bool:
    if await links.count_ports(host, index) > 0:
        return False
    await links.delete(host, index)
    return True


def _read_sysctl(key: str) -> str:
    with open(f"/proc/sys/{key}") as file:
        return file.read().strip()


def _write_sysctl(key: str, value: str) -> None:
    with open(f"/proc/sys/{key}", "w") as file:
        file.write(value)
