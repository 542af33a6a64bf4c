"""The closed set of messages between a supervisor, its spawner and a helper child.

```
 program                      spawner                     child (helper)
    │  request (one datagram) ──▶ │                            │
    │    [init pipe, stdio, ...]  │ ── clone3 ───────────────▶ │
    │                             │ ── writes id maps, "go" ─▶ │   (user namespaces)
    │ ◀──────────────────────── HELLO [pidfd] ──────────────── │
    │ ◀──────────────────────── TERMINAL [pty master] ──────── │   (if asked for)
    │                             │             every step of the plan
    │ ◀──────────────────────── FAILED, or end-of-file ─────── │ ── execve
```
Requests are trusted (they come from the program that started the spawner) and travel
as ``marshal``; what comes back is read as untrusted: fixed forms, bounded size.

The init pipe is an ``AF_UNIX SOCK_SEQPACKET`` pair of which each child has an end of its
own. It is close-on-exec: end-of-file without FAILED, after HELLO, means that the
program runs.
"""

from __future__ import annotations

HELLO = b"H"
TERMINAL = b"T"
INTERMEDIATE = b"I"
FAILED = b"F"

MAX_MESSAGE = 8192
"""Longest message of a child, in bytes."""

INLINE_REQUEST = 49152
"""A longer request travels in a memfd: a datagram must fit the socket's buffer."""


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
