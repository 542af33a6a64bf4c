"""Handing a listener to an agent of the host, as the OCI runtime-spec says
(config-linux.md, "The Container Process State")."""

from __future__ import annotations

import json

import anyio

from ..config import Seccomp
from ..errors import SetupError

__all__ = ("OCI_VERSION", "hand_over")

OCI_VERSION = "1.3.0"


async def hand_over(
    seccomp: Seccomp,
    container: str,
    first: int | None,
    pid: int,
    listener: int,
) -> None:
    """Send the listener of process ``pid`` to the socket that ``seccomp`` names, one
    message on a connection of its own; the descriptor stays the caller's.

    Args:
        seccomp: with a ``listener_path``.
        container: the container's id.
        first: its first process, where that runs; ``None`` if this is the first.
        pid: the process that the filter is for.
        listener: its listener.

    Waits for an agent that is slow to accept; cancelled, nothing was sent.

    Raises:
        SetupError: nobody listens there.
    """
    message = {
        "ociVersion": OCI_VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": seccomp.listener_metadata or "",
        "state": {
            "ociVersion": OCI_VERSION,
            "id": container,
            "status": "creating" if first is None else "running",
            "pid": pid if first is None else first,
            "bundle": "/",
        },
    }
    path = seccomp.listener_path or ""
    try:
        async with await anyio.connect_unix(path) as agent:
            await agent.send_fds(json.dumps(message).encode(), [listener])
    except (OSError, anyio.BrokenResourceError) as error:
        reason = getattr(error, "strerror", None) or "it hung up"
        raise SetupError(f"hand the listener to {path}", reason) from error
