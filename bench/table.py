"""Rows of the comparison, and how they are printed."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure held against its target. ``met`` is None where it wasn't measured."""

    figure: str
    measured: str
    target: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """What stands in the last column."""
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]


@dataclass(frozen=True, slots=True)
class Limit:
    """A target: the figure is to be at most (or at least) ``value`` of ``unit``."""

    value: float
    unit: str = "x"
    at_least: bool = False

    def row(self, figure: str, measured: float, detail: str = "") -> Row:
        """Hold ``measured`` against this target."""
        met = measured >= self.value if self.at_least else measured <= self.value
        text = f"{_number(measured)} {self.unit}" + (f" ({detail})" if detail else "")
        return Row(figure, text, str(self), met)

    def missing(self, figure: str, why: str) -> Row:
        """This figure couldn't be measured."""
        return Row(figure, why, str(self), None)

    def __str__(self) -> str:
        word = "at least" if self.at_least else "at most"
        return f"{word} {self.value:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, column names, and text cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def targets(title: str, rows: Iterable[Row]) -> Table:
    """The table that answers which targets are met."""
    cells = [(r.figure, r.measured, r.target, r.verdict) for r in rows]
    return Table(title, ("figure", "measured", "target", ""), cells)


def spread(title: str, samples_ns: dict[str, list[float]]) -> Table:
    """Median, tenth and ninetieth percentile of each contestant's times."""
    rows = []
    for name, samples in samples_ns.items():
        low, high = (percentile(samples, p) / 1e6 for p in (10, 90))
        middle = median(samples) / 1e6
        rows.append(
            (name, f"{middle:.2f}", f"{low:.2f}", f"{high:.2f}", str(len(samples)))
        )
    return Table(title, ("contestant", "median ms", "p10", "p90", "samples"), rows)


def text(table: Table) -> str:
    """For a terminal."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    drawn = [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([f"\n{table.title}", "", drawn[0], rule, *drawn[1:]])


def markdown(table: Table) -> str:
    """For docs/performance.md."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    drawn = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([f"\n### {table.title}\n", *drawn])


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest sample that at least ``percent`` of the samples don't exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _number(value: float) -> str:
    return (
        f"{value:.2f}"
        if abs(value) < 10
        else f"{value:.1f}"
        if abs(value) < 100
        else f"{value:.0f}"
    )
