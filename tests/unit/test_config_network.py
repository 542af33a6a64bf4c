"""Networks of a config: what is taken, in which forms, and what is refused where."""

import ipaddress
from typing import Any

import pytest

from aiocontainer import Config, ConfigError, Dns, HostDevice, Network, Route, Veth
from aiocontainer.config import BridgeNetwork, Loopback, PublishedPort


@pytest.mark.parametrize(
    ("short", "fields"),
    [
        ("8080:80", (8080, 80, "tcp", None)),
        ("8080:80/udp", (8080, 80, "udp", None)),
        ("127.0.0.1:53:53/udp", (53, 53, "udp", "127.0.0.1")),
        ("[::1]:1:2", (1, 2, "tcp", "::1")),
        ("0:80", (0, 80, "tcp", None)),
        ((8080, 80), (8080, 80, "tcp", None)),
        ([8080, 80, "udp"], (8080, 80, "udp", None)),
    ],
)
def test_a_published_port_has_short_forms(
    short: Any, fields: tuple[int, int, str, str | None]
) -> None:
    port = PublishedPort.model_validate(short)
    at = port.host_address
    words = None if at is None else str(at)
    assert (port.host_port, port.container_port, port.protocol, words) == fields


def test_one_network_needs_no_list_and_is_a_tuple() -> None:
    config = Config(rootfs="/x", network=Network.bridge())
    assert config.network == (BridgeNetwork(),)


def test_without_networks_there_is_the_loopback() -> None:
    assert Config(rootfs="/x").network == (Loopback(),)


def test_networks_can_be_given_as_mappings() -> None:
    config = Config(
        rootfs="/x",
        network=[  # type: ignore[list-item]
            {"kind": "veth", "address": "10.0.0.2/24"},
            {"kind": "route", "gateway": "10.0.0.1"},
            {"kind": "bridge", "name": "eth1", "dns": ["192.0.2.1"]},
        ],
    )
    veth, route, bridge = config.network
    assert isinstance(veth, Veth)
    assert veth.address == ipaddress.IPv4Interface("10.0.0.2/24")
    assert isinstance(route, Route)
    assert isinstance(bridge, BridgeNetwork)
    assert bridge.dns == Dns(servers=["192.0.2.1"])


NETWORKS = (
    Veth(address="10.0.0.2/24", address6="fd00::2/64", mac_address="02:00:00:00:00:01"),
    Network.bridge(interface="eth1", publish=["8080:80"], dns=["192.0.2.1"]),
    HostDevice(device="data0"),
    Route(destination="fd09::/48", gateway="fd00::1"),
)


def test_a_config_with_networks_survives_json() -> None:
    config = Config(rootfs="/x", network=NETWORKS)
    again = Config.model_validate_json(config.model_dump_json())
    assert again == config
    assert hash(again) == hash(config)


VETH = {"kind": "veth"}
BRIDGE = {"kind": "bridge"}
ROUTE = {"kind": "route"}
DEVICE = {"kind": "device"}
BAD: list[tuple[str, Any]] = [
    ("network", 7),
    ("network[0]", ["bridge"]),
    ("network[0].kind", [{}]),
    ("network[0].kind", [{"kind": "tape"}]),
    ("network[0].kind", [{"kind": []}]),
    ("network[0].colour", [{**VETH, "colour": "red"}]),
    ("network[0].name", [{**VETH, "name": ""}]),
    ("network[0].name", [{**VETH, "name": "lo"}]),
    ("network[0].name", [{**VETH, "name": "a/b"}]),
    ("network[0].name", [{**VETH, "name": "a b"}]),
    ("network[0].name", [{**VETH, "name": "eth%d"}]),
    ("network[0].name", [{**VETH, "name": ".."}]),
    ("network[0].name", [{**VETH, "name": "x" * 16}]),
    ("network[0].name", [{**VETH, "name": "ü" * 8}]),
    ("network[0].name", [{**VETH, "name": "a\0"}]),
    ("network[0].name", [{**VETH, "name": 7}]),
    ("network[0].host_name", [{**VETH, "host_name": "all"}]),
    ("network[0].bridge", [{**VETH, "bridge": "default"}]),
    ("network[0].address", [{**VETH, "address": "10.0.0.2"}]),
    ("network[0].address", [{**VETH, "address": "10.0.0.2/33"}]),
    ("network[0].address", [{**VETH, "address": "fd00::2/64"}]),
    ("network[0].address", [{**VETH, "address": "127.0.0.2/8"}]),
    ("network[0].address", [{**VETH, "address": "224.0.0.2/8"}]),
    ("network[0].address", [{**VETH, "address": "0.0.0.0/8"}]),
    ("network[0].address", [{**VETH, "address": 167772162}]),
    ("network[0].address6", [{**VETH, "address6": "10.0.0.2/24"}]),
    ("network[0].address6", [{**VETH, "address6": "fe80::1%eth0/64"}]),
    ("network[0].gateway", [{**VETH, "gateway": "10.0.0.1"}]),
    (
        "network[0].gateway",
        [{**VETH, "address": "10.0.0.2/24", "gateway": "10.0.0.2"}],
    ),
    ("network[0].gateway", [{**VETH, "address": "10.0.0.2/24", "gateway": "fd00::1"}]),
    ("network[0].gateway6", [{**VETH, "gateway6": "fd00::1"}]),
    ("network[0].mtu", [{**VETH, "mtu": 67}]),
    ("network[0].mtu", [{**VETH, "mtu": 65536}]),
    ("network[0].mtu", [{**VETH, "mtu": "1500"}]),
    ("network[0].mtu", [{**VETH, "mtu": 1000, "address6": "fd00::2/64"}]),
    ("network[0].tx_queue_len", [{**VETH, "tx_queue_len": -1}]),
    ("network[0].mac_address", [{**VETH, "mac_address": "02:00:00:00:00"}]),
    ("network[0].mac_address", [{**VETH, "mac_address": "03:00:00:00:00:01"}]),
    ("network[0].mac_address", [{**VETH, "mac_address": "00:00:00:00:00:00"}]),
    ("network[0].hairpin", [{**VETH, "hairpin": True}]),
    ("network[0].isolated", [{**VETH, "isolated": True}]),
    ("network[0].hairpin", [{**VETH, "hairpin": 1, "bridge": "br0"}]),
    ("network[0].subnet", [{**BRIDGE, "subnet": "10.0.0.1/24"}]),
    ("network[0].subnet", [{**BRIDGE, "subnet": "10.0.0.0/30"}]),
    ("network[0].subnet", [{**BRIDGE, "subnet": "0.0.0.0/0"}]),
    ("network[0].subnet6", [{**BRIDGE, "subnet6": "10.0.0.0/24"}]),
    ("network[0].subnet6", [{**BRIDGE, "subnet6": "fd00::/127"}]),
    ("network[0].publish", [{**BRIDGE, "publish": 80}]),
    ("network[0].publish[0]", [{**BRIDGE, "publish": ["80"]}]),
    ("network[0].publish[0]", [{**BRIDGE, "publish": ["80:80/icmp"]}]),
    ("network[0].publish[0]", [{**BRIDGE, "publish": [(80,)]}]),
    ("network[0].publish[0].container_port", [{**BRIDGE, "publish": [(80, 0)]}]),
    ("network[0].publish[0].host_port", [{**BRIDGE, "publish": [(65536, 80)]}]),
    ("network[0].publish[0].protocol", [{**BRIDGE, "publish": [(1, 2, "icmp")]}]),
    ("network[0].publish[0].host_address", [{**BRIDGE, "publish": ["1.2.3:1:2"]}]),
    ("network[0].publish[0].host_address", [{**BRIDGE, "publish": ["[::1]:1:2"]}]),
    ("network[0].publish[1]", [{**BRIDGE, "publish": ["80:80", "80:81"]}]),
    ("network[0].publish", [{**BRIDGE, "internal": True, "publish": ["80:80"]}]),
    ("network[0].masquerade", [{**BRIDGE, "internal": True, "masquerade": True}]),
    ("network[0].forwarding", [{**BRIDGE, "internal": True, "forwarding": True}]),
    ("network[0].dns.servers[0]", [{**BRIDGE, "dns": ["localhost"]}]),
    ("network[0].dns.search[0]", [{**BRIDGE, "dns": {"search": ["a b"]}}]),
    ("network[0].dns.options[0]", [{**BRIDGE, "dns": {"options": ["a\nb"]}}]),
    ("network[0].dns.hosts[a b]", [{**BRIDGE, "dns": {"hosts": {"a b": "10.0.0.1"}}}]),
    ("network[0].dns.hosts.a", [{**BRIDGE, "dns": {"hosts": {"a": "b"}}}]),
    ("network[0].device", [DEVICE]),
    ("network[0].device", [{**DEVICE, "device": "lo"}]),
    ("network[0].gateway", [ROUTE]),
    ("network[0].destination", [{**ROUTE, "interface": "eth0"}]),
    ("network[0].destination", [{**ROUTE, "destination": "10.0.0.1/8"}]),
    ("network[0]", [{**ROUTE, "destination": "10.0.0.0/8", "gateway": "fd00::1"}]),
    (
        "network[1].interface",
        [VETH, {**ROUTE, "gateway": "10.0.0.1", "interface": "x"}],
    ),
    ("network[1].name", [VETH, BRIDGE]),
    ("network[1].name", [{**VETH, "name": "a"}, {**DEVICE, "device": "a"}]),
]


@pytest.mark.parametrize(
    ("field", "networks"),
    [pytest.param(f, n, id=f"{i}-{f}") for i, (f, n) in enumerate(BAD)],
)
def test_a_wrong_network_is_named_by_its_path(field: str, networks: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(rootfs="/x", network=networks)
    assert caught.value.field == field
    assert caught.value.reason
    assert not caught.value.reason.endswith(".")


@pytest.mark.parametrize("choice", ["host", "/run/netns/x"])
def test_networks_need_a_namespace_of_their_own(choice: str) -> None:
    namespaces = {"network": choice}
    Config(rootfs="/x", namespaces=namespaces)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs a new network namespace"):
        Config(rootfs="/x", network=Veth(), namespaces=namespaces)  # type: ignore[arg-type]
