"""Types of network fields: interface names, addresses, ports."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    model_validator,
)

from .base import ConfigError, Model, Whole, without_nul

if TYPE_CHECKING:
    from ipaddress import (
        IPv4Address,
        IPv4Interface,
        IPv4Network,
        IPv6Address,
        IPv6Interface,
        IPv6Network,
    )
else:
    # Loaded by the first address of a config, which most don't have. What the fields
    # hold is said by their validators.
    IPv4Address = IPv4Interface = IPv4Network = object
    IPv6Address = IPv6Interface = IPv6Network = object

__all__ = (
    "Address",
    "AddressV4",
    "AddressV6",
    "HostV4",
    "HostV6",
    "InterfaceName",
    "MacAddress",
    "Mtu",
    "NetworkV4",
    "NetworkV6",
    "Port",
    "PublishedPort",
    "parse_published",
)

_NAME_MAX: Final = 15  # IFNAMSIZ of include/uapi/linux/if.h, without the NUL
_MAC: Final = r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}"


def _interface_name(name: str) -> str:
    """What dev_valid_name takes (net/core/dev.c), but for patterns, and for the names
    that mean something else below ``/proc/sys/net``."""
    if not 1 <= len(name.encode()) <= _NAME_MAX:
        raise ConfigError("", f"should be 1 to {_NAME_MAX} bytes long")
    if any(c.isspace() or not c.isprintable() or c in "/:%" for c in name):
        raise ConfigError("", "contains a space, a control character, or one of / : %")
    if name in (".", "..", "lo", "all", "default"):
        raise ConfigError("", f"{name} can't be the name of an interface")
    return name


InterfaceName: TypeAlias = Annotated[
    str, Strict(), AfterValidator(without_nul), AfterValidator(_interface_name)
]
"""Name of a network interface."""


def _mac(text: str) -> str:
    if not re.fullmatch(_MAC, text, re.ASCII):
        raise ConfigError("", "should be a MAC address, as 02:00:00:00:00:01")
    if int(text[:2], 16) & 1 or text == "00:00:00:00:00:00":
        raise ConfigError("", "should be the address of one interface")
    return text.lower()


MacAddress: TypeAlias = Annotated[str, Strict(), AfterValidator(_mac)]
"""Hardware address, in lower case."""

Mtu: TypeAlias = Annotated[Whole, Field(ge=68, le=65_535)]
"""Bytes of the largest packet; IPv4 wants 68, IPv6 1280 (RFC 791, RFC 8200)."""


def _parsed(parse: Callable[[str], object], example: str) -> tuple[object, ...]:
    """Annotations of a field that `ipaddress` parses, from text or from its object."""

    def validate(value: object) -> object:
        import ipaddress

        kinds = (
            ipaddress.IPv4Address,  # IPv4Interface is one
            ipaddress.IPv6Address,
            ipaddress.IPv4Network,
            ipaddress.IPv6Network,
        )
        if not isinstance(value, (str, *kinds)):
            raise ConfigError("", f"should be text, as {example!r}")
        text = str(value)
        if "%" in text:
            raise ConfigError("", "an address with a zone has no meaning here")
        try:
            return parse(text)
        except ConfigError:
            raise
        except ValueError:
            raise ConfigError("", f"should be like {example!r}") from None

    return PlainValidator(validate), PlainSerializer(str, return_type=str)


def _made_by(name: str) -> Callable[[str], Any]:
    """A class or function of `ipaddress`."""

    def make(text: str) -> object:
        import ipaddress

        return getattr(ipaddress, name)(text)

    return make


def _with_prefix(kind: str) -> Callable[[str], object]:
    make = _made_by(kind)

    def parse(text: str) -> object:
        if "/" not in text:
            raise ConfigError("", f"needs a prefix length, as {text}/24")
        found: IPv4Interface | IPv6Interface = make(text)
        address = found.ip
        if address.is_unspecified or address.is_multicast or address.is_loopback:
            raise ConfigError("", f"{address} can't be an interface's address")
        return found

    return parse


def _host(kind: str) -> Callable[[str], object]:
    make = _made_by(kind)

    def parse(text: str) -> object:
        address: IPv4Address | IPv6Address = make(text)
        if address.is_unspecified or address.is_multicast or address.is_loopback:
            raise ConfigError("", f"{address} can't be a gateway")
        return address

    return parse


AddressV4: TypeAlias = Annotated[
    IPv4Interface, *_parsed(_with_prefix("IPv4Interface"), "10.0.0.2/24")
]
"""An interface's IPv4 address with the prefix length of its network."""

AddressV6: TypeAlias = Annotated[
    IPv6Interface, *_parsed(_with_prefix("IPv6Interface"), "fd00::2/64")
]
"""An interface's IPv6 address with the prefix length of its network."""

HostV4: TypeAlias = Annotated[IPv4Address, *_parsed(_host("IPv4Address"), "10.0.0.1")]
"""IPv4 address of another machine."""

HostV6: TypeAlias = Annotated[IPv6Address, *_parsed(_host("IPv6Address"), "fd00::1")]
"""IPv6 address of another machine."""

Address: TypeAlias = Annotated[
    IPv4Address | IPv6Address, *_parsed(_made_by("ip_address"), "10.0.0.1")
]
"""Any IP address."""

NetworkV4: TypeAlias = Annotated[
    IPv4Network, *_parsed(_made_by("IPv4Network"), "10.0.0.0/24")
]
"""An IPv4 network."""

NetworkV6: TypeAlias = Annotated[
    IPv6Network, *_parsed(_made_by("IPv6Network"), "fd00::/64")
]
"""An IPv6 network."""

Network: TypeAlias = Annotated[
    IPv4Network | IPv6Network, *_parsed(_made_by("ip_network"), "10.0.0.0/24")
]
"""Any network."""

Port: TypeAlias = Annotated[Whole, Field(ge=1, le=65_535)]
"""A TCP or UDP port."""


class PublishedPort(Model):
    """A port of the host that leads to one of the container.

    ``"8080:80"``, ``"8080:80/udp"``, ``"127.0.0.1:8080:80"``, ``"[::1]:8080:80"``,
    ``(8080, 80)`` and ``(8080, 80, "udp")`` mean the same where a field takes one.
    """

    host_port: Annotated[Whole, Field(ge=0, le=65_535)]
    """0 is any free one; which one is told by ``container.networks``."""
    container_port: Port
    protocol: Literal["tcp", "udp"] = "tcp"
    host_address: Address | None = None
    """The one address of the host that it is reached at; ``None`` is all."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            host_port: int,
            container_port: int,
            protocol: Literal["tcp", "udp"] = "tcp",
            host_address: str | None = None,
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, data: object) -> object:
        return parse_published(data)


_PUBLISHED: Final = (
    r"(?:(?P<host_address>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?"
    r"(?P<host_port>[0-9]{1,5}):(?P<container_port>[0-9]{1,5})"
    r"(?:/(?P<protocol>tcp|udp))?"
)


def parse_published(value: object) -> object:
    """The fields of a `PublishedPort` from its short forms; anything else as it is.

    Raises:
        ConfigError: text or a tuple that can't be read.
    """
    if isinstance(value, str):
        match = re.fullmatch(_PUBLISHED, value, re.ASCII)
        if match is None:
            raise ConfigError("", "should be like '8080:80' or '127.0.0.1:53:53/udp'")
        found: dict[str, Any] = {k: v for k, v in match.groupdict().items() if v}
        found.update({k: int(v) for k, v in found.items() if k.endswith("_port")})
        if "host_address" in found:
            found["host_address"] = found["host_address"].strip("[]")
        return found
    if isinstance(value, Iterable) and not isinstance(value, Mapping | Model):
        parts = tuple(value)
        if not 2 <= len(parts) <= 3:
            raise ConfigError("", "should be like (8080, 80) or (8080, 80, 'udp')")
        names = ("host_port", "container_port", "protocol")
        return dict(zip(names, parts, strict=False))
    return value
