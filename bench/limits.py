"""The figures of limits, statistics and events."""

from contextlib import ExitStack

from bench.lives import FLOOR, OURS, Samples, Turn, measured, our_loops, ratio
from bench.setting import BUILD, Setting
from bench.table import Limit, Row, median, percentile

# What bench.ours asks for in LIMITS, as the kernel's files of v1.
LIMIT_FILES = (
    "memory.limit_in_bytes=268435456",
    "pids.max=64",
    "cpu.cfs_period_us=100000",
    "cpu.cfs_quota_us=150000",
)


PARSED = "aiocontainer, every figure looked at"


def stats(setting: Setting, rounds: int, each: int = 20) -> tuple[Samples, list[Row]]:
    """One full sample, against reading the same files in C."""
    with ExitStack() as stack:
        bare = stack.enter_context(setting.reads("files"))
        loops = our_loops(setting, stack)
        files = loops[OURS].ask({"job": "stats_files"})
        name = f"C, {len(files)} files"
        for path in files:
            bare.tell(f"add {path}")
        contestants: dict[str, Turn] = {name: lambda: bare.ask(each)}
        for loop, ours in loops.items():
            contestants[loop] = lambda ours=ours: ours.ask(
                {"job": "stats", "times": each}
            )
        contestants[PARSED] = lambda: loops[OURS].ask(
            {"job": "stats", "times": each, "parsed": True}
        )
        samples = measured(rounds, contestants)
    return samples, [
        ratio("one stats() / the same files in C", samples, OURS, name, Limit(2))
    ]


def watch(setting: Setting, count: int = 500, seconds: float = 10) -> list[Row]:
    """Many containers sampled once a second: all there is, or the usual figures."""
    rows = []
    for what, only in (
        ("", None),
        (", cpu and memory only", ["cpu", "memory"]),
    ):
        with setting.ours() as ours:
            job = {"job": "watch", "count": count, "seconds": seconds, "only": only}
            answer = ours.ask(job)
        rate, held = answer["samples_per_s"], answer["descriptors"]
        detail = f"{rate:.0f} samples per s, {held} descriptors open"
        name = f"{count} sampled once a second{what}"
        share = answer["cpu_share"] * 100
        rows.append(Limit(5, "% of a core").row(name, share, detail))
    return rows


def oom(setting: Setting, kills: int = 1000) -> list[Row]:
    """From the kernel's notice of a kill, as C sees it, to the event in the iterator.

    On v1 the notice comes before the kill, so this is more than kill to event.
    """
    with setting.ours() as ours:
        job = {"job": "oom", "kills": kills, "witness": str(BUILD / "reads")}
        answer = ours.ask(job)
    seen, told, touched = answer["seen_ns"], answer["told_ns"], answer["touched_ns"]
    exact = len(seen) == len(touched) == kills
    count = Row(f"{kills} kills", f"{len(seen)} events", f"{kills} events", exact)
    target = Limit(5, "ms")
    if not len(seen) == len(told) == len(touched):
        why = f"{len(touched)} kills, {len(told)} notices, {len(seen)} events"
        return [target.missing("OOM kill to event, p99", why), count]
    waits, whole = (
        [(s - b) / 1e6 for s, b in zip(seen, begin, strict=True)]
        for begin in (told, touched)
    )
    detail = f"median {median(waits):.2f} ms; from the last page {median(whole):.2f} ms"
    row = target.row("OOM kill to event, p99", percentile(waits, 99), detail)
    return [row, count]


def limited_life(
    setting: Setting, rounds: int, each: int = 3
) -> tuple[Samples, list[Row]]:
    """A life with limits set, in all hierarchies; the loop's lag with many of them."""
    writes = [word for file in LIMIT_FILES for word in ("-w", file)]
    with ExitStack() as stack:
        floor = stack.enter_context(setting.floor("life", *writes))
        loops = our_loops(setting, stack)
        contestants: dict[str, Turn] = {FLOOR: lambda: floor.ask(each)}
        for name, ours in loops.items():
            job = {"job": "life", "times": each, "limited": True}
            contestants[name] = lambda ours=ours, job=job: ours.ask(job)
        samples = measured(rounds, contestants)
        flight = {"job": "flight", "width": 64, "total": 256, "limited": True}
        lags = [loops[OURS].ask(flight)["lag_p99_ms"] for _ in range(5)]
    return samples, [
        ratio(
            "life with limits, all v1 controllers / C floor",
            samples,
            OURS,
            FLOOR,
            Limit(1.6),
        ),
        Limit(20, "ms").row("event-loop lag p99, 64 of them in flight", median(lags)),
    ]
