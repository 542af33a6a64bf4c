"""v2 ``io``: weights, throttles, and transfers by device."""

from __future__ import annotations

from typing import Final

from ..files import read_optional
from ..pressure import pressure
from ..stats import BlkioStats, IoEntry

__all__ = ("parse_io_stat", "stats", "transferred")

_BYTES: Final = {"rbytes": "Read", "wbytes": "Write", "dbytes": "Discard"}
_REQUESTS: Final = {"rios": "Read", "wios": "Write", "dios": "Discard"}


def stats(directory: str) -> BlkioStats:
    """Read ``io.stat``, with operations named as on v1."""
    text = read_optional(directory + "/io.stat") or ""
    transfers, requests = parse_io_stat(text)
    return BlkioStats(transfers, requests, pressure=pressure(directory, "io"))


def transferred(directory: str) -> tuple[int, int]:
    """Bytes read and written so far."""
    text = read_optional(directory + "/io.stat") or ""
    found = BlkioStats(parse_io_stat(text)[0])
    return found.bytes_of("Read"), found.bytes_of("Write")


def parse_io_stat(text: str) -> tuple[tuple[IoEntry, ...], tuple[IoEntry, ...]]:
    """Read lines of ``major:minor key=value ...`` as bytes and requests.

    Devices without transfers have a line without values; some kernels forget its end,
    so the last number pair before the values is the device.
    """
    transfers, requests = [], []
    for line in text.splitlines():
        device = (0, 0)
        for word in line.split():
            key, is_value, value = word.partition("=")
            if not is_value:
                major, _, minor = word.partition(":")
                device = (int(major), int(minor))
            elif key in _BYTES:
                transfers.append(IoEntry(*device, _BYTES[key], int(value)))
            elif key in _REQUESTS:
                requests.append(IoEntry(*device, _REQUESTS[key], int(value)))
    return tuple(transfers), tuple(requests)
