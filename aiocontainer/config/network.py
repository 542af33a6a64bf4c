"""What a container has of the network: interfaces, routes, ports, names."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from . import addresses as a
from .addresses import InterfaceName, MacAddress, Mtu, PublishedPort
from .base import ConfigError, Flag, Model, Whole
from .dns import HOSTS_DNS, AnyDns, Dns

if TYPE_CHECKING:
    from ipaddress import IPv4Interface, IPv6Interface

    from .user_network import UserNetwork

__all__ = (
    "Attached",
    "BridgeNetwork",
    "Dns",
    "HostDevice",
    "Loopback",
    "Network",
    "PublishedPort",
    "Route",
    "Veth",
)


class Attached(Model):
    """An interface or a route of the container: `Loopback`, `Veth`, `BridgeNetwork`,
    `HostDevice` or `Route`."""


class Loopback(Attached):
    """The loopback interface. It is there beside all others, too."""

    kind: Literal["loopback"] = "loopback"


class Veth(Attached):
    """A pair of interfaces: one in the container, one on the host."""

    kind: Literal["veth"] = "veth"
    name: InterfaceName = "eth0"
    """Of the container's end."""
    host_name: InterfaceName | None = None
    """Of the host's end; made up when ``None``."""
    bridge: InterfaceName | None = None
    """A bridge of the host that the host's end becomes a port of. It has to exist."""
    address: a.AddressV4 | None = None
    """Of the container's end, with the prefix length: ``"10.0.0.2/24"``."""
    address6: a.AddressV6 | None = None
    gateway: a.HostV4 | None = None
    """Where the IPv4 default route leads."""
    gateway6: a.HostV6 | None = None
    mtu: Mtu | None = None
    """Of both ends, in bytes."""
    tx_queue_len: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    """Packets that wait to be sent, at most; of both ends."""
    mac_address: MacAddress | None = None
    """Of the container's end."""
    hairpin: Flag = False
    """The bridge sends back through the port that a frame came from."""
    isolated: Flag = False
    """The bridge forwards nothing to other isolated ports."""
    dns: AnyDns = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str = "eth0",
            host_name: str | None = None,
            bridge: str | None = None,
            address: str | IPv4Interface | None = None,
            address6: str | IPv6Interface | None = None,
            gateway: str | None = None,
            gateway6: str | None = None,
            mtu: int | None = None,
            tx_queue_len: int | None = None,
            mac_address: str | None = None,
            hairpin: bool = False,
            isolated: bool = False,
            dns: Dns | Iterable[str] | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for field, needed in (("gateway", "address"), ("gateway6", "address6")):
            if getattr(self, field) is not None and getattr(self, needed) is None:
                raise ConfigError(field, f"needs an {needed}")
        if self.address and self.gateway and self.gateway == self.address.ip:
            raise ConfigError("gateway", "is the interface's own address")
        if self.address6 and self.gateway6 and self.gateway6 == self.address6.ip:
            raise ConfigError("gateway6", "is the interface's own address")
        if self.mtu is not None and self.mtu < 1280 and self.address6 is not None:
            raise ConfigError("mtu", "IPv6 needs at least 1280 bytes")
        for field in ("hairpin", "isolated"):
            if getattr(self, field) and self.bridge is None:
                raise ConfigError(field, "needs a bridge")
        return self


class BridgeNetwork(Attached):
    """What `Network.bridge` makes."""

    kind: Literal["bridge"] = "bridge"
    bridge: InterfaceName = "aiocontainer0"
    """Made if missing; one that somebody else made is used as it is, if it has an
    address."""
    subnet: a.NetworkV4 | None = None
    """``None`` is the bridge's own, or for a new one the first /20 of 10.213.0.0/16 to
    10.222.0.0/16 that no route of the host overlaps."""
    subnet6: a.NetworkV6 | None = None
    """``None`` is the bridge's own, if it has one; a new bridge then has no IPv6."""
    name: InterfaceName = "eth0"
    """Of the container's interface."""
    publish: tuple[PublishedPort, ...] = ()
    """Ports of the host that lead into the container."""
    masquerade: Flag | None = None
    """What the container sends elsewhere bears an address of the host. ``None`` is yes
    where the host forwards packets at all; true makes it an error if it doesn't."""
    forwarding: Flag = False
    """Make the host forward packets: sets ``net.ipv4.ip_forward`` (and that of IPv6
    with ``subnet6``) to 1 for the whole host, and leaves it so."""
    internal: Flag = False
    """Only the host and the other containers of the bridge can be reached."""
    isolated: Flag = False
    """Other isolated containers of the bridge can't be reached."""
    mtu: Mtu | None = None
    dns: AnyDns = HOSTS_DNS
    """``None`` leaves the files of the root directory alone."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            bridge: str = "aiocontainer0",
            subnet: str | None = None,
            subnet6: str | None = None,
            name: str = "eth0",
            publish: Iterable[str | tuple[Any, ...] | PublishedPort] = (),
            masquerade: bool | None = None,
            forwarding: bool = False,
            internal: bool = False,
            isolated: bool = False,
            mtu: int | None = None,
            dns: Dns | Iterable[str] | None = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.subnet is not None and not 8 <= self.subnet.prefixlen <= 29:
            raise ConfigError("subnet", "should be a /8 to a /29")
        if self.subnet6 is not None and not 32 <= self.subnet6.prefixlen <= 112:
            raise ConfigError("subnet6", "should be a /32 to a /112")
        if self.mtu is not None and self.mtu < 1280 and self.subnet6 is not None:
            raise ConfigError("mtu", "IPv6 needs at least 1280 bytes")
        for field in ("masquerade", "forwarding", "publish"):
            if self.internal and getattr(self, field):
                raise ConfigError(field, "contradicts internal")
        self._check_ports()
        return self

    def _check_ports(self) -> None:
        seen: dict[object, int] = {}
        for index, port in enumerate(self.publish):
            key = (port.protocol, port.host_port, port.host_address)
            if port.host_port and seen.setdefault(key, index) != index:
                raise ConfigError(
                    f"publish[{index}]", f"is publish[{seen[key]}] once more"
                )
            address = port.host_address
            if address and address.version == 6 and self.subnet6 is None:
                raise ConfigError(f"publish[{index}].host_address", "needs subnet6")


class Network:
    """Networks that need no names or addresses from the caller."""

    @staticmethod
    def bridge(
        name: str = "aiocontainer0",
        *,
        subnet: str | None = None,
        subnet6: str | None = None,
        publish: Iterable[str | tuple[Any, ...] | PublishedPort] = (),
        dns: Dns | Iterable[str] | None = HOSTS_DNS,
        masquerade: bool | None = None,
        forwarding: bool = False,
        internal: bool = False,
        isolated: bool = False,
        mtu: int | None = None,
        interface: str = "eth0",
    ) -> BridgeNetwork:
        """An interface on a bridge of the host, with an address that nobody else has.

        The bridge is made with its first container and goes with its last.

        Args:
            name: the bridge's.
            subnet: IPv4 network; one that the host doesn't use when ``None``.
            subnet6: IPv6 network; without, there is no IPv6.
            publish: ports of the host that lead into the container: ``"8080:80"``,
                ``(8080, 80, "udp")``, `PublishedPort`.
            dns: name servers, or a `Dns`; ``None`` leaves the files of the root
                directory alone.
            masquerade, forwarding, internal, isolated, mtu: see `BridgeNetwork`.
            interface: name of the container's interface.

        Raises:
            ConfigError: a value is wrong.
        """
        return BridgeNetwork(
            bridge=name,
            subnet=subnet,
            subnet6=subnet6,
            name=interface,
            publish=publish,
            masquerade=masquerade,
            forwarding=forwarding,
            internal=internal,
            isolated=isolated,
            mtu=mtu,
            dns=dns,
        )

    @staticmethod
    def user(
        *,
        publish: Iterable[str | tuple[Any, ...] | PublishedPort] = (),
        dns: Dns | Iterable[str] | None = HOSTS_DNS,
        program: Literal["auto", "pasta", "slirp4netns"] = "auto",
        host_loopback: bool = False,
        mtu: int | None = None,
        interface: str = "eth0",
    ) -> "UserNetwork":
        """An interface that takes no privileges: pasta or slirp4netns is its other end,
        and sends for the container by sockets of the user.

        Args:
            publish: as for `bridge`; host ports below 1024 take privileges.
            dns: name servers; by default the program asks the host's.
            program: which one; the first that is installed.
            host_loopback, mtu: see `UserNetwork`.
            interface: name of the container's interface.

        Raises:
            ConfigError: a value is wrong.
        """
        from .user_network import UserNetwork

        return UserNetwork(
            name=interface,
            program=program,
            publish=publish,
            host_loopback=host_loopback,
            mtu=mtu,
            dns=dns,
        )


class HostDevice(Attached):
    """A network device of the host, which is the container's while it lives.

    It comes with its addresses, and goes back under its name with its addresses.
    """

    kind: Literal["device"] = "device"
    device: InterfaceName
    """Its name on the host."""
    name: InterfaceName | None = None
    """Its name in the container; the same when ``None``."""

    if TYPE_CHECKING:

        def __init__(self, *, device: str, name: str | None = None) -> None: ...


class Route(Attached):
    """A route in the container, made after all interfaces are up."""

    kind: Literal["route"] = "route"
    destination: a.Network | None = None
    """``None`` is everything that no other route is for."""
    source: a.Address | None = None
    """The address that packets sent along it bear."""
    gateway: a.Address | None = None
    interface: InterfaceName | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            destination: str | None = None,
            source: str | None = None,
            gateway: str | None = None,
            interface: str | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.gateway is None and self.interface is None:
            raise ConfigError("gateway", "or interface is needed")
        parts = (self.destination, self.source, self.gateway)
        if len({part.version for part in parts if part is not None}) > 1:
            raise ConfigError("", "mixes IPv4 and IPv6")
        if not any(parts):
            raise ConfigError("destination", "is needed without a gateway")
        return self
