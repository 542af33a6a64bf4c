"""Address translation and filtering for the containers of one bridge, by nftables.

One table for each bridge that this program has containers on. It belongs to its netlink
socket (``NFT_TABLE_F_OWNER``): nobody else can change it, ``nft flush ruleset`` leaves
it alone, and the kernel removes it when the last descriptor of the socket is closed,
however that comes about. What is of one container is in its sets only.

    prerouting  guard       the host's 127.0.0.0/8 can't be reached from the bridge
    prerouting  incoming    published ports lead to containers
    output      local       the same for programs of the host
    forward     forward     only what was published, or is an answer, comes in
    postrouting outgoing    what goes elsewhere bears an address of the host
"""

from __future__ import annotations

import functools
import ipaddress
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .netlink import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Netlink,
    Request,
)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Expression: TypeAlias = dict[str, Any]

_SUBSYSTEM: Final = 10 << 8  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_NEWTABLE: Final = _SUBSYSTEM | 0
_NEWCHAIN: Final = _SUBSYSTEM | 3
_NEWRULE: Final = _SUBSYSTEM | 6
_NEWSET: Final = _SUBSYSTEM | 9
_NEWSETELEM: Final = _SUBSYSTEM | 12
_DELSETELEM: Final = _SUBSYSTEM | 14
_OWNER: Final = 2  # NFT_TABLE_F_OWNER
_INET: Final = 1  # NFPROTO_INET
_CREATE: Final = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
_APPEND: Final = NLM_F_ACK | NLM_F_CREATE | 0x800

_PREROUTING, _FORWARD, _OUTPUT, _POSTROUTING = 0, 2, 3, 4
_FAMILY: Final = {4: 2, 6: 10}
"""IP version -> ``NFPROTO_IPV4``, ``NFPROTO_IPV6``."""
_SOURCE: Final = {4: (12, 4), 6: (8, 16)}
_DESTINATION: Final = {4: (16, 4), 6: (24, 16)}
"""IP version -> (offset, length) in the network header."""
_EQ, _NEQ = 0, 1
_LOCAL: Final = 2  # RTN_LOCAL
_STATES_OF_ANSWERS: Final = 6  # established and related
_IPS_DST_NAT: Final = 1 << 5
_PROTOCOLS: Final = {"tcp": 6, "udp": 17}


@dataclass(frozen=True, slots=True)
class PortRule:
    """A port of the host (of one address, or all) that leads to a container."""

    protocol: str
    host_address: Address | None
    host_port: int
    address: Address
    """The container's."""
    port: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in the sets for one container."""

    masqueraded: tuple[Address, ...] = ()
    ports: tuple[PortRule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.masqueraded or self.ports)


class Table:
    """The table for one bridge; gone when it is closed.

    Raises:
        OSError: from each coroutine: the kernel refused, and nothing was changed.
    """

    def __init__(self, name: str) -> None:
        """Open the socket that it is to belong to; nothing else yet."""
        self.name = name
        self._netlink = Netlink.open(NETLINK_NETFILTER)

    def close(self) -> None:
        """Remove it, unless somebody holds a duplicate of its socket."""
        self._netlink.close()

    def fileno(self) -> int:
        """Descriptor of the socket that it belongs to."""
        return self._netlink.fileno()

    async def create(
        self, bridge: str, subnets: Sequence[IpNetwork], *, internal: bool
    ) -> None:
        """Make it, in one transaction."""
        await self._commit(_definition(self.name, bridge, subnets, internal))

    async def add(self, rules: Rules) -> None:
        """Let what is said of one container be so."""
        await self._commit(_elements(self.name, rules, _NEWSETELEM, _CREATE))

    async def remove(self, rules: Rules) -> None:
        """Undo `add`."""
        await self._commit(_elements(self.name, rules, _DELSETELEM, NLM_F_ACK))

    async def _commit(self, requests: Iterable[Request]) -> None:
        changes = list(requests)
        if changes:
            batch = [_edge(_BATCH_BEGIN), *changes, _edge(_BATCH_END)]
            await self._netlink.ask_all(batch)


@functools.cache
def _messages() -> Any:  # noqa: ANN401
    from pyroute2.netlink.nfnetlink import nftsocket

    return nftsocket


def _edge(kind: int) -> Request:
    message = _messages().nfgen_msg()
    message["res_id"] = 10
    return Request(message, kind, 0)


def _message(kind: str, prefix: str, **attributes: Any) -> Message:  # noqa: ANN401
    message = getattr(_messages(), f"nft_{kind}_msg")()
    message["nfgen_family"] = _INET
    message["attrs"] = [
        (f"NFTA_{prefix}_{name.upper()}", value) for name, value in attributes.items()
    ]
    return message


# -- the table as it is without any container ------------------------------------------


def _definition(
    table: str, bridge: str, subnets: Sequence[IpNetwork], internal: bool
) -> Iterator[Request]:
    yield Request(
        _message("table", "TABLE", name=table, flags=_OWNER), _NEWTABLE, _CREATE
    )
    for number, (name, key, data) in enumerate(_sets(), start=1):
        yield _set(table, name, key, data, number)
    for name, kind, hook, priority, rules in _chains(bridge, subnets, internal):
        at = {"attrs": [("NFTA_HOOK_HOOKNUM", hook), ("NFTA_HOOK_PRIORITY", priority)]}
        chain = _message("chain", "CHAIN", table=table, name=name, hook=at, type=kind)
        yield Request(chain, _NEWCHAIN, _CREATE)
        for rule in rules:
            message = _message(
                "rule", "RULE", table=table, chain=name, expressions=rule
            )
            yield Request(message, _NEWRULE, _APPEND)


def _sets() -> Iterator[tuple[str, int, int]]:
    """(name, bytes of a key, bytes of what it leads to): registers are of four."""
    for version, size in ((4, 4), (6, 16)):
        yield f"masqueraded{version}", size, 0
        yield f"ports{version}", 8, size + 4
        yield f"ports_at{version}", size + 8, size + 4


def _set(table: str, name: str, key: int, data: int, number: int) -> Request:
    attributes: dict[str, Any] = {"key_type": 0, "key_len": key, "id": number}
    if data:
        attributes |= {"flags": {"NFT_SET_MAP"}, "data_type": 0, "data_len": data}
    message = _message("set", "SET", table=table, name=name, **attributes)
    return Request(message, _NEWSET, _CREATE)


def _chains(
    bridge: str, subnets: Sequence[IpNetwork], internal: bool
) -> Iterator[tuple[str, str, int, int, list[list[Expression]]]]:
    """(name, type, hook, priority, rules), the priorities as of iptables' tables."""
    leading = [_translate(v, at) for v in (4, 6) for at in (True, False)]
    yield "guard", "filter", _PREROUTING, -300, [_spare_the_loopback(bridge)]
    yield "incoming", "nat", _PREROUTING, -100, leading
    yield "local", "nat", _OUTPUT, -100, leading
    yield "forward", "filter", _FORWARD, 0, list(_forward(bridge, internal))
    yield "outgoing", "nat", _POSTROUTING, 100, list(_outgoing(bridge, subnets))


def _spare_the_loopback(bridge: str) -> list[Expression]:
    """``route_localnet``, which published ports need, would let it be reached."""
    first_byte = _payload(1, 16, 1, 1)
    return [*_into("iifname", bridge), *_ip(4), first_byte, _cmp(b"\x7f"), _drop()]


def _forward(bridge: str, internal: bool) -> Iterator[list[Expression]]:
    yield [
        *_into("oifname", bridge),
        *_into("iifname", bridge, _NEQ),
        *([] if internal else [*_ct_lacks("STATE", _STATES_OF_ANSWERS)]),
        *([] if internal else [*_ct_lacks("STATUS", _IPS_DST_NAT)]),
        _drop(),
    ]
    if internal:
        yield [*_into("iifname", bridge), *_into("oifname", bridge, _NEQ), _drop()]


def _translate(version: int, at_address: bool) -> list[Expression]:
    """What is for this host goes where the map says."""
    slots = 4 if version == 6 else 1
    name, key = (f"ports_at{version}", slots) if at_address else (f"ports{version}", 0)
    found = 8 + 8
    regs = {"reg_addr_min": found, "reg_proto_min": found + slots}
    address = [_payload(1, *_DESTINATION[version], 8)] if at_address else []
    return [
        *_ip(version),
        # pyroute2 takes this enumeration for bits: these two are 3, the type.
        _expr(
            "fib",
            dreg=1,
            result={"NFT_FIB_RESULT_UNSPEC", "NFT_FIB_RESULT_OIF"},
            flags=2,
        ),
        _cmp(struct.pack("=I", _LOCAL)),
        *address,
        _meta("L4PROTO", 8 + key),
        _payload(2, 2, 2, 9 + key),
        _expr("lookup", set=name, sreg=8, dreg=found),
        _expr("nat", type=1, family=_FAMILY[version], **regs),
    ]


def _outgoing(bridge: str, subnets: Sequence[IpNetwork]) -> Iterator[list[Expression]]:
    for version in (4, 6):
        source = _payload(1, *_SOURCE[version], 1)
        chosen = _expr("lookup", set=f"masqueraded{version}", sreg=1)
        leaves = _into("oifname", bridge, _NEQ)
        yield [*_ip(version), source, chosen, *leaves, _expr("masq")]
    # Answers have to come back through us: to what the host's loopback has sent...
    first_byte = _payload(1, 12, 1, 1)
    yield [*_into("oifname", bridge), *_ip(4), first_byte, _cmp(b"\x7f"), _expr("masq")]
    # ... and to a container that used a published port of this bridge.
    for subnet in subnets:
        size = _SOURCE[subnet.version][1]
        yield [
            *_into("oifname", bridge),
            *_ip(subnet.version),
            _expr("ct", dreg=1, key=2),
            _mask(struct.pack("=I", _IPS_DST_NAT)),
            _cmp(bytes(4), _NEQ),
            _payload(1, *_SOURCE[subnet.version], 1),
            _mask(subnet.netmask.packed),
            _cmp(subnet.network_address.packed.ljust(size, b"\0")),
            _expr("masq"),
        ]


# -- what is of one container ----------------------------------------------------------


def _elements(table: str, rules: Rules, kind: int, flags: int) -> Iterator[Request]:
    for address in rules.masqueraded:
        yield _element(
            table, f"masqueraded{address.version}", address.packed, b"", kind, flags
        )
    for rule in rules.ports:
        version = rule.address.version
        at = rule.host_address
        name = f"ports{version}" if at is None else f"ports_at{version}"
        key = b"" if at is None else at.packed
        key += bytes([_PROTOCOLS[rule.protocol], 0, 0, 0]) + _port(rule.host_port)
        yield _element(
            table, name, key, rule.address.packed + _port(rule.port), kind, flags
        )


def _port(number: int) -> bytes:
    return struct.pack(">HH", number, 0)


def _element(
    table: str, name: str, key: bytes, data: bytes, kind: int, flags: int
) -> Request:
    attributes = [("NFTA_SET_ELEM_KEY", {"attrs": [("NFTA_DATA_VALUE", key)]})]
    if data:
        value = {"attrs": [("NFTA_DATA_VALUE", data)]}
        attributes.append(("NFTA_SET_ELEM_DATA", value))
    element = {"attrs": attributes}
    message = _message(
        "set_elem_list", "SET_ELEM_LIST", table=table, set=name, elements=[element]
    )
    return Request(message, kind, flags)


# -- expressions -----------------------------------------------------------------------


def _expr(kind: str, **attributes: Any) -> Expression:  # noqa: ANN401
    data = [(f"NFTA_{kind.upper()}_{k.upper()}", v) for k, v in attributes.items()]
    parts = [("NFTA_EXPR_NAME", kind), ("NFTA_EXPR_DATA", {"attrs": data})]
    return {"attrs": parts}


def _meta(key: str, register: int = 1) -> Expression:
    number = int(_messages().Meta[f"NFT_META_{key}"])
    return _expr("meta", key=number, dreg=register)


def _payload(base: int, offset: int, length: int, register: int) -> Expression:
    return _expr("payload", dreg=register, base=base, offset=offset, len=length)


def _cmp(data: bytes, op: int = _EQ) -> Expression:
    value = {"attrs": [("NFTA_DATA_VALUE", data)]}
    return _expr("cmp", sreg=1, op=op, data=value)


def _mask(mask: bytes) -> Expression:
    """Keep only these bits of register 1."""
    both = {
        "mask": {"attrs": [("NFTA_DATA_VALUE", mask)]},
        "xor": {"attrs": [("NFTA_DATA_VALUE", bytes(len(mask)))]},
    }
    return _expr("bitwise", sreg=1, dreg=1, len=len(mask), **both)


def _into(which: str, interface: str, op: int = _EQ) -> list[Expression]:
    name = interface.encode().ljust(16, b"\0")
    return [_meta(which.upper()), _cmp(name, op)]


def _ip(version: int) -> list[Expression]:
    return [_meta("NFPROTO"), _cmp(bytes([_FAMILY[version]]))]


def _ct_lacks(key: str, bits: int) -> list[Expression]:
    number = {"STATE": 0, "STATUS": 2}[key]
    mask = _mask(struct.pack("=I", bits))
    return [_expr("ct", dreg=1, key=number), mask, _cmp(bytes(4))]


def _drop() -> Expression:
    verdict = {"attrs": [("NFTA_VERDICT_CODE", 0)]}
    return _expr("immediate", dreg=0, data={"attrs": [("NFTA_DATA_VERDICT", verdict)]})
