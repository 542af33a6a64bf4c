"""The files by which names are resolved: resolv.conf(5), hosts(5), hostname(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from ..config import Config, Dns, dns_of
from . import steps as s

_RESOLV_CONF: Final = "/etc/resolv.conf"
_STUBS_OWN: Final = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved says whom it asks itself."""


def name_files(config: Config, name: str) -> Iterator[s.Step]:
    """Show files of our own, where a network of the config wants that.

    A mount of the config on the same path is left alone.
    """
    dns = dns_of(config.network)
    if dns is None or config.namespaces.mount != "new":
        return
    files = {
        _RESOLV_CONF: _resolv_conf(dns),
        "/etc/hosts": _hosts(dns, _own_name(config, name)),
    }
    if own := _own_name(config, name):
        files["/etc/hostname"] = f"{own}\n"
    taken = {mount.destination for mount in config.mounts}
    shown = [
        (os.fsencode(path), text.encode())
        for path, text in files.items()
        if path not in taken
    ]
    if shown:
        yield s.ShowFiles(tuple(shown))


def _own_name(config: Config, name: str) -> str | None:
    return None if config.namespaces.uts == "host" else config.hostname or name


def _hosts(dns: Dns, own: str | None) -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    if own is not None:
        # An address that is there before any interface is (as Debian has it).
        lines.append(f"127.0.1.1 {own}")
    lines += [f"{address} {host}" for host, address in dns.hosts.items()]
    return "".join(f"{line}\n" for line in lines)


def _resolv_conf(dns: Dns) -> str:
    hosts = _read(_RESOLV_CONF)
    servers: Iterable[object] = _servers(hosts) if dns.servers is None else dns.servers
    if dns.servers is None and not servers:
        servers = _servers(_read(_STUBS_OWN))
    search = dns.search or tuple(_words(hosts, "search"))
    options = dns.options or tuple(_words(hosts, "options"))
    lines = [f"nameserver {server}" for server in servers]
    if search:
        lines.append(" ".join(("search", *search)))
    if options:
        lines.append(" ".join(("options", *options)))
    return "".join(f"{line}\n" for line in lines)


def _servers(text: str) -> list[str]:
    """Name servers that can be reached from elsewhere than this host."""
    import ipaddress

    found = []
    for word in _words(text, "nameserver"):
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_link_local):
            found.append(word)
    return found


def _words(text: str, keyword: str) -> Iterator[str]:
    for line in text.splitlines():
        first, *rest = line.split() or [""]
        if first == keyword:
            yield from rest


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
