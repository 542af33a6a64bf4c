"""Asking systemd for a scope and its properties, over D-Bus.

``org.freedesktop.systemd1(5)``: a job is started, and its end comes as a signal.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
import sniffio

from ..errors import CgroupError, UnsupportedFeature

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

    from .systemd_properties import Property

__all__ = ("bus_address", "set_properties", "start_scope")

_SYSTEMD: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = "org.freedesktop.systemd1.Manager"
_EXISTS: Final = "org.freedesktop.systemd1.UnitExists"


def bus_address(uid: int) -> str:
    """Where the bus is: the system's for uid 0, else that of a user's session."""
    if uid == 0:
        system = "unix:path=/run/dbus/system_bus_socket"
        return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", system)
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{uid}")
    session = f"unix:path={runtime}/bus"
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS", session)


async def start_scope(uid: int, unit: str, properties: Sequence[Property]) -> None:
    """Have a new scope started that is delegated to us.

    Cancelling it doesn't take the request back: end the process in it, and the scope
    ends.

    Args:
        uid: whose manager is asked.
        unit: name of the scope.
        properties: what it is; ``PIDs`` has the process that is put into it.

    Raises:
        CgroupError: systemd refused.
        UnsupportedFeature: no bus can be reached, or dbus-fast isn't installed.
    """
    await _on_asyncio(lambda: _start_scope(uid, unit, properties))


async def set_properties(uid: int, unit: str, properties: Sequence[Property]) -> None:
    """Change properties of a unit until it ends; all of them or none.

    Raises:
        CgroupError: systemd refused, or knows no such unit.
        UnsupportedFeature: no bus can be reached.
    """
    await _on_asyncio(lambda: _set_properties(uid, unit, properties))


async def _on_asyncio(ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """dbus-fast knows no other event loop: elsewhere it gets one of its own."""
    if sniffio.current_async_library() == "asyncio":
        await ask()
    else:
        await anyio.to_thread.run_sync(
            lambda: asyncio.run(ask()), abandon_on_cancel=True
        )


async def _set_properties(uid: int, unit: str, properties: Sequence[Property]) -> None:
    bus = await _connect(uid)
    try:
        body = [unit, True, _variants(properties)]
        await _call(bus, "SetUnitProperties", "sba(sv)", body, unit)
    finally:
        bus.disconnect()


async def _start_scope(uid: int, unit: str, properties: Sequence[Property]) -> None:
    bus = await _connect(uid)
    try:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def note(message: Message) -> None:
            # By the unit's name, since it may come before we are told the job's.
            is_ours = message.member == "JobRemoved" and message.body[2] == unit
            if is_ours and not ended.done():
                ended.set_result(message.body[3])

        bus.add_message_handler(note)
        await _call(bus, "Subscribe", "", [], unit)
        rule = f"type='signal',sender='{_SYSTEMD}',member='JobRemoved'"
        await _call(bus, "AddMatch", "s", [rule], unit, to_bus=True)
        body = [unit, "fail", _variants(properties), []]
        try:
            await _call(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body, unit)
        except _UnitExists:
            # A failed one of the same name is still remembered.
            await _call(bus, "ResetFailedUnit", "s", [unit], unit)
            await _call(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body, unit)
        result = await ended
        if result != "done":
            raise CgroupError(unit, f"systemd could not start the scope: {result}")
    finally:
        bus.disconnect()


def _variants(properties: Sequence[Property]) -> list[Any]:
    from dbus_fast import Variant

    return [[one.name, Variant(one.signature, one.value)] for one in properties]


async def _connect(uid: int) -> MessageBus:
    try:
        from dbus_fast.aio import MessageBus
    except ImportError as error:
        hint = "install aiocontainer[systemd]"
        raise UnsupportedFeature("systemd", "dbus-fast is missing", hint) from error
    address = bus_address(uid)
    try:
        return await MessageBus(bus_address=address).connect()
    except Exception as error:  # it has no common class for this
        reason = f"the bus at {address} can't be reached: {error}"
        raise UnsupportedFeature("systemd", reason) from error


class _UnitExists(CgroupError):
    """There is a unit of that name, alive or remembered."""


async def _call(
    bus: MessageBus,
    member: str,
    signature: str,
    body: list[Any],
    unit: str,
    *,
    to_bus: bool = False,
) -> list[Any]:
    from dbus_fast import Message, MessageType

    own = "org.freedesktop.DBus"
    message = Message(
        destination=own if to_bus else _SYSTEMD,
        path="/org/freedesktop/DBus" if to_bus else _PATH,
        interface=own if to_bus else _MANAGER,
        member=member,
        signature=signature,
        body=body,
    )
    reply = await bus.call(message)
    if reply is None:
        return []
    if reply.message_type is MessageType.ERROR:
        kind = _UnitExists if reply.error_name == _EXISTS else CgroupError
        raise kind(unit, f"systemd refused {member}: {' '.join(map(str, reply.body))}")
    return list(reply.body)
