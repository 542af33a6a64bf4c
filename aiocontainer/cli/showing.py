"""Tables and figures for people."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from ..statistics import ContainerStats

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns, two blanks apart. What isn't printable is escaped."""
    lines = [tuple(headings), *(tuple(map(plain, row)) for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(headings))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def plain(text: str) -> str:
    """Text that does nothing to a terminal: names and arguments may be anybody's."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def size(count: int | None) -> str:
    """Bytes, to three digits."""
    if count is None:
        return "-"
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.3g}{_UNITS[unit]}"


def age(since: datetime.datetime | None) -> str:
    """How long ago, in the largest whole unit."""
    if since is None:
        return "-"
    seconds = int((datetime.datetime.now(datetime.UTC) - since).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


@dataclass(frozen=True, slots=True)
class Figures:
    """What is shown of a container's statistics."""

    cpu_s: float
    cpu_share: float | None
    """Processors in use, since the sample before."""
    memory_bytes: int | None
    memory_limit_bytes: int | None
    pids: int | None
    pids_limit: int | None
    read_bytes: int
    written_bytes: int
    received_bytes: int
    sent_bytes: int

    @classmethod
    def of(
        cls,
        stats: ContainerStats,
        before: ContainerStats | None = None,
        elapsed_s: float = 0.0,
    ) -> Figures:
        """From a sample, and the one before for what is a rate."""
        total_ns = stats.cpu.total_ns if stats.cpu else 0
        share = None
        if before is not None and before.cpu is not None and elapsed_s > 0:
            share = (total_ns - before.cpu.total_ns) / 1e9 / elapsed_s
        memory, pids, blkio = stats.memory, stats.pids, stats.blkio
        outside = [one for one in stats.interfaces if one.name != "lo"]
        return cls(
            total_ns / 1e9,
            share,
            memory.usage.usage_bytes if memory else None,
            memory.usage.limit_bytes if memory else None,
            pids.current if pids else None,
            pids.limit if pids else None,
            blkio.bytes_of("Read") if blkio else 0,
            blkio.bytes_of("Write") if blkio else 0,
            sum(one.rx_bytes for one in outside),
            sum(one.tx_bytes for one in outside),
        )

    def row(self) -> list[str]:
        """In the order of `HEADINGS`."""
        share = "-" if self.cpu_share is None else f"{self.cpu_share:.1%}"
        return [
            share,
            f"{self.cpu_s:.2f}s",
            f"{size(self.memory_bytes)} / {size(self.memory_limit_bytes)}",
            f"{_count(self.pids)} / {_count(self.pids_limit)}",
            f"{size(self.read_bytes)} / {size(self.written_bytes)}",
            f"{size(self.received_bytes)} / {size(self.sent_bytes)}",
        ]


HEADINGS: Final = (
    *("CPU", "CPU TIME", "MEMORY / LIMIT", "PIDS / LIMIT"),
    *("READ / WRITTEN", "RECEIVED / SENT"),
)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)
