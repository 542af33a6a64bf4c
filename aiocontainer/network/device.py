"""A network device of the host that is lent to a container."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

from ..config import HostDevice
from ..errors import NetworkError
from . import links
from .netlink import NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, Netlink, Request
from .parts import Helper, NetworkStatus, Place, Will, step

_ANY_NAME: Final = "dev%d"
"""The kernel's own choice for a device that comes back and finds its name taken."""


class DevicePart:
    """What `HostDevice` of a config says.

    A physical device returns by itself when its namespace goes (to the machine's first
    one), but a virtual one would be destroyed with it. So we hold the namespace by a
    socket, and take the device back before; the spawner does, if we are lost.
    """

    def __init__(self, config: HostDevice, helper: Helper) -> None:
        self._config = config
        self._helper = helper
        self._link: links.Link | None = None
        self._addresses: tuple[links.Assigned, ...] = ()
        self._inside: Netlink | None = None
        self._host: Netlink | None = None
        self._index = 0
        self._key = 0
        self.status: NetworkStatus | None = None

    async def attach(self, place: Place) -> None:
        """See `Part`."""
        device = self._config.device
        name = self._config.name or device
        with step(device, "find the device"):
            link = await links.find(place.host, device)
        if link is None:
            raise NetworkError(device, "find the device", "there is none of that name")
        with step(device, "read its addresses"):
            self._addresses = tuple(await links.addresses(place.host, link.index))
            sock = await self._helper.open_netlink(place.pidfd, NETLINK_ROUTE)
            self._inside = Netlink.of(sock)
            index = await links.free_index(place.inside, link.index)
        # What it will be there is known before, to the spawner, too: it may be moved by
        # a message whose answer we don't live to hear.
        await self._bequeath(self._inside, link, index)
        with step(device, "move the device"):
            self._link = link
            message = links.moved(link.index, name, place.pid, index)
            await place.host.ask(message, links.RTM_NEWLINK)
            found = await links.find(place.inside, name)
        if found is None:
            raise NetworkError(name, "find the device", "it has gone")
        if found.index != index:  # Linux 5.12 chooses by itself
            await self._bequeath(self._inside, link, found.index)
        for one in self._addresses:
            with step(name, f"add the address {one.address}"):
                await links.add_address(place.inside, found.index, one)
        with step(name, "bring the device up"):
            await links.set_up(place.inside, found.index)
        addresses = tuple(one.address for one in self._addresses)
        self.status = NetworkStatus(name, addresses, device)

    async def _bequeath(self, inside: Netlink, link: links.Link, index: int) -> None:
        self._index = index
        with step(link.name, "open a netlink socket"):
            # Kept till it is forgotten: a successor of the spawner gets it, too.
            self._host = self._host or Netlink.open()
        self._key = self._key or self._helper.new_key()
        will = _will(index, link, self._addresses)
        sockets = (inside.fileno(), self._host.fileno())
        await self._helper.bequeath(self._key, will, sockets)

    def let_live(self) -> None:
        """Leave it to the container, whoever of us goes."""
        self._helper.forget(self._key)

    async def detach(self, host: Netlink) -> None:
        """See `Part`.

        Raises:
            NetworkError: it is back, but under another name, as its own is taken.
        """
        self.status = None
        if self._link is not None and self._inside is not None:
            name = await self._take_back(host, self._inside, self._link)
            wanted, self._link = self._link.name, None
            self._let_go()
            if name != wanted:
                reason = f"that is taken, so it is {name} now"
                raise NetworkError(wanted, "give the device its name back", reason)
        self._let_go()

    def _let_go(self) -> None:
        if self._key:
            self._helper.forget(self._key)
        for socket in (self._inside, self._host):
            if socket is not None:
                socket.close()
        self._inside = self._host = None
        self._key = self._index = 0

    async def _take_back(self, host: Netlink, inside: Netlink, link: links.Link) -> str:
        """Its name, once it is back with its addresses."""
        found = await links.find_index(inside, self._index)
        back = await links.find_index(host, link.index)
        if found is None and back is None:  # Linux 5.12 has chosen the index
            found = await links.find(inside, self._config.name or link.name)
            if found is not None and found.mac_address != link.mac_address:
                found = None
        if found is not None:
            await _move_back(inside, found.index, link)
            back = await links.find_index(host, link.index)
        if back is None:
            return link.name  # the container has destroyed it
        for assigned in self._addresses:
            await links.add_address(host, back.index, assigned)
        if link.is_up:
            await links.set_up(host, back.index)
        return back.name


async def _move_back(inside: Netlink, index: int, link: links.Link) -> None:
    """Under its name and number, or under another name if that is taken."""
    for name in (link.name, _ANY_NAME):
        message = links.moved(index, name, os.getpid(), link.index)
        try:
            await inside.ask(message, links.RTM_NEWLINK)
        except OSError as error:
            if error.errno != errno.EEXIST or name == _ANY_NAME:
                raise
        else:
            return


def _will(index: int, link: links.Link, addresses: Sequence[links.Assigned]) -> Will:
    """The same for the spawner, whose pid is not known before; see
    `proc.helper.network`."""
    move = Request(links.moved(index, link.name, links.OWN_PID, link.index), 16, 0)
    entries: list[tuple[object, ...]] = [("send", 0, move.encode(1))]
    flags = NLM_F_CREATE | NLM_F_EXCL  # what it has there stays as it is
    for number, address in enumerate(addresses, start=2):
        message = links.address_message(link.index, address)
        request = Request(message, links.RTM_NEWADDR, flags)
        entries.append(("send", 1, request.encode(number)))
    if link.is_up:
        request = Request(links.upped(link.index), links.RTM_NEWLINK, 0)
        entries.append(("send", 1, request.encode(99)))
    return tuple(entries)
