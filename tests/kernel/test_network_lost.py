"""What a program that is killed leaves of its networks: nothing."""

import os
import time
from contextlib import contextmanager, nullcontext

import pytest

from tests.support.capabilities import needs
from tests.support.dying import death_sweep
from tests.support.networks import ip, links, own_network_fixture, sysctl
from tests.support.nftables import tables
from tests.support.programs import program

pytestmark = [
    needs("root", "mount-namespace", "network-namespace", "iproute2", "nftables"),
    needs("overlay"),
    pytest.mark.timeout(120),
]

host = own_network_fixture()

LOCKS = "/run/aiocontainer-network"

PROGRAM = """
import asyncio, sys
import aiocontainer.container
from aiocontainer import Config, Container, HostDevice, Network, Rootfs

async def main(rootfs, kind):
    network = {
        "bridge": Network.bridge(publish=[(0, 80)], subnet6="fd00:77::/64"),
        "device": HostDevice(device="data0"),
        "none": (),
    }[kind]
    config = Config(rootfs=Rootfs.overlay(rootfs), network=network)
    for _ in range(1000):
        async with Container(config) as container:
            await container.run(["true"])
            for one in container.networks:
                print(one.address, flush=True)
            print("ready", flush=True)
            if not (await asyncio.to_thread(sys.stdin.readline)).strip():
                return

asyncio.run(main(*sys.argv[1:3]))
"""


def until(condition, child, patience_s=5.0):
    """While what the child has left is reaped, as by any init: the first process of a
    pid namespace doesn't end before that, nor then its network namespace."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"left: {links()} {tables()}"
        child.left_behind(0.005)


def started(child):
    """Its lines up to "ready"."""
    lines = []
    while (line := child.line()) != "ready":
        lines.append(line)
    return lines


def test_a_killed_program_leaves_no_bridge_no_pair_and_no_table(rootfs):
    with program(PROGRAM, str(rootfs), "bridge") as child:
        started(child)
        assert "aiocontainer0" in links()
        assert len(tables()) == 1
        child.kill()
        until(lambda: not links() and not tables(), child)
        assert child.left_behind() == []
    assert os.listdir(LOCKS) == []


def test_a_killed_program_leaves_the_bridge_to_others(rootfs):
    with program(PROGRAM, str(rootfs), "bridge") as other:
        (kept,) = started(other)
        with program(PROGRAM, str(rootfs), "bridge") as child:
            (lost,) = started(child)
            assert lost != kept
            assert len(tables()) == 2
            child.kill()
            until(lambda: len(links()) == 2 and len(tables()) == 1, child, 1.0)
            # The spawner waits for a while for the bridge to be nobody's.
            assert child.left_behind(6.0) == []
        assert "aiocontainer0" in links()
        other.send("again\n")
        assert started(other)
        other.send("\n")
        assert other.wait() == 0
    assert links() == set()


def test_programs_that_start_at_once_never_have_one_address(rootfs):
    arguments = (PROGRAM, str(rootfs), "bridge")
    with program(*arguments) as one, program(*arguments) as other:
        for turn in range(6):
            if turn:
                one.send("again\n")
                other.send("again\n")
            assert set(started(one)).isdisjoint(started(other))
        for child in (one, other):
            child.send("\n")
            assert child.wait() == 0
    assert links() == set()
    assert tables() == set()


@contextmanager
def lent():
    """A device to lend, with addresses that are told apart from new ones."""
    ip("link", "add", "data0", "type", "veth", "peer", "name", "peer0")
    try:
        ip("address", "add", "10.3.0.1/24", "dev", "data0")
        ip("address", "add", "10.4.0.1", "peer", "10.4.0.2/32", "dev", "data0")
        ip("link", "set", "data0", "up")
        yield
    finally:
        ip("link", "delete", "peer0")


def addresses():
    return [
        line.split("valid_lft")[0]
        for line in ip("-4", "-o", "address", "show", "data0").splitlines()
    ]


def test_a_killed_program_gives_a_device_back(rootfs):
    with lent(), program(PROGRAM, str(rootfs), "device") as child:
        had = addresses()
        started(child)
        assert links() == {"peer0"}
        child.kill()
        until(lambda: links() == {"data0", "peer0"} and addresses() == had, child)
        assert child.left_behind() == []


ATTACHES = """
import aiocontainer.container, aiocontainer.network.attach
from aiocontainer import Config, Container, HostDevice, Network, Rootfs, Veth
from aiocontainer.network import links, nftables

links._messages(), nftables._messages()  # these are slow to load
NETWORKS = {
    "bridge": Network.bridge(publish=[(0, 80)], subnet6="fd00:77::/64"),
    "veth": Veth(host_name="up0", address="10.3.1.2/24"),
    "device": HostDevice(device="data0", name="eth7"),
}

async def main(name):
    network = NETWORKS[sys.argv[2]]
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]), network=network)
    async with Container(config, id=name) as container:
        await container.run(["true"])
"""


@pytest.mark.parametrize("kind", ["bridge", "veth", "device"])
def test_killed_before_anything_that_it_does_a_program_leaves_no_network(rootfs, kind):
    with lent() if kind == "device" else nullcontext():
        before = links()
        had = addresses() if kind == "device" else None

        def check(child, _name):
            until(lambda: links() == before and not tables(), child)
            if had is not None:
                until(lambda: addresses() == had, child)
            assert child.left_behind() == []
            if os.path.exists(LOCKS):
                assert os.listdir(LOCKS) == []

        assert death_sweep(ATTACHES, check, str(rootfs), kind) > 100


LOST = PROGRAM.replace(
    'print("ready", flush=True)',
    'print("ready", flush=True)\n'
    "            from aiocontainer.proc import spawner; import os, signal\n"
    "            os.kill(spawner.peek().pid, signal.SIGKILL)\n"
    "            await asyncio.sleep(0.1)\n"
    '            await container.run(["true"])\n'
    '            print("ready", flush=True)',
)


def test_a_lost_spawner_changes_nothing_and_its_successor_knows_all(rootfs):
    sysctl("net/ipv4/ip_forward", "1")
    assert LOST != PROGRAM
    with program(LOST, str(rootfs), "bridge") as child:
        started(child)
        assert started(child) == []
        assert "aiocontainer0" in links()
        assert len(tables()) == 1
        child.kill()
        until(lambda: not links() and not tables(), child)
        assert child.left_behind() == []


def test_the_successor_of_a_lost_spawner_gives_a_device_back(rootfs):
    with lent(), program(LOST, str(rootfs), "device") as child:
        had = addresses()
        started(child)
        started(child)
        assert links() == {"peer0"}
        child.kill()
        until(lambda: links() == {"data0", "peer0"} and addresses() == had, child)
        assert child.left_behind() == []


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_half_of_a_bridge_whose_maker_is_gone_is_in_nobodys_way(rootfs, steps):
    ip("link", "add", "aiocontainer0", "index", 1 << 27, "type", "bridge")
    half = [
        ("link", "set", "aiocontainer0", "alias", "aiocontainer"),
        ("address", "add", "10.213.0.1/20", "dev", "aiocontainer0"),
    ]
    for step in half[:steps]:
        ip(*step)
    with program(PROGRAM, str(rootfs), "bridge") as child:
        started(child)
        assert "state UP" in ip("link", "show", "aiocontainer0")
        child.send("\n")
        assert child.wait() == 0
    assert links() == set()


def test_a_bridge_of_somebody_else_stays(rootfs):
    ip("link", "add", "aiocontainer0", "type", "bridge")
    try:
        with program(PROGRAM, str(rootfs), "bridge") as child, pytest.raises(EOFError):
            started(child)
        assert links() == {"aiocontainer0"}
    finally:
        ip("link", "delete", "aiocontainer0")


DETACHED = """
import asyncio, sys
from aiocontainer import Config, HostDevice, Rootfs, Runtime

async def main(rootfs, root, id, verb):
    runtime = Runtime(root)
    config = Config(rootfs=Rootfs.overlay(rootfs), network=HostDevice(device="data0"))
    if verb == "create":
        program = ["sleep", "60"]
        async with await runtime.create(id, config, program, detach=True) as made:
            await made.start()
    else:
        container = runtime.load(id)
        print((await container.run(["ip", "address"])).stdout.decode().count("data0"))
        await container.destroy()

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_detached_container_keeps_its_device(rootfs, tmp_path):
    ip("link", "add", "data0", "type", "veth", "peer", "name", "peer0")
    id = f"device-{os.getpid()}"
    arguments = (DETACHED, str(rootfs), str(tmp_path / "root"), id)
    with program(*arguments, "create") as child:
        assert child.wait() == 0
        until(
            lambda: [one.split()[1] for one in child.left_behind(0)] == ["sleep"], child
        )
        assert links() == {"peer0"}
        with program(*arguments, "destroy") as other:
            assert int(other.line()) > 0
            assert other.wait() == 0
    until(lambda: links() == set(), child)
