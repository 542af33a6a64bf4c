"""The programs that are the other end of a `UserNetwork`: which one, and how called."""

from __future__ import annotations

from typing import Final

from ..config import UserNetwork
from ..errors import UnsupportedFeature
from ..plan.user_network import FORWARDERS, find_program

__all__ = ("command",)

# The pipe that stands for its stdout: a line there is the word that all is ready.
_READY: Final = "/dev/stdout"


def command(network: UserNetwork, pid: int) -> tuple[str, ...]:
    """The program to run, which stays in the foreground, and its arguments.

    Args:
        network: what the container is to have.
        pid: a process in the container's network and user namespaces.

    Raises:
        UnsupportedFeature: no such program is installed.
    """
    name, path = find_program(network)
    if name == "slirp4netns":
        return _slirp4netns(path, network, pid)
    return _pasta(path, network, pid)


def _pasta(path: str, network: UserNetwork, pid: int) -> tuple[str, ...]:
    words = [path, "--config-net", "--foreground", "--quiet", "--stderr"]
    words += ["--pid", _READY, "--ns-ifname", network.name]
    if not network.host_loopback:
        words.append("--no-map-gw")
    if network.mtu is not None:
        words += ["--mtu", str(network.mtu)]
    if _forwards(network, "pasta"):
        words += ["--dns-forward", FORWARDERS["pasta"]]
    for protocol, option in (("tcp", "-t"), ("udp", "-u")):
        words += [option, _ports(network, protocol)]
    # Nothing that listens on the host's loopback is to be had at the container's.
    words += ["-T", "none", "-U", "none", str(pid)]
    return tuple(words)


def _ports(network: UserNetwork, protocol: str) -> str:
    found = []
    for port in network.publish:
        if port.protocol == protocol:
            address = "" if port.host_address is None else f"{port.host_address}/"
            found.append(f"{address}{port.host_port}:{port.container_port}")
    return ",".join(found) or "none"


def _slirp4netns(path: str, network: UserNetwork, pid: int) -> tuple[str, ...]:
    if network.publish:
        reason = "slirp4netns has no such option"
        raise UnsupportedFeature("publish", reason, "install pasta (package passt)")
    words = [path, "--configure", "--enable-sandbox", "--enable-seccomp"]
    words += ["--mtu", str(network.mtu or 65_520), "--ready-fd", "1"]
    if not network.host_loopback:
        words.append("--disable-host-loopback")
    if not _forwards(network, "slirp4netns"):
        words.append("--disable-dns")
    return (*words, str(pid), network.name)


def _forwards(network: UserNetwork, program: str) -> bool:
    servers = () if network.dns is None else network.dns.servers or ()
    return FORWARDERS[program] in map(str, servers)
