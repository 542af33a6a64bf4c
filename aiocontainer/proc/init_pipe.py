"""The closed set of messages between a supervisor, its spawner and a helper child.

```
 program                      spawner                     child (helper)
    │  request (one datagram) ──▶ │                            │
    │    [init pipe, stdio, ...]  │ ── clone3 ───────────────▶ │
    │ ◀────────── HELLO [pidfd] ──│ ── writes id maps, "go" ─▶ │   (user namespaces)
    │ ── GO ───────────────────────────────────────────▶ ┐     │
    │ ◀──────────────────────── TERMINAL [pty master] ── │ ─── │   (if asked for)
    │                             │                      │     every step of the plan
    │                             │                      └───▶ │ takes GO
    │ ◀──────────────────────── FAILED, or end-of-file ─────── │ ── execve
```
GO tells the child that the program knows it. A child that doesn't find it before its
exec says HELLO itself (its spawner may have been killed) and waits. Since a socket that
is closed with something unread in it resets the connection, the program can tell
end-of-file by exec from the end of a child that never took its GO.

Requests are trusted (they come from the program that started the spawner) and travel
as ``marshal``; what comes back is read as untrusted: fixed forms, bounded size.

The init pipe is an ``AF_UNIX SOCK_SEQPACKET`` pair of which each child has an end of
its own, close-on-exec.
"""

from __future__ import annotations

HELLO = b"H"
GO = b"g"
TERMINAL = b"T"
INTERMEDIATE = b"I"
NOTIFY = b"N"
"""With the socket that the program says by how it is."""
SENDER = b"s"
"""An intermediate that stays to send the listener of the child's filter."""
FAILED = b"F"
LISTENER = b"L"
"""With the listener of the program's filter, sent for a child by its intermediate."""
STOP = b"S"
"""And the name of the stop: the child waits, or (`READY`) will wait before its exec."""
READY = b"ready"
CONTINUE = b"c"
"""The program's answer to a stop; but after `READY` another GO follows it."""

MAX_MESSAGE = 8192
"""Longest message of a child, in bytes."""

INLINE_REQUEST = 49152
"""A longer request travels in a memfd: a datagram must fit the socket's buffer."""


def encode_hello(kind: bytes, pid: int) -> bytes:
    """A process makes itself, or its child, known; 0 for a pid it can't know."""
    return kind + b"%d" % pid


def encode_failed(step: int, code: int, path: bytes, reason: str) -> bytes:
    """The child's last words: index of the step, errno (0: none), path, and why."""
    text = reason.encode("utf-8", "replace").replace(b"\0", b" ")
    head = b"%d\0%d\0" % (step, code)
    return FAILED + head + path[:4096].replace(b"\0", b" ") + b"\0" + text[:2048]


def decode_failed(message: bytes) -> tuple[int, int, str, str]:
    """(step index, errno, path, reason); ValueError if it isn't of that form."""
    step, code, path, reason = message[1:].split(b"\0", 3)
    return (
        int(step),
        int(code),
        path.decode("utf-8", "replace"),
        reason.decode("utf-8", "replace"),
    )
