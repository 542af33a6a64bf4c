"""`Network.bridge`: containers that talk, get out, are reached, and leave no trace."""

import contextlib
import socket
import subprocess
import sys

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    Network,
    NetworkError,
    Rootfs,
    UnsupportedFeature,
    Veth,
    run,
)
from aiocontainer.network import bridges
from tests.support.capabilities import needs
from tests.support.networks import (
    inside,
    ip,
    link,
    links,
    own_network_fixture,
    reply,
    serve,
    sysctl,
)

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "network-namespace", "iproute2", "nftables"),
    needs("overlay"),
]

host = own_network_fixture()
SIX = "fd00:77::/64"
STUBBORN = {key: ["NET_ADMIN"] for key in ("bounding", "permitted", "effective")}
"""Capabilities of a container that changes its own network."""


@pytest.fixture(scope="module")
def anyio_backend():
    """Which loop it is matters in one test only."""
    return ("asyncio", {})


@pytest.fixture(autouse=True)
def nothing_left(host):
    """What all tests of this file have to leave behind: nothing."""
    sysctl("net/ipv4/ip_forward", "0")
    yield
    assert links() == set()
    assert bridges.known == {}


@contextlib.asynccontextmanager
async def running(rootfs, *networks, init=True):
    """Containers with these networks, over the root directory, which stays as it is."""
    rootfs = Rootfs.overlay(rootfs)
    async with contextlib.AsyncExitStack() as stack:
        containers = []
        for network in networks:
            config = Config(rootfs=rootfs, network=network)
            containers.append(await stack.enter_async_context(Container(config)))
        for container in containers:
            if init:
                await container.run(["true"])
        yield containers


@contextlib.asynccontextmanager
async def an_outside(rootfs, *, uplink="192.0.2.1/24", gateway=None):
    """A container that stands for another machine, 192.0.2.2 beyond the host."""
    network = Veth(host_name="up0", address="192.0.2.2/24", gateway=gateway)
    async with running(rootfs, network) as (outside,):
        ip("address", "add", uplink, "dev", "up0")
        yield outside


async def run_on(rootfs, network):
    await run(Config(rootfs=Rootfs.overlay(rootfs), network=network), ["true"])


def address_of(container):
    return container.networks[0].address


# -- talking ---------------------------------------------------------------------------


async def test_two_containers_talk_by_both_protocols(rootfs):
    network = Network.bridge(subnet6=SIX)
    async with running(rootfs, network, network) as (one, other):
        await serve(one, 80, "echo hello")
        four, six = (address.ip for address in one.networks[0].addresses)
        assert await reply(other, four, 80) == "hello\n"
        assert await reply(other, six, 80) == "hello\n"
        assert link("aiocontainer0")["linkinfo"]["info_kind"] == "bridge"


@pytest.mark.parametrize(
    "backend",
    [("asyncio", {"use_uvloop": True}), ("trio", {})],
    ids=["uvloop", "trio"],
)
def test_every_event_loop_will_do(rootfs, backend):
    async def main():
        network = Network.bridge()
        async with running(rootfs, network, network) as (one, other):
            await serve(one, 80, "echo hello")
            assert await reply(other, address_of(one), 80) == "hello\n"

    anyio.run(main, backend=backend[0], backend_options=backend[1])


async def test_the_host_and_its_containers_reach_each_other(rootfs):
    async with running(rootfs, Network.bridge()) as (container,):
        await serve(container, 80, "echo from the container")
        assert await asked(address_of(container), 80) == b"from the container\n"
        with served(b"from the host\n") as port:
            gateway = container.networks[0].gateway
            assert await reply(container, gateway, port) == "from the host\n"


async def test_isolated_containers_dont_reach_each_other(rootfs):
    network = Network.bridge(isolated=True)
    async with running(rootfs, network, network) as (one, other):
        await serve(one, 80, "echo hello")
        assert await reply(other, address_of(one), 80) == ""
        assert await asked(address_of(one), 80) == b"hello\n"


async def test_bridges_of_two_names_dont_reach_each_other(rootfs):
    sysctl("net/ipv4/ip_forward", "1")
    networks = (Network.bridge("left0"), Network.bridge("right0"))
    async with running(rootfs, *networks) as (left, right):
        assert (
            not left.networks[0]
            .addresses[0]
            .network.overlaps(right.networks[0].addresses[0].network)
        )
        await serve(left, 80, "echo hello")
        assert await reply(right, address_of(left), 80) == ""


# -- out -------------------------------------------------------------------------------


async def test_what_goes_out_bears_the_hosts_address(rootfs):
    sysctl("net/ipv4/ip_forward", "1")
    async with (
        an_outside(rootfs) as outside,
        running(rootfs, Network.bridge()) as (container,),
    ):
        assert container.networks[0].masqueraded
        # It has no route back to the container, only to the host.
        await serve(outside, 80, "grep :0050 /proc/net/tcp6 /proc/net/tcp")
        said = await reply(container, "192.0.2.2", 80)
        assert hex_of("192.0.2.1") in said
        assert hex_of(str(address_of(container))) not in said


def hex_of(address):
    return socket.inet_aton(address)[::-1].hex().upper()


async def test_ipv6_goes_out_too(rootfs):
    sysctl("net/ipv4/ip_forward", "1")
    sysctl("net/ipv6/conf/all/forwarding", "1")
    network = Veth(host_name="up0", address6="2001:db8::2/64")
    async with running(rootfs, network, Network.bridge(subnet6=SIX)) as (there, here):
        ip("address", "add", "2001:db8::1/64", "dev", "up0", "nodad")
        await serve(there, 80, "echo hello")
        assert await reply(here, "2001:db8::2", 80) == "hello\n"


async def test_a_host_that_forwards_nothing_says_so(rootfs):
    async with running(rootfs, Network.bridge()) as (container,):
        assert not container.networks[0].masqueraded
    with pytest.raises(UnsupportedFeature, match="ip_forward") as caught:
        await run_on(rootfs, Network.bridge(masquerade=True))
    assert "forwarding=True" in caught.value.hint
    assert await forwards() == "0"


async def test_a_host_forwards_when_it_is_asked_to(rootfs):
    async with running(rootfs, Network.bridge(forwarding=True)) as (container,):
        assert container.networks[0].masqueraded
        assert await forwards() == "1"


async def forwards():
    return (await anyio.Path("/proc/sys/net/ipv4/ip_forward").read_text()).strip()


async def test_an_internal_network_stays_inside(rootfs):
    sysctl("net/ipv4/ip_forward", "1")
    network = Network.bridge(internal=True)
    async with (
        an_outside(rootfs, gateway="192.0.2.1") as outside,
        running(rootfs, network, network) as (one, other),
    ):
        await serve(outside, 80, "echo hello")
        await serve(one, 80, "echo hello")
        assert await reply(other, address_of(one), 80) == "hello\n"
        assert await reply(other, "192.0.2.2", 80) == ""
        gateway = str(one.networks[0].addresses[0].network.network_address + 1)
        config = Config(
            rootfs=Rootfs.overlay(rootfs),
            network=network,
            capabilities=STUBBORN,
        )
        async with Container(config) as stubborn:
            await inside(stubborn, "ip", "route", "add", "default", "via", gateway)
            assert await reply(stubborn, "192.0.2.2", 80) == ""


# -- in --------------------------------------------------------------------------------


@pytest.mark.covers("published ports and masquerading")
async def test_a_published_port_is_reached_from_the_host_and_from_outside(rootfs):
    sysctl("net/ipv4/ip_forward", "1")
    network = Network.bridge(publish=["8080:80"])
    async with (
        an_outside(rootfs) as outside,
        running(rootfs, network, Network.bridge()) as (container, other),
    ):
        await serve(container, 80, "echo hello")
        assert await asked("127.0.0.1", 8080) == b"hello\n"
        assert await asked("192.0.2.1", 8080) == b"hello\n"
        assert await reply(outside, "192.0.2.1", 8080) == "hello\n"
        gateway = container.networks[0].gateway
        assert await reply(other, gateway, 8080) == "hello\n"
        assert await reply(container, gateway, 8080) == "hello\n"
        assert container.networks[0].ports[0].host_port == 8080
    with pytest.raises(OSError, match="attempts failed"):
        await asked("127.0.0.1", 8080)


async def test_a_published_port_is_reached_by_ipv6(rootfs):
    network = Network.bridge(publish=["8080:80"], subnet6=SIX)
    async with running(rootfs, network) as (container,):
        await serve(container, 80, "echo hello")
        assert await asked("fd00:77::1", 8080) == b"hello\n"


async def test_a_port_of_one_address_is_reached_there_only(rootfs):
    network = Network.bridge(publish=["127.0.0.1:8080:80"])
    async with (
        an_outside(rootfs) as outside,
        running(rootfs, network) as (container,),
    ):
        await serve(container, 80, "echo hello")
        assert await asked("127.0.0.1", 8080) == b"hello\n"
        assert await reply(outside, "192.0.2.1", 8080) == ""


async def test_a_free_port_is_chosen_and_told(rootfs):
    network = Network.bridge(publish=[(0, 80)])
    async with running(rootfs, network, network) as both:
        ports = [one.networks[0].ports[0].host_port for one in both]
        assert len(set(ports)) == 2
        await serve(both[1], 80, "echo hello")
        assert await asked("127.0.0.1", ports[1]) == b"hello\n"


UDP_ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", 53))
    print("ready", flush=True)
    data, client = server.recvfrom(100)
    server.sendto(data.upper(), client)
"""


async def test_udp_is_published(rootfs):
    network = Network.bridge(publish=["5353:53/udp"])
    async with running(rootfs, network) as (container,):
        enter = ["nsenter", "-t", str(container.pid), "-n", sys.executable, "-c"]
        with subprocess.Popen(  # noqa: ASYNC220
            [*enter, UDP_ECHO], stdout=subprocess.PIPE
        ) as server:
            assert server.stdout.readline() == b"ready\n"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(5)
                client.connect(("127.0.0.1", 5353))
                client.send(b"hello")
                assert client.recv(100) == b"HELLO"
            assert server.wait() == 0


async def test_a_port_that_is_taken_is_an_error_and_nothing_is_left(rootfs):
    with served(b"") as port:
        config = Config(
            rootfs=Rootfs.overlay(rootfs), network=Network.bridge(publish=[(port, 80)])
        )
        with pytest.raises(NetworkError, match="Address already in use") as caught:
            await run(config, ["true"])
    assert caught.value.step == f"publish port {port}/tcp"


async def test_what_isnt_published_cant_be_reached_from_outside(rootfs):
    sysctl("net/ipv4/ip_forward", "1")
    async with (
        an_outside(rootfs, gateway="192.0.2.1") as outside,
        running(rootfs, Network.bridge(publish=["8080:80"])) as (container,),
    ):
        await serve(container, 80, "echo published")
        await serve(container, 81, "echo secret")
        assert await reply(outside, "192.0.2.1", 8080) == "published\n"
        assert await reply(outside, address_of(container), 81) == ""


async def test_the_hosts_loopback_isnt_reached_from_the_bridge(rootfs):
    """``route_localnet``, which published ports need, would let it be."""
    network = Network.bridge(publish=["8080:80"])
    config = Config(
        rootfs=Rootfs.overlay(rootfs),
        network=network,
        capabilities=STUBBORN,
    )
    with served(b"secret\n", host="127.0.0.1") as port:
        async with Container(config) as container:
            await inside(container, "ip", "link", "set", "lo", "down")
            gateway = str(container.networks[0].gateway)
            await inside(container, "ip", "route", "add", "127.0.0.0/8", "via", gateway)
            assert await reply(container, "127.0.0.1", port) == ""


# -- addresses -------------------------------------------------------------------------


async def test_addresses_are_leased_in_turn_and_not_at_once_again(rootfs):
    network = Network.bridge(subnet="10.5.0.0/24")
    async with running(rootfs, network) as (stays,):
        seen = [str(address_of(stays))]
        for _ in range(3):
            async with running(rootfs, network) as (container,):
                seen.append(str(address_of(container)))
        assert seen == ["10.5.0.2", "10.5.0.3", "10.5.0.4", "10.5.0.5"]


async def test_a_subnet_gives_all_its_addresses_and_no_more(rootfs):
    network = Network.bridge(subnet="10.5.0.0/29")
    async with running(rootfs, *[network] * 5) as containers:
        got = {str(address_of(container)) for container in containers}
        assert got == {f"10.5.0.{n}" for n in range(2, 7)}
        with pytest.raises(NetworkError, match="are taken"):
            await run_on(rootfs, network)
        await containers[2].destroy()
        async with running(rootfs, network) as (again,):
            assert str(address_of(again)) == "10.5.0.4"


async def test_a_subnet_that_the_host_uses_isnt_chosen(rootfs):
    async with (
        an_outside(rootfs, uplink="10.213.4.1/24"),
        running(rootfs, Network.bridge()) as (container,),
    ):
        assert str(address_of(container)) == "10.214.0.2"


async def test_containers_started_at_once_have_addresses_of_their_own(rootfs):
    network = Network.bridge()
    async with running(rootfs, *[network] * 8, init=False) as containers:
        async with anyio.create_task_group() as tasks:
            for container in containers:
                tasks.start_soon(container.run, ["true"])
        assert len({address_of(container) for container in containers}) == 8


async def test_a_container_on_two_bridges_goes_out_by_the_first(rootfs):
    network = (Network.bridge("left0"), Network.bridge("right0", interface="eth1"))
    async with running(rootfs, network) as (container,):
        assert [one.bridge for one in container.networks] == ["left0", "right0"]
        assert {"left0", "right0"} < links()
        left, right = container.networks
        assert f"default via {left.gateway} dev eth0" in await inside(
            container, "ip", "route"
        )
        assert right.gateway is None


# -- the bridge ------------------------------------------------------------------------


async def test_a_bridge_stays_until_its_last_container_has_gone(rootfs):
    network = Network.bridge()
    async with running(rootfs, network, network) as (one, other):
        await one.destroy()
        assert link("aiocontainer0") is not None
        await inside(other, "true")
        await other.destroy()
        assert link("aiocontainer0") is None


async def test_a_bridge_of_somebody_else_is_used_and_left(rootfs):
    ip("link", "add", "br0", "up", "type", "bridge")
    ip("address", "add", "10.6.0.254/24", "dev", "br0")
    try:
        async with running(rootfs, Network.bridge("br0")) as (container,):
            assert str(address_of(container)) == "10.6.0.1"
            assert str(container.networks[0].gateway) == "10.6.0.254"
        async with running(rootfs, Network.bridge("br0")) as (later,):
            # What neighbours remember of the first one's address isn't the second's.
            assert str(address_of(later)) == "10.6.0.2"
        assert link("br0") is not None
    finally:
        ip("link", "delete", "br0")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        pytest.param({"name": "br0"}, "it has no IPv4 address", id="no address"),
        pytest.param(
            {"name": "br0", "subnet": "10.7.0.0/24"}, "and not 10.7.0.0", id="other"
        ),
        pytest.param({"name": "veth-a"}, "it is none", id="no bridge"),
    ],
)
async def test_a_bridge_that_doesnt_fit_is_an_error(rootfs, network, reason):
    ip("link", "add", "br0", "up", "type", "bridge")
    ip("link", "add", "veth-a", "type", "veth", "peer", "veth-b")
    try:
        with pytest.raises(NetworkError, match=reason):
            await run(
                Config(
                    rootfs=Rootfs.overlay(rootfs), network=Network.bridge(**network)
                ),
                ["true"],
            )
        assert links() == {"br0", "veth-a", "veth-b"}
    finally:
        ip("link", "delete", "br0")
        ip("link", "delete", "veth-a")


async def test_an_internal_bridge_isnt_one_that_leads_out(rootfs):
    async with running(rootfs, Network.bridge(internal=True)):
        with pytest.raises(NetworkError, match="it is internal"):
            await run_on(rootfs, Network.bridge())


# -- support ---------------------------------------------------------------------------


async def asked(address, port):
    """What a TCP server answers to the host."""
    with anyio.fail_after(5):
        async with await anyio.connect_tcp(str(address), port) as stream:
            return await stream.receive()


@contextlib.contextmanager
def served(text, host="0.0.0.0"):
    """A TCP server of the host that says one thing to one client; its port."""
    import threading

    with socket.create_server((host, 0)) as server:
        server.settimeout(10)

        def answer():
            with contextlib.suppress(OSError):
                client, _ = server.accept()
                with client:
                    client.sendall(text)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
