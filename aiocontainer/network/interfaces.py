"""Counters of network interfaces, as the kernel lists them for a process."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any, Final

__all__ = ("NetworkInterface", "parse_net_dev", "read_interfaces", "read_net_dev")

_CHUNK: Final = 16_384
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """What one interface has received and sent."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int

    def to_dict(self) -> dict[str, Any]:
        """As an entry of runc's ``network_interfaces``."""
        return {
            "Name": self.name,
            "RxBytes": self.rx_bytes,
            "RxPackets": self.rx_packets,
            "RxErrors": self.rx_errors,
            "RxDropped": self.rx_dropped,
            "TxBytes": self.tx_bytes,
            "TxPackets": self.tx_packets,
            "TxErrors": self.tx_errors,
            "TxDropped": self.tx_dropped,
        }


def parse_net_dev(text: str) -> tuple[NetworkInterface, ...]:
    """Read ``/proc/<pid>/net/dev`` (proc_pid_net(5)): two lines of headings, then a
    line for each interface, eight figures received and eight sent."""
    found = []
    for line in text.splitlines()[2:]:
        name, _, figures = line.partition(":")
        counts = [int(figure) for figure in figures.split()]
        found.append(NetworkInterface(name.strip(), *counts[:4], *counts[8:12]))
    return tuple(found)


def read_net_dev(pid: int) -> bytes:
    """``/proc/<pid>/net/dev`` of the network namespace that ``pid`` is in; nothing if
    it has ended."""
    try:
        fd = os.open(f"/proc/{pid}/net/dev", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    except OSError as error:
        if error.errno == errno.EINVAL:  # a zombie has left its namespaces
            return b""
        raise
    try:
        # A line for each interface, and as many lines in one read as fit a page.
        data = os.read(fd, _CHUNK)
        while len(data) >= _PAGE // 2 and (more := os.read(fd, _CHUNK)):
            data += more
    finally:
        os.close(fd)
    return data


def read_interfaces(pid: int) -> tuple[NetworkInterface, ...]:
    """Interfaces of the network namespace that ``pid`` is in; none if it has ended."""
    return parse_net_dev(read_net_dev(pid).decode())
