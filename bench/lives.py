"""The figures of whole lives, joins, many at once, streams and import."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench.coprocess import ContestantFailed, Coprocess, turns
from bench.setting import Setting
from bench.table import Limit, Row, median

Samples = dict[str, list[float]]
Turn = Callable[[], list[float]]
OURS = "aiocontainer (asyncio)"
OURS_UVLOOP = "aiocontainer (uvloop)"
FLOOR = "C floor"
BARE, IMPORTED = "bare interpreter", "import aiocontainer"


def life(setting: Setting, rounds: int, each: int = 3) -> tuple[Samples, list[Row]]:
    """Create, run ``/bin/true``, wait, destroy."""
    with ExitStack() as stack:
        floor = stack.enter_context(setting.floor("life"))
        runner = stack.enter_context(setting.runner())
        contestants: dict[str, Turn] = {FLOOR: lambda: floor.ask(each)}
        for name, ours in our_loops(setting, stack).items():
            contestants[name] = lambda ours=ours: ours.ask(
                {"job": "life", "times": each}
            )
        for name in ("crun", "runc"):
            contestants[name] = lambda name=name: runner.ask(
                {"turn": [setting.run(name) for _ in range(each)]}
            )
        contestants["bwrap"] = lambda: runner.ask({"turn": [setting.bwrap()] * each})
        samples = measured(rounds, contestants)
    return samples, [
        ratio("life of /bin/true / crun run", samples, OURS, "crun", Limit(0.5)),
        ratio("life of /bin/true / runc run", samples, OURS, "runc", Limit(0.2)),
        ratio("life of /bin/true / C floor", samples, OURS, FLOOR, Limit(1.6)),
    ]


def join(setting: Setting, rounds: int, each: int = 3) -> tuple[Samples, list[Row]]:
    """Run ``/bin/true`` in a container that is running."""
    with ExitStack() as stack:
        floor = stack.enter_context(setting.floor("join"))
        runner = stack.enter_context(setting.runner())
        contestants: dict[str, Turn] = {FLOOR: lambda: floor.ask(each)}
        for name, ours in our_loops(setting, stack).items():
            contestants[name] = lambda ours=ours: ours.ask(
                {"job": "join", "times": each}
            )
        for name in ("crun", "runc"):
            command = stack.enter_context(running_peer(setting, runner, name))
            contestants[name] = lambda command=command: runner.ask(
                {"turn": [command] * each}
            )
        samples = measured(rounds, contestants)
    return samples, [
        ratio("join / crun exec", samples, OURS, "crun", Limit(0.3)),
        ratio("join / runc exec", samples, OURS, "runc", Limit(0.1)),
    ]


@contextmanager
def running_peer(setting: Setting, runner: Coprocess, name: str) -> Iterator[list[str]]:
    """A peer's container that sleeps; gives the command line that joins it."""
    start = setting.run(name, "--detach", bundle="sleep")
    container = start[-1]
    runner.ask({"turn": [start]})
    try:
        yield [*setting.runtime(name), "exec", container, "/bin/true"]
    finally:
        runner.ask({"turn": [[*setting.runtime(name), "delete", "--force", container]]})


def flight(setting: Setting, rounds: int, width: int = 64) -> tuple[Samples, list[Row]]:
    """Many lives at once, per life; and how late the loop is meanwhile."""
    lags: list[float] = []
    with ExitStack() as stack:
        runner = stack.enter_context(setting.runner())
        contestants: dict[str, Turn] = {}
        for name, ours in our_loops(setting, stack).items():

            def fly(name: str = name, ours: Coprocess = ours) -> list[float]:
                answer = ours.ask({"job": "flight", "width": width, "total": 4 * width})
                if name == OURS:
                    lags.append(answer["lag_p99_ms"])
                return [answer["ns"] / (4 * width)]

            contestants[name] = fly
        contestants["crun"] = lambda: [
            ns / width
            for ns in runner.ask({"flood": [setting.run("crun") for _ in range(width)]})
        ]
        samples = measured(rounds, contestants)
    target = Limit(2.5, at_least=True)
    rows = [
        ratio(
            f"{width} lives in flight: throughput / {width} x crun run",
            samples,
            "crun",
            OURS,
            target,
        )
    ]
    figure, target = f"event-loop lag p99 with {width} lives in flight", Limit(20, "ms")
    rows.append(
        target.row(figure, median(lags))
        if lags
        else target.missing(figure, "no sample")
    )
    return samples, rows


def alive(setting: Setting, count: int = 500) -> list[Row]:
    """What a running container costs the program that holds it."""
    with setting.ours() as ours:
        answer = ours.ask({"job": "alive", "count": count})
    return [
        Limit(64, "KiB").row(f"{count} alive: memory each", answer["kib_each"]),
        Limit(6, "descriptors").row(
            f"{count} alive: descriptors each", answer["descriptors_each"]
        ),
        Limit(20, "ms").row(
            f"{count} alive: event-loop lag p99 while they start",
            answer["lag_p99_ms"],
            f"{answer['ns'] / count / 1e6:.2f} ms per start",
        ),
    ]


def stdout(setting: Setting, rounds: int, mib: int = 1024) -> tuple[Samples, list[Row]]:
    """A program's whole output, against a loop of readv on the same kind of pipe."""
    words = [
        str(setting.rootfs / "bin/busybox"),
        "dd",
        "if=/dev/zero",
        "bs=1M",
        f"count={mib}",
    ]
    grown: list[float] = []
    with ExitStack() as stack:
        sizes = {"readv, pipe of 64 KiB": 0, "readv, pipe of 1 MiB": 1 << 20}
        contestants: dict[str, Turn] = {}
        for name, size in sizes.items():
            bare = stack.enter_context(setting.reads("readv", str(size), *words))
            contestants[name] = lambda bare=bare: bare.ask("")[:1]
        for name, ours in our_loops(setting, stack).items():

            def read(ours: Coprocess = ours) -> list[float]:
                answer = ours.ask({"job": "stdout", "count_mib": mib})
                grown.append(answer["grown_kib"])
                if answer["bytes"] != mib << 20:
                    raise RuntimeError(
                        f"{answer['bytes']} bytes came instead of {mib} MiB"
                    )
                return [answer["ns"]]

            contestants[name] = read
        samples = measured(rounds, contestants)
    best = min(sizes, key=lambda name: median(samples[name]))
    target = Limit(0.8, at_least=True)
    return samples, [
        ratio(f"stdout of 1 GiB: speed / {best}", samples, best, OURS, target),
        memory_row("stdout of 1 GiB: memory grown", grown),
    ]


def memory_row(figure: str, grown_kib: list[float]) -> Row:
    """Flat means: not more than a few read buffers."""
    target = Limit(4096, "KiB")
    if not grown_kib:
        return target.missing(figure, f"without {OURS}")
    return target.row(figure, max(grown_kib))


def imports(setting: Setting, rounds: int) -> tuple[Samples, list[Row]]:
    """A Python program that imports us, against one that does nothing."""
    programs = {
        BARE: "pass",
        IMPORTED: "import aiocontainer",
        "and Config, Container, run": "from aiocontainer import Config, Container, run",
    }
    with setting.runner() as runner:
        contestants: dict[str, Turn] = {
            name: lambda code=code: runner.ask({"turn": [[sys.executable, "-c", code]]})
            for name, code in programs.items()
        }
        samples = measured(rounds, contestants)
    over_ms = (median(samples[IMPORTED]) - median(samples[BARE])) / 1e6
    return samples, [
        Limit(30, "ms").row("import aiocontainer over the bare interpreter", over_ms)
    ]


def our_loops(setting: Setting, stack: ExitStack) -> dict[str, Coprocess]:
    """Our contestant, on both event loops."""
    loops = {OURS: "asyncio", OURS_UVLOOP: "uvloop"}
    return {
        name: stack.enter_context(setting.ours(loop)) for name, loop in loops.items()
    }


def measured(rounds: int, contestants: dict[str, Turn]) -> Samples:
    """All take a turn for warmth, then as many as asked for count.

    Who fails in the warm-up is left out: the others' figures stand without it.
    """
    fit: dict[str, Turn] = {}
    for name, turn in contestants.items():
        try:
            turn()
        except (ContestantFailed, FileNotFoundError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
        else:
            fit[name] = turn
    turns(1, fit)
    return turns(rounds, fit)


def ratio(figure: str, samples: Samples, part: str, whole: str, target: Limit) -> Row:
    """One contestant's median time over another's."""
    absent = [name for name in (part, whole) if name not in samples]
    if absent:
        return target.missing(figure, f"without {' and '.join(absent)}")
    times = median(samples[part]), median(samples[whole])
    detail = f"{times[0] / 1e6:.2f} / {times[1] / 1e6:.2f} ms"
    return target.row(figure, times[0] / times[1], detail)
