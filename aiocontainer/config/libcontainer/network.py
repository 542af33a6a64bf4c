"""Networks and routes of a ``container.json``."""

from typing import Any, Final

from ..document import Node

__all__ = ("read_network",)

_WORDS: Final = {
    "name": "name",
    "host_interface_name": "host_name",
    "bridge": "bridge",
    "mac_address": "mac_address",
    "address": "address",
    "gateway": "gateway",
    "ipv6_address": "address6",
    "ipv6_gateway": "gateway6",
}
_NUMBERS: Final = {"mtu": "mtu", "txqueuelen": "tx_queue_len"}
_ROUTE: Final = {
    "destination": "destination",
    "source": "source",
    "gateway": "gateway",
    "interface_name": "interface",
}


def read_network(top: Node) -> list[dict[str, Any]]:
    """Keywords of one model each, in their order, routes last."""
    found: list[dict[str, Any]] = []
    for node in top.nodes("networks"):
        kind = node.need("type")
        if kind == "loopback":
            found.append({"kind": "loopback"})
        elif kind == "veth":
            found.append(_veth(node))
        else:
            raise node.wrong("type", f"should be loopback or veth, not {kind[:40]!r}")
    for node in top.nodes("routes"):
        node.only(*_ROUTE)
        said = {ours: node.word(name) for name, ours in _ROUTE.items()}
        found.append({"kind": "route", **{k: v for k, v in said.items() if v}})
    return found


def _veth(node: Node) -> dict[str, Any]:
    node.only("type", *_WORDS, *_NUMBERS, "hairpin_mode", "veth_prefix", "context")
    fields: dict[str, Any] = {"kind": "veth"}
    # In the first documents the bridge was in an object of its own.
    for source in (node.part("context"), node):
        for name, ours in _WORDS.items():
            if (word := source.word(name)) is not None:
                fields[ours] = word
    for name, ours in _NUMBERS.items():
        if number := node.number(name, 0, 2**31):
            fields[ours] = number
    if node.flag("hairpin_mode"):
        fields["hairpin"] = True
    return fields
