"""Name resolution in containers: files of their own, and nothing left of them."""

import pytest

from aiocontainer import Config, Container, Dns, Mount, Network, Rootfs, Veth
from aiocontainer.plan import name_files
from tests.support.capabilities import needs
from tests.support.networks import inside, own_network_fixture

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "network-namespace", "overlay"),
]

host = own_network_fixture()
DNS = Dns(
    servers=["192.0.2.53", "2001:db8::53"],
    search=["example.org", "example.net"],
    options=["ndots:1"],
    hosts={"db": "10.0.0.9"},
)


@pytest.fixture(scope="module")
def anyio_backend():
    """The files have nothing to do with the event loop."""
    return ("asyncio", {})


def config(rootfs, **fields):
    fields = {"network": Veth(dns=DNS), **fields}
    return Config(rootfs=Rootfs.overlay(rootfs), hostname="box", **fields)


@pytest.mark.covers("DNS files")
async def test_the_files_say_what_the_config_says(rootfs):
    async with Container(config(rootfs)) as container:
        assert await inside(container, "cat", "/etc/resolv.conf") == (
            "nameserver 192.0.2.53\nnameserver 2001:db8::53\n"
            "search example.org example.net\noptions ndots:1\n"
        )
        hosts = await inside(container, "cat", "/etc/hosts")
        assert "127.0.1.1 box\n" in hosts
        assert "10.0.0.9 db\n" in hosts
        assert "127.0.0.1 localhost\n" in hosts
        assert await inside(container, "cat", "/etc/hostname") == "box\n"


async def test_the_files_can_be_changed_and_are_the_containers_alone(own_rootfs):
    both = Container(config(own_rootfs)), Container(config(own_rootfs))
    async with both[0] as one, both[1] as other:
        await inside(one, "sh", "-c", "echo 10.0.0.8 more >> /etc/hosts")
        assert "more" in await inside(one, "cat", "/etc/hosts")
        assert "more" not in await inside(other, "cat", "/etc/hosts")
    assert not (own_rootfs / "etc/hosts").exists()


async def test_nothing_else_of_the_memory_they_are_in_is_seen(rootfs):
    async with Container(config(rootfs)) as container:
        mounts = await inside(container, "cat", "/proc/self/mounts")
        shown = [
            line.split()[1] for line in mounts.splitlines() if "size=1024k" in line
        ]
        assert sorted(shown) == ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]
        assert "bin" in (await inside(container, "ls", "/..")).split()


async def test_a_link_that_leads_nowhere_yet_is_followed(own_rootfs):
    link = own_rootfs / "etc/resolv.conf"
    link.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    async with Container(config(own_rootfs)) as container:
        assert "192.0.2.53" in await inside(container, "cat", "/etc/resolv.conf")


async def test_a_link_stays_in_the_container(own_rootfs, tmp_path):
    outside = tmp_path / "outside"
    (own_rootfs / "etc/resolv.conf").symlink_to(f"../../../../..{outside}")
    async with Container(config(own_rootfs)) as container:
        assert "192.0.2.53" in await inside(container, "cat", "/etc/resolv.conf")
    assert not outside.exists()


async def test_a_mount_of_the_config_has_its_way(rootfs, tmp_path):
    (tmp_path / "hosts").write_text("10.9.9.9 mine\n")
    mount = Mount.bind(tmp_path / "hosts", "/etc/hosts")
    async with Container(config(rootfs, mounts=[mount])) as container:
        assert await inside(container, "cat", "/etc/hosts") == "10.9.9.9 mine\n"
        assert "192.0.2.53" in await inside(container, "cat", "/etc/resolv.conf")


async def test_the_view_of_the_host_has_them_too():
    shown = Config(rootfs=Rootfs.host(), network=Veth(dns=DNS), hostname="box")
    async with Container(shown) as container:
        assert "192.0.2.53" in await inside(container, "cat", "/etc/resolv.conf")
        assert "127.0.1.1 box\n" in await inside(container, "cat", "/etc/hosts")


async def test_without_dns_the_files_are_those_of_the_root(own_rootfs):
    network = Network.bridge(dns=None)
    async with Container(config(own_rootfs, network=network)) as container:
        assert await inside(container, "cat", "/etc/hostname") == "rootfs\n"
        assert "resolv.conf" not in await inside(container, "ls", "/etc")


async def test_a_user_namespace_makes_no_difference(own_rootfs):
    for name in ("resolv.conf", "hosts"):  # which its root couldn't make
        (own_rootfs / "etc" / name).touch()
    mapping = [{"container_id": 0, "host_id": 100_000, "size": 65536}]
    fields = {
        "namespaces": {"user": "new"},
        "uid_mappings": mapping,
        "gid_mappings": mapping,
    }
    async with Container(config(own_rootfs, **fields)) as container:
        assert "192.0.2.53" in await inside(container, "cat", "/etc/resolv.conf")
        assert "LOWER_UP" in await inside(container, "ip", "link", "show", "eth0")


HOSTS = [
    pytest.param(
        "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a b\noptions edns0\n",
        "",
        "nameserver 192.0.2.1\nsearch a b\noptions edns0\n",
        id="its own loopback is left out",
    ),
    pytest.param(
        "nameserver 127.0.0.53\nsearch a\n",
        "nameserver 192.0.2.7\n",
        "nameserver 192.0.2.7\nsearch a\n",
        id="whom the stub asks",
    ),
    pytest.param(
        "# x\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\nnonsense\nnameserver\n",
        "",
        "nameserver 2001:db8::1\n",
        id="zones and nonsense",
    ),
    pytest.param("", "", "", id="none"),
]


@pytest.mark.parametrize(("resolv", "stubs", "expected"), HOSTS)
def test_servers_of_the_host_that_a_container_can_reach(
    monkeypatch, resolv, stubs, expected
):
    texts = {"/etc/resolv.conf": resolv, name_files._STUBS_OWN: stubs}
    monkeypatch.setattr(name_files, "_read", texts.__getitem__)
    wanted = Config(rootfs="/x", network=Network.bridge(), hostname="box")
    (step,) = name_files.name_files(wanted, "id")
    assert dict(step.files)[b"/etc/resolv.conf"].decode() == expected


def test_a_config_without_networks_has_no_step():
    assert list(name_files.name_files(Config(rootfs="/x"), "id")) == []
