"""``start``: have a created container's program executed."""

from __future__ import annotations

import _socket

from ..errors import HandshakeError, StatusError
from ..proc import init_pipe
from ..state import gate
from ..state.status import is_frozen
from .kept import oci_status, open_folder, store_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..state import Record
    from .arguments import Options
    from .report import Log


def start(options: Options, _log: Log) -> None:
    """Open the gate, and wait until the program runs."""
    with open_folder(options) as folder:
        record = folder.read()
        if _has_more_to_do(record):
            _start_by_runtime(options)
            return
        connection = None
        if record.is_alive and not is_frozen(record):
            connection = gate.knock(folder)
        if connection is None:
            raise StatusError(oci_status(folder, record), "start")
        open_gate(connection, record.args[0] if record.args else "")


def _has_more_to_do(record: Record) -> bool:
    """Hooks are due, or somebody is to get the listener of the filter."""
    hooks = record.config.get("hooks") or {}
    seccomp = record.config.get("seccomp") or {}
    return bool(
        hooks.get("start_container")
        or hooks.get("poststart")
        or seccomp.get("listener_path")
    )


def _start_by_runtime(options: Options) -> None:
    """The same by way of `Runtime`, which does what is due then."""
    import anyio

    from ..runtime import Runtime

    async def start() -> None:
        async with Runtime(store_of(options).root).load(options.id) as container:
            await container.start()

    anyio.run(start)


def open_gate(connection: int, program: str) -> None:
    """As `aiocontainer.proc.gate.open_gate`, without an event loop."""
    pipe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, connection)
    try:
        pipe.setblocking(True)
        pipe.send(init_pipe.GO, _socket.MSG_NOSIGNAL)
        try:
            message = pipe.recv(init_pipe.MAX_MESSAGE)
        except ConnectionResetError:  # its last words come after this
            message = pipe.recv(init_pipe.MAX_MESSAGE)
            if not message:
                raise
    except (BrokenPipeError, ConnectionResetError) as error:
        raise HandshakeError("the process behind the gate has ended") from error
    finally:
        pipe.close()
    if message[:1] == init_pipe.FAILED:
        from ..proc.last_words import failure_at_gate

        raise failure_at_gate(message, program)
