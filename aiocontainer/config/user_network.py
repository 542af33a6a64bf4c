"""A network that takes no privileges: sockets of the user, by pasta or slirp4netns."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from .addresses import InterfaceName, Mtu, PublishedPort
from .base import ConfigError, Flag
from .dns import HOSTS_DNS, AnyDns, Dns
from .network import Attached

__all__ = ("UserNetwork",)


class UserNetwork(Attached):
    """What `Network.user` makes: an interface whose other end is a program of this
    user, which sends and receives for the container by sockets of its own."""

    kind: Literal["user"] = "user"
    name: InterfaceName = "eth0"
    """Of the container's interface."""
    program: Literal["auto", "pasta", "slirp4netns"] = "auto"
    """``"auto"`` is the first of the two that is installed."""
    publish: tuple[PublishedPort, ...] = ()
    """Ports of the host that lead into the container; by pasta only."""
    host_loopback: Flag = False
    """What listens on the host's 127.0.0.1 can be reached, at the gateway's address."""
    mtu: Mtu | None = None
    """``None`` is the program's choice, about 64 KiB."""
    dns: AnyDns = HOSTS_DNS
    """Without servers the program asks the host's for the container. ``None`` leaves
    the files of the root directory alone."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str = "eth0",
            program: Literal["auto", "pasta", "slirp4netns"] = "auto",
            publish: Iterable[str | tuple[Any, ...] | PublishedPort] = (),
            host_loopback: bool = False,
            mtu: int | None = None,
            dns: Dns | Iterable[str] | None = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        for index, port in enumerate(self.publish):
            if port.host_port == 0:
                field = f"publish[{index}].host_port"
                raise ConfigError(field, "has to be chosen: the program tells no other")
        if self.publish and self.program == "slirp4netns":
            raise ConfigError("publish", "needs pasta")
        return self
