"""All networks of one config: the field that takes them, and how they fit together."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, SerializeAsAny

from .base import ConfigError
from .dns import Dns
from .namespaces import Namespaces
from .network import Attached, BridgeNetwork, HostDevice, Loopback, Route, Veth
from .user_network import UserNetwork

__all__ = ("AnyNetwork", "check_networks", "dns_of", "interface_of")

_KINDS: Final[dict[object, type[Attached]]] = {
    "loopback": Loopback,
    "veth": Veth,
    "bridge": BridgeNetwork,
    "device": HostDevice,
    "route": Route,
    "user": UserNetwork,
}


def _from_input(value: object) -> object:
    """A mapping is told apart by its ``kind``."""
    if isinstance(value, Mapping):
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in _KINDS:
            known = ", ".join(map(str, _KINDS))
            raise ConfigError("kind", f"should be one of {known}")
        return _KINDS[kind].model_validate(dict(value))
    if type(value) is Attached:
        raise ConfigError("", "use Network.bridge, Veth, HostDevice, Route or Loopback")
    return value


_One: TypeAlias = Annotated[SerializeAsAny[Attached], BeforeValidator(_from_input)]


def _as_many(value: object) -> object:
    return (value,) if isinstance(value, Attached | Mapping) else value


AnyNetwork: TypeAlias = Annotated[tuple[_One, ...], BeforeValidator(_as_many)]
"""A field that takes one or several of the models."""


def check_networks(networks: Sequence[Attached], namespaces: Namespaces) -> None:
    """Refuse what can't be together.

    Raises:
        ConfigError: naming the field ``network``.
    """
    names: set[str] = set()
    for index, network in enumerate(networks):
        if isinstance(network, Loopback):
            continue
        if namespaces.network != "new":
            raise ConfigError(f"network[{index}]", "needs a new network namespace")
        if isinstance(network, Route):
            continue
        name = interface_of(network)
        if name is not None and name in names:
            raise ConfigError(f"network[{index}].name", f"{name} is there twice")
        if name is not None:
            names.add(name)
    _check_routes(networks, names)


def _check_routes(networks: Sequence[Attached], names: set[str]) -> None:
    for index, network in enumerate(networks):
        interface = network.interface if isinstance(network, Route) else None
        if interface is not None and interface not in names:
            field = f"network[{index}].interface"
            raise ConfigError(field, "names none of the container's interfaces")


def interface_of(network: Attached) -> str | None:
    """Name of the interface that the container has by this."""
    match network:
        case Veth(name=name) | BridgeNetwork(name=name):
            return name
        case HostDevice(device=device, name=name):
            return name or device
    return getattr(network, "name", None)


def dns_of(networks: Sequence[Attached]) -> Dns | None:
    """What the first of the networks that says anything says of name resolution."""
    for network in networks:
        dns = getattr(network, "dns", None)
        if isinstance(dns, Dns):
            return dns
    return None
