"""The network of one container: its interfaces, then its routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..config import BridgeNetwork, Config, HostDevice, Loopback, Route, Veth
from ..config.network import Attached
from ..errors import ContainerError
from . import links
from .bridge import BridgePart
from .device import DevicePart
from .netlink import Netlink
from .parts import Helper, NetworkStatus, Part, Place, step
from .veth import VethPart

__all__ = ("Networking", "needs_networking")


def needs_networking(config: Config) -> bool:
    """Whether there is more than the loopback interface, which the helper sees to."""
    return any(not isinstance(network, Loopback) for network in config.network)


class Networking:
    """Attaches a container to networks; see `aiocontainer.attachments.Attachment`."""

    def __init__(self, networks: Sequence[Attached], helper: Helper) -> None:
        """Touch nothing."""
        self._helper: Final = helper
        self._routes = [route for route in networks if isinstance(route, Route)]
        self._parts: Final = list(_parts(networks, helper))

    @property
    def statuses(self) -> tuple[NetworkStatus, ...]:
        """What is attached now, in the order of the config."""
        found = (part.status for part in self._parts)
        return tuple(status for status in found if status is not None)

    async def attach(self, pid: int, pidfd: int) -> None:
        """Make all interfaces, then all routes.

        Raises:
            NetworkError: naming the interface and the step.
        """
        with step("", "open a relay to the kernel"):
            async with self._helper.open_relay(pidfd) as (here, there):
                host, inside = Netlink(here), Netlink(there)
                place = Place(host, inside, pid, pidfd)
                for part in self._parts:
                    await part.attach(place)
                for route in self._routes:
                    await _add_route(inside, route)

    async def started(self, pid: int) -> None:
        """Nothing is left to do."""

    def let_live(self) -> None:
        """The spawner isn't to take lent devices back when this program goes."""
        for part in self._parts:
            if isinstance(part, DevicePart):
                part.let_live()

    async def detach(self) -> None:
        """Remove all, the last first; each is tried.

        Begun again once where the kernel refuses: what isn't removed now stays.
        """
        failed = await self._detach()
        if failed is not None and failed.__cause__ is not None:
            failed = await self._detach()
        if failed is not None:
            raise failed

    async def _detach(self) -> ContainerError | None:
        """The first failure."""
        failed: ContainerError | None = None
        try:
            with step("", "open a relay to the kernel"):
                async with self._helper.open_relay(None) as (here,):
                    host = Netlink(here)
                    for part in reversed(self._parts):
                        failed = await _detach(part, host) or failed
        except ContainerError as error:
            failed = failed or error
        return failed


async def _detach(part: Part, host: Netlink) -> ContainerError | None:
    try:
        with step("", "remove an interface"):
            await part.detach(host)
    except ContainerError as error:
        return error
    return None


def _parts(networks: Sequence[Attached], helper: Helper) -> Iterator[Part]:
    leads_out = False
    for network in networks:
        match network:
            case Veth():
                yield VethPart(network)
                leads_out |= bool(network.gateway or network.gateway6)
            case BridgeNetwork():
                # There can be one default route only.
                yield BridgePart(network, helper, default=not leads_out)
                leads_out |= not network.internal
            case HostDevice():
                yield DevicePart(network, helper)


async def _add_route(inside: Netlink, route: Route) -> None:
    parts = (route.destination, route.gateway, route.source)
    version = next(part.version for part in parts if part is not None)
    name = route.interface or ""
    with step(name, f"add a route to {route.destination or 'everywhere'}"):
        link = await links.find(inside, name) if name else None
        await links.add_route(
            inside,
            route.destination,
            version=version,
            gateway=route.gateway,
            index=None if link is None else link.index,
            source=route.source,
        )
