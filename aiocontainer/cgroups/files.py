"""Small kernel files: whole reads, single writes, and the parsers of their formats.

The parsers are pure functions of the text, tested on files captured from real kernels.
"""

from __future__ import annotations

import os
from typing import Final

from .._sys import libc
from .._sys.libc import call

__all__ = (
    "UNLIMITED_V1_BYTES",
    "limit_v1",
    "parse_flat",
    "parse_limit",
    "parse_limit_v1",
    "parse_list",
    "parse_nested",
    "read",
    "read_bytes",
    "read_number",
    "read_optional",
    "read_pids",
    "write",
)

_CHUNK: Final = 16_384
_READ: Final = os.O_RDONLY | os.O_CLOEXEC

UNLIMITED_V1_BYTES: Final = 0x7FFF_FFFF_FFFF_F000
"""What v1 shows for "no limit" in bytes: LONG_MAX rounded down to a page, or more on
machines with larger pages (PAGE_COUNTER_MAX in include/linux/page_counter.h)."""


def read_bytes(path: str) -> bytes:
    """The whole content of a small kernel file.

    Raises:
        OSError: as open(2) and read(2); ``ENODEV`` when the cgroup is being removed.
    """
    # What is read most often: the door to the kernel is entered only where a test
    # stands in it.
    if libc.fault is not None:
        libc.fault("open")
    fd = os.open(path, _READ)
    try:
        data = os.read(fd, _CHUNK)
        # A file of one record comes in one read; only lists of pids (a record for
        # each) and long files need another one, and those fill at least a page.
        if len(data) >= 2048:
            data = b"".join((data, *iter(lambda: os.read(fd, _CHUNK), b"")))
    finally:
        os.close(fd)
    return data


def read(path: str) -> str:
    """The whole text of a small kernel file. Raises ``OSError`` as `read_bytes`."""
    return read_bytes(path).decode()


def read_optional(path: str) -> str | None:
    """The text, or ``None`` where the kernel has no such file.

    Raises:
        OSError: anything but the file's (or the cgroup's) absence.
    """
    try:
        return read(path)
    except FileNotFoundError:
        return None


def read_number(path: str) -> int | None:
    """The number in a file; ``None`` where there is no such file, or no limit."""
    text = read_optional(path)
    return None if text is None else parse_limit(text)


def read_pids(path: str) -> list[int]:
    """The pids in a ``cgroup.procs`` or ``tasks`` file, as the kernel orders them.

    A pid of another pid namespace is written as 0; it is left out.
    """
    return [pid for pid in map(int, read_bytes(path).split()) if pid > 0]


def write(path: str, text: str) -> None:
    """Write a value in one write(2), as kernel files want it.

    Raises:
        OSError: the kernel refused the value (``EINVAL``, ``EBUSY``, ``ERANGE``) or
            has no such file.
    """
    fd = call("open", os.open, path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        call("write", os.write, fd, text.encode(), path=path)
    finally:
        os.close(fd)


def parse_limit(text: str) -> int | None:
    """Read a v2 limit: a number, or ``max`` meaning no limit (``None``)."""
    word = text.strip()
    return None if word == "max" else int(word)


def parse_limit_v1(text: str) -> int | None:
    """Read a v1 limit in bytes, where "none" is written as an enormous number."""
    return limit_v1(int(text))


def limit_v1(number: int) -> int | None:
    """A v1 limit in bytes; ``None`` for those enormous ones that are none."""
    return None if number < 0 or number >= 0x7FFF_FFFF_FFFF_0000 else number


def parse_flat(text: str) -> dict[str, int]:
    """Read lines of ``key value``, as memory.stat and cpu.stat have them.

    Values that are no numbers (``max``) are left out.
    """
    words = text.split()
    try:
        return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    except ValueError:
        pairs = (line.split() for line in text.splitlines())
        return {p[0]: int(p[1]) for p in pairs if len(p) == 2 and _is_number(p[1])}


def parse_nested(text: str) -> dict[str, dict[str, str]]:
    """Read lines of ``name key=value key=value``, as io.stat and PSI have them."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, *pairs = line.split()
        found[name] = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return found


def parse_list(text: str) -> tuple[int, ...]:
    """Read a list of cpus or memory nodes: ``0-3,7`` is ``(0, 1, 2, 3, 7)``."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)


def _is_number(word: str) -> bool:
    return word.lstrip("-").isdigit()
