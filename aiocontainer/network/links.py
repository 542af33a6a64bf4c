"""Interfaces, their addresses and routes, by rtnetlink(7)."""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import secrets
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .netlink import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    Message,
    Netlink,
)

Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_SETLINK: Final = 19
RTM_NEWADDR: Final = 20
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
RTM_GETROUTE: Final = 26

IFF_UP: Final = 1
_AF_INET: Final = 2
_AF_INET6: Final = 10
_IFA_F_NODAD: Final = 0x02
_IFA_F_PERMANENT: Final = 0x80
_RT_TABLE_MAIN: Final = 254
_RTPROT_BOOT: Final = 3
_RT_SCOPE_UNIVERSE: Final = 0
_RT_SCOPE_LINK: Final = 253
_RTN_UNICAST: Final = 1
OWN_PID: Final = 0x7FFF_FFFE
"""Stands for the process that will send a message, where it isn't known yet: above any
pid (PID_MAX_LIMIT of include/linux/threads.h is 2**22)."""
_OWN_INDEXES: Final = 1 << 27
_CREATE: Final = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL


@functools.cache
def _messages() -> Message:
    """pyroute2's message classes: to import it takes 0.1 s, so on first use."""
    from types import SimpleNamespace

    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    return SimpleNamespace(link=ifinfmsg, address=ifaddrmsg, route=rtmsg)


def _link_message(
    attributes: list[tuple[str, Any]], index: int = 0, up: bool | None = None
) -> Message:
    message = _messages().link()
    message["index"] = index
    if up is not None:
        message["flags"] = IFF_UP if up else 0
        message["change"] = IFF_UP
    message["attrs"] = attributes
    return message


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as the kernel describes it."""

    index: int
    name: str
    kind: str | None
    """``"bridge"``, ``"veth"``...; ``None`` for a physical one."""
    is_up: bool
    alias: str | None
    mac_address: str | None
    mtu: int

    @classmethod
    def parse(cls, data: bytes) -> Link:
        """From a message ``RTM_NEWLINK``."""
        message = _messages().link(data)
        message.decode()
        info = message.get_attr("IFLA_LINKINFO")
        return cls(
            message["index"],
            message.get_attr("IFLA_IFNAME"),
            None if info is None else info.get_attr("IFLA_INFO_KIND"),
            bool(message["flags"] & IFF_UP),
            message.get_attr("IFLA_IFALIAS"),
            message.get_attr("IFLA_ADDRESS"),
            message.get_attr("IFLA_MTU"),
        )


async def find(net: Netlink, name: str) -> Link | None:
    """The interface of that name, or ``None``."""
    return await _get(net, _link_message([("IFLA_IFNAME", name)]))


async def find_index(net: Netlink, index: int) -> Link | None:
    """The interface of that number, or ``None``."""
    return await _get(net, _link_message([], index))


async def _get(net: Netlink, message: Message) -> Link | None:
    try:
        (data,) = await net.ask(message, RTM_GETLINK, 0)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return Link.parse(data)


def new_index() -> int:
    """An index for an interface that isn't made yet: the kernel counts its own from 1,
    so that it doesn't come to these, and nobody guesses the same.

    Nor is it the index of a pair's other end. Where these are equal, the kernel takes
    the end for an interface that leads nowhere else, and lets a second pass before it
    passes on that there is a carrier (linkwatch_urgent_event of net/core/link_watch.c).
    """
    return _OWN_INDEXES + secrets.randbelow(_OWN_INDEXES)


async def free_index(net: Netlink, wanted: int) -> int:
    """That index, if no interface has it, or another one."""
    return wanted if await find_index(net, wanted) is None else new_index()


def is_half_made(link: Link) -> bool:
    """Whether it has an index of `new_index`, and no more: who made it didn't get
    further."""
    return link.index >= _OWN_INDEXES and link.alias is None and not link.is_up


async def add_bridge(
    net: Netlink, name: str, index: int, mac: str, mtu: int | None
) -> None:
    """Make a bridge, down; `FileExistsError` if there is an interface of that name."""
    attributes: list[tuple[str, Any]] = [
        ("IFLA_IFNAME", name),
        # Else it changes with the ports, and neighbours remember the wrong one.
        ("IFLA_ADDRESS", mac),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
    ]
    if mtu is not None:
        attributes.append(("IFLA_MTU", mtu))
    await net.ask(_link_message(attributes, index), RTM_NEWLINK, _CREATE)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two interfaces that are connected, one here and one elsewhere."""

    name: str
    peer: str
    mac_address: str | None = None
    """Of the peer."""
    mtu: int | None = None
    tx_queue_len: int | None = None


async def add_veth(
    net: Netlink, pair: Pair, index: int, pid: int, bridge: int | None
) -> None:
    """Make a pair, its peer in the namespace of ``pid``, and ours (with that index) a
    port of ``bridge`` (an index); both down. All in one message, so there is never half
    of it.

    Raises:
        FileExistsError: there is an interface of that name, here or there.
    """
    common: list[tuple[str, Any]] = []
    if pair.mtu is not None:
        common.append(("IFLA_MTU", pair.mtu))
    if pair.tx_queue_len is not None:
        common.append(("IFLA_TXQLEN", pair.tx_queue_len))
    peer = [("IFLA_IFNAME", pair.peer), ("IFLA_NET_NS_PID", pid), *common]
    if pair.mac_address is not None:
        peer.append(("IFLA_ADDRESS", pair.mac_address))
    data = {"attrs": [("VETH_INFO_PEER", {"attrs": peer})]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    ours = [("IFLA_IFNAME", pair.name), ("IFLA_LINKINFO", info), *common]
    if bridge is not None:
        ours.append(("IFLA_MASTER", bridge))
    # Only ours can come up at once: the peer isn't connected yet when it is made.
    await net.ask(_link_message(ours, index, up=True), RTM_NEWLINK, _CREATE)


async def set_port(net: Netlink, index: int, *, hairpin: bool, isolated: bool) -> None:
    """Options of a port of a bridge."""
    port = [("IFLA_BRPORT_MODE", int(hairpin)), ("IFLA_BRPORT_ISOLATED", int(isolated))]
    info = [
        ("IFLA_INFO_SLAVE_KIND", "bridge"),
        ("IFLA_INFO_SLAVE_DATA", {"attrs": port}),
    ]
    message = _link_message([("IFLA_LINKINFO", {"attrs": info})], index)
    await net.ask(message, RTM_NEWLINK)


def upped(index: int) -> Message:
    """The message (`RTM_NEWLINK`) that brings an interface up."""
    return _link_message([], index, up=True)


async def set_up(net: Netlink, index: int) -> None:
    """Bring an interface up."""
    await net.ask(upped(index), RTM_NEWLINK)


async def set_alias(net: Netlink, index: int, alias: str) -> None:
    """A word for people, shown by ``ip link``."""
    await net.ask(_link_message([("IFLA_IFALIAS", alias)], index), RTM_NEWLINK)


def moved(index: int, name: str, pid: int, new_index: int) -> Message:
    """The message (`RTM_NEWLINK`) that takes an interface down and moves it to the
    namespace of a process, under a name and a number."""
    where = [
        ("IFLA_NET_NS_PID", pid),
        ("IFLA_IFNAME", name),
        ("IFLA_NEW_IFINDEX", new_index),
    ]
    return _link_message(where, index, up=False)


def deleted(index: int) -> Message:
    """The message (`RTM_DELLINK`) that removes an interface."""
    return _link_message([], index)


async def delete(net: Netlink, index: int) -> None:
    """Remove an interface; fine if it is gone."""
    try:
        await net.ask(deleted(index), RTM_DELLINK)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def ports_of(bridge: int) -> Message:
    """The message (`RTM_GETLINK`, ``NLM_F_DUMP``) that asks for a bridge's ports."""
    return _link_message([("IFLA_MASTER", bridge)])


async def count_ports(net: Netlink, bridge: int) -> int:
    """How many interfaces are ports of a bridge."""
    return len(await net.ask(ports_of(bridge), RTM_GETLINK, NLM_F_DUMP))


# -- addresses and routes --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assigned:
    """An address as an interface has it."""

    address: Interface
    broadcast: str | None = None
    """Of IPv4, where there is one."""
    peer: str | None = None
    """The other end's, of one that leads from point to point."""

    @classmethod
    def usual(cls, address: Interface) -> Assigned:
        """With the broadcast address that all bits make which aren't the network's."""
        if address.version == 6 or address.network.prefixlen > 30:
            return cls(address)
        return cls(address, str(address.network.broadcast_address))


def address_message(index: int, assigned: Assigned) -> Message:
    """The message (`RTM_NEWADDR`) that gives an interface an address."""
    address = assigned.address
    message = _messages().address()
    message["family"] = _AF_INET if address.version == 4 else _AF_INET6
    message["prefixlen"] = address.network.prefixlen
    message["index"] = index
    text = str(address.ip)
    message["attrs"] = [("IFA_LOCAL", text), ("IFA_ADDRESS", assigned.peer or text)]
    if assigned.broadcast is not None:
        message["attrs"].append(("IFA_BROADCAST", assigned.broadcast))
    if address.version == 6:
        # Nobody else has it; and it is of use at once, not after a second of asking.
        message["flags"] = _IFA_F_NODAD
        message["attrs"].append(("IFA_FLAGS", _IFA_F_NODAD))
    return message


async def add_address(net: Netlink, index: int, assigned: Assigned) -> None:
    """Give an interface an address; one that it has stays as it is."""
    with contextlib.suppress(FileExistsError):
        await net.ask(address_message(index, assigned), RTM_NEWADDR, _CREATE)


async def addresses(net: Netlink, index: int) -> list[Assigned]:
    """Lasting addresses of an interface, link-local ones left out."""
    request = _messages().address()
    request["index"] = index
    found: list[Assigned] = []
    for data in await net.ask(request, RTM_GETADDR, NLM_F_DUMP):
        message = _messages().address(data)
        message.decode()
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        other = message.get_attr("IFA_ADDRESS")
        text = message.get_attr("IFA_LOCAL") or other
        if message["index"] != index or not flags & _IFA_F_PERMANENT:
            continue
        address = ipaddress.ip_interface(f"{text}/{message['prefixlen']}")
        if not address.is_link_local:
            broadcast = message.get_attr("IFA_BROADCAST")
            peer = None if other == text else other
            found.append(Assigned(address, broadcast, peer))
    return found


async def add_route(
    net: Netlink,
    destination: IpNetwork | None,
    *,
    version: int,
    gateway: Address | None = None,
    index: int | None = None,
    source: Address | None = None,
) -> None:
    """Add a route to the main table; ``None`` as destination is the default one."""
    message = _messages().route()
    message["family"] = _AF_INET if version == 4 else _AF_INET6
    message["table"] = _RT_TABLE_MAIN
    message["proto"] = _RTPROT_BOOT
    message["type"] = _RTN_UNICAST
    on_link = gateway is None and version == 4
    message["scope"] = _RT_SCOPE_LINK if on_link else _RT_SCOPE_UNIVERSE
    message["dst_len"] = 0 if destination is None else destination.prefixlen
    attributes: list[tuple[str, Any]] = [("RTA_TABLE", _RT_TABLE_MAIN)]
    if destination is not None:
        attributes.append(("RTA_DST", str(destination.network_address)))
    if gateway is not None:
        attributes.append(("RTA_GATEWAY", str(gateway)))
    if index is not None:
        attributes.append(("RTA_OIF", index))
    if source is not None:
        attributes.append(("RTA_PREFSRC", str(source)))
    message["attrs"] = attributes
    await net.ask(message, RTM_NEWROUTE, _CREATE)


async def destinations(net: Netlink) -> list[IpNetwork]:
    """All networks of IPv4 that this host has a route to, but for the default."""
    request = _messages().route()
    request["family"] = _AF_INET
    found: list[IpNetwork] = []
    for data in await net.ask(request, RTM_GETROUTE, NLM_F_DUMP):
        message = _messages().route(data)
        message.decode()
        text = message.get_attr("RTA_DST")
        if text is not None:
            found.append(ipaddress.ip_network(f"{text}/{message['dst_len']}", False))
    return found
