"""Networks disturbed at every point: a typed error or a cancellation, nothing left."""

import errno
import os
import time

import anyio
import pytest

from aiocontainer import (
    Config,
    ContainerError,
    HostDevice,
    Network,
    Rootfs,
    Route,
    Veth,
    run,
)
from aiocontainer.network import bridges
from tests.support import leaks
from tests.support.capabilities import needs
from tests.support.networks import ip, links, own_network_fixture, sysctl
from tests.support.sweeps import cancel_sweep, fault, task_cancel_sweep

pytestmark = [
    pytest.mark.anyio,
    needs(
        "root",
        "mount-namespace",
        "network-namespace",
        "iproute2",
        "nftables",
        "overlay",
    ),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

host = own_network_fixture()

FULL = os.environ.get("AIOCONTAINER_SWEEP") == "full"
STRIDE = 7
CODES = (errno.EIO, errno.EMFILE, errno.EPERM) if FULL else (errno.EIO,)

NETWORKS = {
    "bridge": Network.bridge(publish=[(0, 80)], subnet6="fd00:77::/64"),
    "several": (
        Veth(address="10.1.0.2/24", gateway="10.1.0.1"),
        HostDevice(device="data0", name="net0"),
        Route(destination="10.9.0.0/16", gateway="10.1.0.9"),
    ),
}


@pytest.fixture
def anyio_backend():
    return ("asyncio", {})


@pytest.fixture(autouse=True)
def machine(host):
    sysctl("net/ipv4/ip_forward", "1")
    ip("link", "add", "data0", "type", "veth", "peer", "name", "peer0")
    ip("address", "add", "10.3.0.1/24", "dev", "data0")
    ip("link", "set", "data0", "up")
    try:
        yield
        assert links() == {"data0", "peer0"}
    finally:
        ip("link", "delete", "peer0")


class NothingLeft:
    """That all is as it was when this was made."""

    def __init__(self):
        self.before = leaks.take()
        self.device = ip("-4", "address", "show", "data0")

    def __call__(self, point):
        assert bridges.known == {}
        deadline = time.monotonic() + leaks.PATIENCE_S
        while left := self._left():
            assert time.monotonic() < deadline, f"disturbed at {point}: {left}"
            time.sleep(0.002)
        assert ip("-4", "address", "show", "data0") == self.device

    def _left(self):
        """Mounts and cgroups are looked at by other sweeps; other programs of this
        machine have them, too."""
        words = leaks.difference(self.before, leaks.take())
        kinds = ("network", "descriptor:", "process", "zombie", "caller")
        return [one for one in words if one.partition(": ")[2].startswith(kinds)]


@pytest.fixture(params=NETWORKS)
def config(request, rootfs):
    return Config(rootfs=Rootfs.overlay(rootfs), network=NETWORKS[request.param])


async def test_a_life_with_networks_may_be_cancelled_at_any_await(config, request):
    if "bridge" in request.node.name and not FULL:
        pytest.skip("the next test is as hard")
    await run(config, ["true"])
    seen = await cancel_sweep(lambda: run(config, ["true"]), NothingLeft())
    assert seen.points > 15


async def test_a_life_with_networks_may_be_cancelled_by_its_task(rootfs):
    config = Config(rootfs=Rootfs.overlay(rootfs), network=NETWORKS["bridge"])
    await run(config, ["true"])
    seen = await task_cancel_sweep(lambda: run(config, ["true"]), NothingLeft())
    assert seen.points > 15


async def test_many_lives_with_networks_cancelled_at_once_leave_nothing(rootfs):
    config = Config(rootfs=Rootfs.overlay(rootfs), network=NETWORKS["bridge"])
    await run(config, ["true"])
    check = NothingLeft()
    for delay_s in (0.01, 0.03, 0.06, 0.1):
        with anyio.move_on_after(delay_s):
            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(run, config, ["sleep", "60"])
        check(delay_s)


async def typed(operation):
    """Where the kernel's word on a process's end is lost, that is no error of ours."""
    try:
        await operation
    except OSError as error:
        if "from waitid(2)" not in getattr(error, "__notes__", ()):
            raise
        raise ContainerError("waitid") from error


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
async def test_a_kernel_call_that_fails_is_a_typed_error(config, code):
    await run(config, ["true"])
    with fault(-1) as faults:
        await run(config, ["true"])
    names = faults.names
    first = names.index("bind")  # of the first netlink socket
    assert names[first:].count("recv") > 12
    check = NothingLeft()
    start = first + (0 if FULL else code % STRIDE)
    for point in range(start, len(names), 1 if FULL else STRIDE):
        with fault(point, code) as faults, anyio.fail_after(20):
            try:
                await typed(run(config, ["true"]))
            except ContainerError:
                assert faults.hit is not None
        check(point)
    await run(config, ["true"])
