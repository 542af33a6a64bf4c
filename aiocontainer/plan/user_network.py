"""Which program makes the network of a user without privileges."""

from __future__ import annotations

from functools import cache
from typing import Final

from ..config import Config, UserNetwork, replace
from ..errors import UnsupportedFeature

__all__ = ("FORWARDERS", "find_program", "with_forwarders")

FORWARDERS: Final = {"pasta": "169.254.1.1", "slirp4netns": "10.0.2.3"}
"""Program -> the address at which it asks the host's name servers."""

_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@cache
def _installed() -> dict[str, str]:
    import shutil

    found = {name: shutil.which(name, path=_PATH) for name in FORWARDERS}
    return {name: path for name, path in found.items() if path}


def find_program(network: UserNetwork) -> tuple[str, str]:
    """(name, absolute path) of the program.

    Raises:
        UnsupportedFeature: it isn't installed.
    """
    wanted = FORWARDERS if network.program == "auto" else (network.program,)
    for name in wanted:
        if name in _installed():
            return name, _installed()[name]
    raise UnsupportedFeature(
        "Network.user",
        f"{' or '.join(wanted)} isn't installed",
        "install the package passt, or slirp4netns",
    )


def with_forwarders(config: Config) -> Config:
    """The config with the name servers of its user networks filled in.

    Raises:
        UnsupportedFeature: the program isn't installed.
    """
    found = []
    for network in config.network:
        if isinstance(network, UserNetwork):
            name, _ = find_program(network)
            if network.dns is not None and network.dns.servers is None:
                dns = replace(network.dns, servers=(FORWARDERS[name],))
                network = replace(network, dns=dns)
        found.append(network)
    return config.model_copy(update={"network": tuple(found)})
