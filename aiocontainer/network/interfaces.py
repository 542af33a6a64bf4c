"""Counters of network interfaces, as the kernel lists them for a process."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any, Final

__all__ = (
    "InterfaceCounters",
    "NetworkInterface",
    "parse_net_dev",
    "read_interfaces",
)

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


class InterfaceCounters:
    """``/proc/<pid>/net/dev``, of the network namespace that a process is in.

    Args:
        pid: the process.
        keeps: hold it open between two reads. That keeps the namespace alive, too.
    """

    __slots__ = ("_fd", "_keeps", "_pid")

    def __init__(self, pid: int, *, keeps: bool = False) -> None:
        self._pid = pid
        self._keeps = keeps
        self._fd = -1

    def read(self) -> bytes:
        """What it says; nothing if the process has ended.

        Raises:
            OSError: it can't be read.
        """
        if self._fd < 0:
            try:
                path = f"/proc/{self._pid}/net/dev"
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except (FileNotFoundError, ProcessLookupError):
                return b""
            except OSError as error:
                if error.errno == errno.EINVAL:  # a zombie has left its namespaces
                    return b""
                raise
        try:
            # A line for each interface, and as many lines in one read as fit a page.
            data = os.pread(self._fd, _CHUNK, 0)
            while len(data) >= _PAGE // 2:
                more = os.pread(self._fd, _CHUNK, len(data))
                if not more:
                    break
                data += more
        finally:
            if not self._keeps:
                self.release()
        return data

    def release(self) -> None:
        """Hold nothing until the next read."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.release()


def read_interfaces(pid: int) -> tuple[NetworkInterface, ...]:
    """Interfaces of the network namespace that ``pid`` is in; none if it has ended."""
    return parse_net_dev(InterfaceCounters(pid).read().decode())
