"""Pairs of interfaces, and routes: what a config says of them the kernel says, too."""

import json
import signal

import anyio
import pytest

from aiocontainer import Config, Container, NetworkError, Route, Veth, run
from aiocontainer.proc import sockets
from tests.support import leaks
from tests.support.capabilities import needs
from tests.support.networks import (
    inside,
    ip,
    link,
    links,
    own_network_fixture,
    reply,
    serve,
)

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "network-namespace", "iproute2"),
]

host = own_network_fixture()


@pytest.fixture(scope="module")
def anyio_backend():
    """Which loop it is matters in one test only."""
    return ("asyncio", {})


@pytest.fixture
def bridge(host):
    ip("link", "add", "br0", "up", "type", "bridge")
    ip("address", "add", "10.0.0.1/24", "dev", "br0")
    yield "br0"
    ip("link", "delete", "br0")


FULL = Veth(
    name="net0",
    host_name="to-net0",
    bridge="br0",
    address="10.0.0.2/24",
    address6="fd00::2/64",
    gateway="10.0.0.1",
    gateway6="fd00::1",
    mtu=1400,
    tx_queue_len=77,
    mac_address="02:00:00:00:00:07",
    hairpin=True,
    isolated=True,
)


@pytest.mark.covers("veth, bridge, hairpin, IPv6, MTU")
async def test_an_interface_is_as_the_config_says(rootfs, bridge):
    async with Container(Config(rootfs=rootfs, network=FULL)) as container:
        shown = await inside(container, "ip", "address", "show", "net0")
        assert "mtu 1400" in shown
        assert "qlen 77" in shown
        assert "02:00:00:00:00:07" in shown
        assert "inet 10.0.0.2/24 brd 10.0.0.255" in shown
        assert "inet6 fd00::2/64 scope global" in shown
        assert "LOWER_UP" in shown
        assert "default via 10.0.0.1 dev net0" in await inside(container, "ip", "route")
        routes = await inside(container, "ip", "-6", "route")
        assert "default via fd00::1 dev net0" in routes
        ours = link("to-net0")
        assert (ours["mtu"], ours["txqlen"]) == (1400, 77)
        assert ours["master"] == "br0"
        port = ours["linkinfo"]["info_slave_data"]
        assert (port["hairpin"], port["isolated"]) == (True, True)
        (status,) = container.networks
        assert (status.interface, status.host_interface) == ("net0", "to-net0")
        assert str(status.address) == "10.0.0.2"
    assert links() == {"br0"}
    assert container.networks == ()


async def test_a_pair_may_do_without_anything(rootfs):
    async with Container(Config(rootfs=rootfs, network=Veth())) as container:
        shown = await inside(container, "ip", "address", "show", "eth0")
        assert "LOWER_UP" in shown
        assert "inet " not in shown
        (status,) = container.networks
        assert link(status.host_interface)["linkinfo"]["info_kind"] == "veth"


@pytest.mark.covers("loopback")
async def test_the_loopback_interface_is_up_beside_others(rootfs):
    async with Container(Config(rootfs=rootfs, network=Veth())) as container:
        assert "LOOPBACK,UP" in await inside(container, "ip", "link", "show", "lo")


@pytest.mark.covers("static routes")
async def test_several_interfaces_and_routes(rootfs):
    network = (
        Veth(name="a", address="10.1.0.2/24"),
        Veth(name="b", address="10.2.0.2/24", address6="fd02::2/64"),
        Route(destination="10.9.0.0/16", gateway="10.1.0.1"),
        Route(destination="10.8.0.0/16", interface="b", source="10.2.0.2"),
        Route(destination="fd09::/48", gateway="fd02::1"),
        Route(gateway="10.2.0.1", interface="b"),
    )
    async with Container(Config(rootfs=rootfs, network=network)) as container:
        routes = await inside(container, "ip", "route")
        assert "10.9.0.0/16 via 10.1.0.1 dev a" in routes
        assert "10.8.0.0/16 dev b scope link  src 10.2.0.2" in routes
        assert "default via 10.2.0.1 dev b" in routes
        assert "fd09::/48 via fd02::1 dev b" in await inside(container, *IP6_ROUTE)
        assert [one.interface for one in container.networks] == ["a", "b"]


IP6_ROUTE = ("ip", "-6", "route")


async def test_two_containers_talk_over_a_bridge(rootfs, bridge):
    def config(number):
        address = f"10.0.0.{number}/24"
        six = f"fd00::{number}/64"
        network = Veth(bridge="br0", address=address, address6=six)
        return Config(rootfs=rootfs, network=network)

    async with Container(config(2)) as one, Container(config(3)) as other:
        await serve(one, 80, "echo hello from one")
        await inside(other, "true")
        assert await reply(other, "10.0.0.2", 80) == "hello from one\n"
        assert await reply(other, "fd00::2", 80) == "hello from one\n"


async def test_figures_of_an_interface_are_the_containers_own(rootfs, bridge):
    network = Veth(name="net0", bridge="br0", address="10.0.0.2/24")
    async with Container(Config(rootfs=rootfs, network=network, pids=20)) as container:
        await container.start(["nc", "-ll", "-p", "80", "-e", "sh", "-c", SINK])
        _, before = (await container.stats()).interfaces
        await send_to("10.0.0.2", 200_000)
        lo, after = (await container.stats()).interfaces
        assert after.rx_bytes - before.rx_bytes > 200_000
        assert after.tx_bytes - before.tx_bytes < 100_000
        assert after.rx_packets > before.rx_packets
        assert (lo.name, after.name) == ("lo", "net0")


SINK = "cat >/dev/null"


async def send_to(address, size):
    with anyio.fail_after(5):
        while True:
            try:
                stream = await anyio.connect_tcp(address, 80)
                break
            except OSError:  # not listening yet
                await anyio.sleep(0.01)
        async with stream:
            await stream.send(bytes(size))
            await stream.send_eof()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


# -- what can't be ---------------------------------------------------------------------

WRONG = [
    pytest.param(Veth(bridge="none"), "none", "find the bridge", id="no bridge"),
    pytest.param(Veth(bridge="lo0"), "lo0", "use the bridge", id="not a bridge"),
    pytest.param(Veth(host_name="lo0"), "eth0", "make the pair", id="name taken"),
    pytest.param(
        (Veth(name="a"), Veth(name="b", address="10.1.0.2/24", gateway="10.7.0.1")),
        "b",
        "add a default route by 10.7.0.1",
        id="gateway out of reach",
    ),
    pytest.param(
        (Veth(), Route(destination="10.0.0.0/8", gateway="10.7.0.1")),
        "",
        "add a route to 10.0.0.0/8",
        id="route out of reach",
    ),
]


@pytest.mark.parametrize(("network", "interface", "step"), WRONG)
async def test_a_refusal_names_interface_and_step_and_is_undone(
    rootfs, network, interface, step
):
    ip("link", "add", "lo0", "type", "veth", "peer", "lo1")
    try:
        before = leaks.take()
        with pytest.raises(NetworkError) as caught:
            await run(Config(rootfs=rootfs, network=network), ["true"])
        assert caught.value.interface == interface
        assert caught.value.step.startswith(step)
        assert caught.value.reason
        assert leaks.find(before) == []
        assert links() == {"lo0", "lo1"}
    finally:
        ip("link", "delete", "lo0")


async def test_a_container_whose_network_failed_can_start_later(rootfs):
    network = Veth(bridge="late", address="10.0.0.2/24")
    async with Container(Config(rootfs=rootfs, network=network)) as container:
        with pytest.raises(NetworkError):
            await container.run(["true"])
        assert container.status() == "created"
        ip("link", "add", "late", "up", "type", "bridge")
        try:
            assert "10.0.0.2" in await inside(container, "ip", "address")
        finally:
            await container.destroy()
            ip("link", "delete", "late")


async def test_words_of_the_kernel_are_in_the_error(rootfs):
    network = Veth(address="10.0.0.2/24", gateway="10.0.0.255")
    with pytest.raises(NetworkError, match="could not add a default route") as caught:
        await run(Config(rootfs=rootfs, network=network), ["true"])
    assert isinstance(caught.value.__cause__, OSError)


async def test_the_program_of_the_caller_stays_where_it_is(rootfs):
    before = json.loads(ip("-json", "address"))
    async with Container(Config(rootfs=rootfs, network=Veth())) as container:
        await container.run(["true"])
    assert json.loads(ip("-json", "address")) == before


# -- the process that waits for the kernel ---------------------------------------------


@pytest.fixture
def relays(monkeypatch):
    """Called with the pidfd of each relay, once it runs."""
    seen = []
    start = sockets.Relay.start

    async def started(self, pidfd):
        await start(self, pidfd)
        for act in seen:
            act(self._pidfd)

    monkeypatch.setattr(sockets.Relay, "start", started)
    return seen


async def test_a_lost_relay_is_an_error_and_the_next_one_cleans_up(rootfs, relays):
    left = [None]

    def kill_the_first(pidfd):
        if left:
            left.pop()
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    relays.append(kill_the_first)
    with pytest.raises(NetworkError, match=r"relay has ended|Broken pipe|reset"):
        await run(Config(rootfs=rootfs, network=Veth()), ["true"])
    assert links() == set()
    assert (await run(Config(rootfs=rootfs, network=Veth()), ["true"])).returncode == 0


async def test_the_event_loop_goes_on_while_the_kernel_takes_its_time(rootfs, relays):
    relays.append(lambda pidfd: signal.pidfd_send_signal(pidfd, signal.SIGSTOP))
    ticks = []

    async def tick():
        for _ in range(20):
            await anyio.sleep(0.005)
            ticks.append(None)
        for pidfd in stopped:
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        relays.clear()

    stopped = []
    relays.append(stopped.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await run(Config(rootfs=rootfs, network=Veth()), ["true"])
        assert len(ticks) == 20


async def test_what_the_kernel_refuses_to_a_relay_is_told(rootfs, monkeypatch):
    async def refused(self, pidfd):
        await start(self, self.sockets[0].fileno())  # which is no pidfd

    start = sockets.Relay.start
    monkeypatch.setattr(sockets.Relay, "start", refused)
    before = leaks.take()
    with pytest.raises(NetworkError, match="could not open a relay") as caught:
        await run(Config(rootfs=rootfs, network=Veth()), ["true"])
    assert isinstance(caught.value.__cause__, OSError)
    assert leaks.find(before) == []
