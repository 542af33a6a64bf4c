"""``start``: have a created container's program executed."""

from __future__ import annotations

import _socket
import select

from ..errors import ExecError, HandshakeError, SetupError, StatusError
from ..proc import init_pipe
from ..state import gate
from .kept import oci_status, open_folder, store_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .report import Log


def start(options: argparse.Namespace, _log: Log) -> None:
    """Open the gate, and wait until the program runs."""
    with open_folder(options) as folder:
        record = folder.read()
        if record.config.get("hooks"):
            _start_with_hooks(options)
            return
        status = oci_status(folder, record)
        if status != "created":
            words = "an already running" if status == "running" else f"a {status}"
            raise StatusError(status, f"start {words} container")
        connection = gate.knock(folder)
        if connection is None:
            raise StatusError("stopped", "start a container that has stopped")
        open_gate(connection, record.args[0] if record.args else "")


def _start_with_hooks(options: argparse.Namespace) -> None:
    """The same by way of `Runtime`, which runs what is due then."""
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
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.poll()
        message = pipe.recv(init_pipe.MAX_MESSAGE)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise HandshakeError("the process behind the gate has ended") from error
    finally:
        pipe.close()
    if message[:1] == init_pipe.FAILED:
        _step, _code, path, reason = init_pipe.decode_failed(message)
        text = f"{reason.split('; ')[0]}{f': {path}' if path else ''}"
        if "from execve(2)" in reason:
            raise ExecError(program, text)
        raise SetupError("start the program", text)
