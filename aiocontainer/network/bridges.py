"""The bridges that containers of this program are on: made, shared and removed.

All of this is done while this program has the lock. Of what is interrupted anywhere,
`leave` finds enough to remove it.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..config import BridgeNetwork
from ..errors import NetworkError
from . import links
from .lock import namespace_number
from .netlink import NLM_F_DUMP, Netlink, Request
from .nftables import Table
from .parts import Helper, Interface, Will, step

_ALIAS: Final = "aiocontainer"
_INTERNAL: Final = "aiocontainer internal"
"""What we call a bridge of our own, so that the last of us knows it."""
_OURS: Final = (_ALIAS, _INTERNAL)
_CANDIDATES: Final = tuple(
    ipaddress.IPv4Network(f"10.{second}.0.0/20") for second in range(213, 223)
)


@dataclass(slots=True)
class Bridge:
    """A bridge that containers of this program are on."""

    index: int
    name: str
    table: Table
    key: int
    """What the spawner knows it by."""
    addresses: tuple[Interface, ...] = ()
    """Empty until it is ready for containers."""
    users: int = 0
    localnet: bool = False
    """Packets from 127.0.0.1 are let out to it."""

    def address(self, version: int) -> Interface | None:
        """Its own address of that IP version."""
        found = (a for a in self.addresses if a.version == version)
        return next(found, None)


@dataclass(slots=True)
class Membership:
    """One container's part in a bridge, from the first attempt on."""

    name: str
    bridge: Bridge | None = None
    makes: int = 0
    """Index of the bridge that may be there by this attempt: nothing else tells yet
    that it is ours."""


known: dict[tuple[int, int], Bridge] = {}
"""By namespace and index."""
cursors: dict[tuple[int, int], int] = {}
"""Where the last lease was found: addresses that were given back last come last."""


def _after_fork() -> None:
    """A fork of the program is not to keep our tables alive."""
    for bridge in known.values():
        bridge.table.close()
    known.clear()


os.register_at_fork(after_in_child=_after_fork)


async def join(
    host: Netlink,
    config: BridgeNetwork,
    helper: Helper,
    lock: str,
    membership: Membership,
) -> Bridge:
    """Be a user of the bridge, which is made if there is none.

    Cancelled or failed, `leave` has to be called all the same.
    """
    alias = _INTERNAL if config.internal else _ALIAS
    namespace = namespace_number()
    with step(config.bridge, "find the bridge"):
        link = await links.find(host, config.bridge)
        if link is not None and link.kind != "bridge":
            raise NetworkError(link.name, "use the bridge", "it is none")
        if link is not None and (namespace, link.index) not in known:
            # It may be a dead program's, whole or half: what that lacks nobody would
            # add. Who has the lock and a container on it has a port.
            is_ours = link.alias in _OURS or links.is_half_made(link)
            if is_ours and await _remove_unused(host, link.index):
                link = None
    if link is None:
        membership.makes = links.new_index()
    index = membership.makes if link is None else link.index
    bridge = known.get((namespace, index))
    if bridge is None:
        will = _will(lock, index) if link is None or link.alias in _OURS else ()
        bridge = await _register(helper, config.bridge, index, will)
        known[namespace, index] = bridge
    if link is None:
        link = await _make(host, config, alias, index)
        membership.makes = 0
    if bridge.addresses:
        _require_same(config, bridge.addresses, link, alias)
    else:
        await _make_ready(host, bridge, config, link, alias)
    bridge.users += 1
    membership.bridge = bridge
    return bridge


async def leave(host: Netlink, helper: Helper, membership: Membership) -> None:
    """Undo `join`, whole or half; the last user removes a bridge of ours."""
    bridge, membership.bridge = membership.bridge, None
    if bridge is not None:
        bridge.users -= 1
    namespace = namespace_number()
    link = await links.find(host, membership.name)
    if link is not None and link.kind == "bridge":
        bridge = known.get((namespace, link.index))
        if bridge is not None and bridge.users > 0:
            return
        is_ours = link.alias in _OURS or link.index == membership.makes
        if is_ours and await _remove_unused(host, link.index):
            link = None
    membership.makes = 0
    for place, bridge in tuple(known.items()):
        if bridge.users == 0 and place[0] == namespace:
            del known[place]
            if link is None or link.index != bridge.index:
                cursors.pop(place, None)
            helper.forget(bridge.key)
            bridge.table.close()


async def _remove_unused(host: Netlink, index: int) -> bool:
    """Whether it was."""
    is_unused = await links.count_ports(host, index) == 0
    if is_unused:
        await links.delete(host, index)
    return is_unused


async def _make(
    host: Netlink, config: BridgeNetwork, alias: str, index: int
) -> links.Link:
    """A new bridge, with all that it is to have."""
    name = config.bridge
    addresses = [_first(config.subnet or await _free_subnet(host))]
    if config.subnet6 is not None:
        addresses.append(_first(config.subnet6))
    mac = "02:" + secrets.token_bytes(5).hex(":")
    with step(name, "make the bridge"):
        await links.add_bridge(host, name, index, mac, config.mtu)
    with step(name, "set the bridge up"):
        await links.set_alias(host, index, alias)
        for address in addresses:
            assigned = links.Assigned.usual(address)
            await links.add_address(host, index, assigned)
        await links.set_up(host, index)
        link = await links.find_index(host, index)
    if link is None:
        raise NetworkError(name, "make the bridge", "it has gone")
    return link


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
    if link.alias in _OURS and link.alias != alias:
        kind = "internal" if link.alias == _INTERNAL else "not internal"
        raise NetworkError(link.name, "use the bridge", f"it is {kind}")


async def _register(helper: Helper, name: str, index: int, will: Will) -> Bridge:
    """Have what we make from here on removed if we are lost: the table, which isn't
    made yet, and with a will the bridge, which may not be there yet either."""
    with step(name, "open a socket for nftables"):
        table = Table(f"aiocontainer-{name}-{secrets.token_hex(4)}")
    key = helper.new_key()
    try:
        await helper.bequeath(key, will, (table.fileno(),))
    except BaseException:
        helper.forget(key)
        table.close()
        raise
    return Bridge(index, name, table, key)


async def _make_ready(
    host: Netlink, bridge: Bridge, config: BridgeNetwork, link: links.Link, alias: str
) -> None:
    with step(link.name, "read the addresses"):
        assigned = await links.addresses(host, link.index)
    addresses = tuple(one.address for one in assigned)
    _require_same(config, addresses, link, alias)
    with step(link.name, "make a table of nftables"):
        networks = [address.network for address in addresses]
        await bridge.table.create(link.name, networks, internal=config.internal)
    bridge.addresses = addresses


def _will(lock: str, index: int) -> Will:
    """See `proc.helper.network`."""
    ports = Request(links.ports_of(index), links.RTM_GETLINK, NLM_F_DUMP)
    delete = Request(links.deleted(index), links.RTM_DELLINK, 0)
    return (("bridge", lock, ports.encode(1), delete.encode(2)),)
