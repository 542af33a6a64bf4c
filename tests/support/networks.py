"""Tests of networks never see the machine's own.

    pytestmark = [pytest.mark.anyio, needs("network-namespace", "iproute2")]
    host = own_network_fixture()

Such a file runs in a network namespace of its own, which is "the host" for the library
and its spawner.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aiocontainer._sys import constants as c
from aiocontainer._sys import namespaces
from aiocontainer._sys.network import bring_up_loopback
from aiocontainer.proc import spawner

from .procfs import namespace


def own_network_fixture() -> Any:
    """A fixture, for a whole file, that its tests get without asking."""

    @pytest.fixture(scope="module", autouse=True)
    def host() -> Iterator[None]:
        with own_network():
            yield

    return host


@contextmanager
def own_network() -> Iterator[None]:
    """Be in a new network namespace, where only the loopback interface is."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    was = namespace("net")
    end_spawner()
    namespaces.unshare(c.CLONE_NEWNET)
    try:
        assert namespace("net") != was
        bring_up_loopback()
        yield
    finally:
        end_spawner()
        namespaces.setns(before, c.CLONE_NEWNET)
        os.close(before)
        assert namespace("net") == was


def end_spawner() -> None:
    """The next one is born where we are."""
    current = spawner.peek()
    if current is not None:
        current.end()
        spawner.lost(current)


def ip(*words: str | int) -> str:
    """What ``ip`` of iproute2 says of the network namespace that we are in."""
    command = ["ip", *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def link(name: str) -> dict[str, Any] | None:
    """What the kernel says of an interface here, or ``None``."""
    done = subprocess.run(
        ["ip", "-details", "-json", "link", "show", name],
        capture_output=True,
        text=True,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found[0] if found else None


def links() -> set[str]:
    """Names of all interfaces here, the loopback left out."""
    return {one["ifname"] for one in json.loads(ip("-json", "link"))} - {"lo"}


def sysctl(key: str, value: str) -> None:
    """Set a kernel parameter of the network namespace that we are in."""
    with open(f"/proc/sys/{key}", "w") as file:
        file.write(value)


async def inside(container: Any, *words: str | int) -> str:
    """What a program says in a container; it has to end well."""
    result = await container.run([*map(str, words)], check=True)
    return str(result.stdout.decode())


async def reply(container: Any, address: object, port: int, text: str = "") -> str:
    """What a TCP server answers to a container; nothing if it can't be reached."""
    result = await container.run(
        ["nc", "-w", "1", str(address), str(port)], input=text.encode(), timeout=1
    )
    return str(result.stdout.decode()) if result.returncode == 0 else ""


async def serve(container: Any, port: int, script: str) -> None:
    """Have a container answer on a TCP port, by the output of a shell script."""
    server = ["nc", "-ll", "-p", str(port), "-e", "sh", "-c", script]
    await container.start(server)
    listening = f"grep -q ':{port:04X} .* 0A ' /proc/net/tcp6 /proc/net/tcp"
    until = ["sh", "-c", f"until {listening}; do sleep 0.01; done"]
    await container.run(until, timeout=5, check=True)
