"""Networks of unprivileged containers: a program of the user is their other end."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, ConfigError, UserNetwork
from aiocontainer.config import Network
from aiocontainer.network.pasta import command
from tests.support.capabilities import needs
from tests.support.rootfs import make_rootfs
from tests.support.unprivileged import NOBODY, found_as

OUTSIDE = "10.78.8.1"
GATEWAY = "10.77.7.254"

# A network of the test's own, with a default route as programs look for one.
HOST = [
    "mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200",
    "ip link set lo up; ip addr add 10.78.8.1/32 dev lo",
    "ip link add eth7 type veth peer name eth8; ip addr add 10.77.7.1/24 dev eth7",
    f"ip link set eth8 up; ip link set eth7 up; ip route add default via {GATEWAY}",
]

PROGRAM = """
import json, os, sys
import anyio
from aiocontainer import *
from aiocontainer.config import Network

root, kind = sys.argv[1:]
GATEWAY = "10.77.7.254" if kind == "pasta" else "10.0.2.2"

async def answer(stream):
    async with stream:
        await stream.send(b"from the host\\n")
        try:
            await stream.receive()  # until the other side has it, and closes
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass

async def ask(container, address, port, patience=5):
    # Not half closed at once: pasta of 2023 then sends what it got again and again.
    script = f"sleep 0.3 | nc -w {patience} {address} {port}"
    result = await container.run(["sh", "-c", script], timeout=10)
    return result.stdout.decode().partition("\\n")[0]

async def main():
    found = {}
    async with anyio.create_task_group() as group:
        for address, port in (("10.78.8.1", 5000), ("127.0.0.1", 5001)):
            listener = await anyio.create_tcp_listener(
                local_host=address, local_port=port)
            group.start_soon(listener.serve, answer)
        publish = ["127.0.0.1:18000:8000"] if kind == "pasta" else []
        config = Config(rootfs=Rootfs.overlay(root),
            network=Network.user(program=kind, publish=publish))
        async with Container(config) as container:
            found["outside"] = await ask(container, "10.78.8.1", 5000)
            found["loopback"] = await ask(container, GATEWAY, 5001, 1)
            script = "ls /sys/class/net; cat /etc/resolv.conf; ip route"
            result = await container.run(["sh", "-c", script])
            found["inside"] = result.stdout.decode()
            if publish:
                server = ["nc", "-l", "-p", "8000", "-e", "echo", "from inside"]
                async with await container.start(server):
                    found["published"] = await connect(18000)
        network = Network.user(program=kind, host_loopback=True)
        config = Config(rootfs=Rootfs.overlay(root), network=network)
        async with Container(config) as container:
            found["permitted"] = await ask(container, GATEWAY, 5001)
        group.cancel_scope.cancel()
    found["left"] = [name for name in os.listdir("/proc/self/task")
        for child in open(f"/proc/self/task/{name}/children").read().split()
        if open(f"/proc/{child}/comm").read().strip() in ("pasta", "slirp4netns")]
    print(json.dumps(found))

async def connect(port):
    with anyio.fail_after(10):
        while True:
            try:
                async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                    return (await stream.receive()).decode()
            except (OSError, anyio.EndOfStream):
                await anyio.sleep(0.05)  # the server inside isn't there yet

anyio.run(main)
"""


@pytest.fixture(scope="module")
def nobodys_rootfs() -> Iterator[Path]:
    """A root file system that belongs to the user, as hers do."""
    folder = Path(tempfile.mkdtemp(prefix="rootfs-", dir="/tmp"))
    folder.chmod(0o755)
    root = make_rootfs(folder / "rootfs")
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(root)], check=True)
    yield root
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["pasta", "slirp4netns"])
def life(request: pytest.FixtureRequest, nobodys_rootfs: Path) -> dict[str, Any]:
    """What a container with such a network found."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} isn't installed")
    arguments = (str(nobodys_rootfs), request.param)
    found = found_as(PROGRAM, *arguments, before=HOST, unshare=["--net"])
    return {**found, "program": request.param}


kernel = needs("root", "mount-namespace", "user-namespace", "network-namespace")


@kernel
@pytest.mark.covers("networks without privileges")
def test_what_the_host_reaches_can_be_reached(life: dict[str, Any]) -> None:
    assert life["outside"] == "from the host"


@kernel
def test_the_hosts_loopback_is_out_of_reach_unless_permitted(
    life: dict[str, Any],
) -> None:
    assert life["loopback"] == ""
    assert life["permitted"] == "from the host"


@kernel
def test_published_ports_lead_into_the_container(life: dict[str, Any]) -> None:
    if life["program"] == "slirp4netns":
        pytest.skip("slirp4netns publishes nothing")
    assert life["published"] == "from inside\n"


@kernel
def test_the_interface_has_a_name_and_names_are_resolved_by_the_program(
    life: dict[str, Any],
) -> None:
    words = life["inside"].split()
    assert words[:2] == ["eth0", "lo"]
    server = {"pasta": "169.254.1.1", "slirp4netns": "10.0.2.3"}[life["program"]]
    assert f"nameserver {server}" in life["inside"]
    assert "default via" in life["inside"]


@kernel
def test_the_program_goes_with_the_container(life: dict[str, Any]) -> None:
    assert life["left"] == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param({"publish": ["0:80"]}, "publish[0].host_port", id="any-port"),
        pytest.param(
            {"publish": ["1:80"], "program": "slirp4netns"}, "publish", id="slirp"
        ),
        pytest.param({"program": "passt"}, "program", id="program"),
        pytest.param({"mtu": 1}, "mtu", id="mtu"),
    ],
)
def test_what_cant_be_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        UserNetwork(**given)
    assert caught.value.field == field


def test_it_can_be_written_as_data() -> None:
    config = Config.model_validate(
        {"rootfs": "/x", "network": [{"kind": "user", "publish": ["8080:80"]}]}
    )
    assert config.network == (Network.user(publish=["8080:80"]),)


@pytest.mark.skipif(shutil.which("pasta") is None, reason="pasta isn't installed")
def test_ports_are_told_by_protocol_and_address() -> None:
    publish = ["8080:80", "127.0.0.1:53:53/udp", "[::1]:81:81"]
    words = command(Network.user(program="pasta", publish=publish), 7)
    assert words[words.index("-t") + 1] == "8080:80,::1/81:81"
    assert words[words.index("-u") + 1] == "127.0.0.1/53:53"
    assert "--no-map-gw" in words
    assert words[-1] == "7"
