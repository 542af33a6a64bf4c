"""Devices of the host that containers borrow: with their addresses, there and back."""

import pytest

from aiocontainer import Config, Container, HostDevice, NetworkError, run
from tests.support.capabilities import needs
from tests.support.networks import inside, ip, link, links, own_network_fixture

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "network-namespace", "iproute2"),
]

host = own_network_fixture()


@pytest.fixture(scope="module")
def anyio_backend():
    """Which loop it is has no part in this."""
    return ("asyncio", {})


@pytest.fixture
def device(host):
    """A virtual device, which would be destroyed with a namespace that it is in."""
    ip("link", "add", "data0", "mtu", 1400, "type", "veth", "peer", "name", "peer0")
    ip("address", "add", "10.3.0.1/24", "dev", "data0")
    ip("address", "add", "fd03::1/64", "dev", "data0", "nodad")
    ip("link", "set", "data0", "up")
    ip("link", "set", "peer0", "up")
    before = ip("address", "show", "data0")
    try:
        yield "data0"
        assert lasting(ip("address", "show", "data0")) == lasting(before)
    finally:
        ip("link", "delete", "peer0")


def lasting(shown):
    """What doesn't differ from one time to the other: the link-local address comes by
    itself."""
    return [line for line in shown.splitlines() if "fe80" not in line]


@pytest.mark.covers("moving a host device", "linux.netDevices")
async def test_a_device_comes_with_its_addresses_and_goes_back(rootfs, device):
    network = HostDevice(device=device, name="net0")
    async with Container(Config(rootfs=rootfs, network=network)) as container:
        shown = await inside(container, "ip", "address", "show", "net0")
        assert "mtu 1400" in shown
        assert "inet 10.3.0.1/24" in shown
        assert "inet6 fd03::1/64" in shown
        assert "LOWER_UP" in shown
        assert links() == {"peer0"}
        assert container.networks[0].host_interface == "data0"
    assert links() == {"data0", "peer0"}


async def test_a_device_goes_back_however_its_container_ends(rootfs, device):
    network = HostDevice(device=device)
    async with Container(Config(rootfs=rootfs, network=network)) as container:
        process = await container.start(["sleep", "60"])
        assert links() == {"peer0"}
        process.kill()
        await process.wait()
    assert links() == {"data0", "peer0"}


async def test_a_device_that_was_down_goes_back_down(rootfs):
    ip("link", "add", "data0", "type", "veth", "peer", "name", "peer0")
    try:
        await run(Config(rootfs=rootfs, network=HostDevice(device="data0")), ["true"])
        assert "UP" not in link("data0")["flags"]
    finally:
        ip("link", "delete", "data0")


async def test_a_device_can_be_lent_again_and_again(rootfs, device):
    config = Config(rootfs=rootfs, network=HostDevice(device=device))
    for _ in range(3):
        await run(config, ["ip", "address", "show", device], check=True)


async def test_a_device_that_has_been_renamed_inside_goes_back(rootfs, device):
    capabilities = {
        key: ["NET_ADMIN"] for key in ("bounding", "permitted", "effective")
    }
    config = Config(
        rootfs=rootfs, network=HostDevice(device=device), capabilities=capabilities
    )
    async with Container(config) as container:
        await inside(container, "ip", "link", "set", device, "down")
        await inside(container, "ip", "link", "set", device, "name", "other0")


async def test_a_device_whose_name_was_taken_meanwhile_gets_another(rootfs):
    ip("link", "add", "data0", "type", "veth", "peer", "name", "peer0")
    container = Container(Config(rootfs=rootfs, network=HostDevice(device="data0")))
    try:
        await container.run(["true"])
        ip("link", "add", "data0", "type", "bridge")
        with pytest.raises(NetworkError, match="is taken"):
            await container.destroy()
        (name,) = links() - {"data0", "peer0"}
        assert name.startswith("dev")
        assert link(name)["linkinfo"]["info_kind"] == "veth"
    finally:
        ip("link", "delete", "data0")
        ip("link", "delete", "peer0")


async def test_a_device_that_isnt_there_is_an_error(rootfs):
    with pytest.raises(NetworkError) as caught:
        await run(Config(rootfs=rootfs, network=HostDevice(device="none0")), ["true"])
    assert (caught.value.interface, caught.value.step) == ("none0", "find the device")


async def test_a_device_goes_back_when_a_later_step_fails(rootfs, device):
    network = (HostDevice(device=device), HostDevice(device="none0"))
    with pytest.raises(NetworkError, match="none0"):
        await run(Config(rootfs=rootfs, network=network), ["true"])
