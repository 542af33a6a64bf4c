"""Where the kernel's time of one life goes, by the floor's own clock."""

from collections import defaultdict

from bench.setting import Setting
from bench.table import Table, median, percentile


def steps(setting: Setting, times: int) -> Table:
    """Median and spread of each step of the C floor's life, in microseconds."""
    with setting.floor("life", program="floor-profile") as floor:
        floor.ask(5)
        lives = floor.ask(times)
    found: dict[str, list[float]] = defaultdict(list)
    for life in lives:
        for step, ns in life:
            found[step].append(ns / 1e3)
    rows = [
        (
            step,
            f"{median(times_us):.0f}",
            f"{percentile(times_us, 10):.0f}",
            f"{percentile(times_us, 90):.0f}",
        )
        for step, times_us in found.items()
    ]
    return Table(
        "The kernel's time in one life (C floor)",
        ("step", "median us", "p10", "p90"),
        rows,
    )
