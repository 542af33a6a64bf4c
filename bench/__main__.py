"""The comparison: ``python -m bench [--markdown] [--rounds N] [FIGURE ...]``.

Everything of one figure runs interleaved, in this one call; medians and ratios.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from bench import commands, limits, lives, profile
from bench.coprocess import ContestantFailed
from bench.machine import facts
from bench.setting import HERE, Setting, prepared
from bench.table import Row, Table, markdown, spread, targets, text

Measured = tuple[Table | None, list[Row]]
Figure = Callable[[Setting, int], Measured]


def with_spread(
    title: str, figure: Callable[..., tuple[lives.Samples, list[Row]]]
) -> Figure:
    """A figure whose contestants' times get a table of their own."""

    def measure(setting: Setting, rounds: int) -> Measured:
        samples, rows = figure(setting, rounds)
        return spread(title, samples), rows

    return measure


def rows_only(figure: Callable[[Setting], list[Row]]) -> Figure:
    """A figure that is measured once."""
    return lambda setting, _: (None, figure(setting))


def few(figure: Figure, part: int) -> Figure:
    """A figure whose rounds are long: one in ``part``, and not less than 3."""
    return lambda setting, rounds: figure(setting, max(3, rounds // part))


FIGURES: dict[str, Figure] = {
    "life": with_spread("Life of /bin/true: create, run, wait, destroy", lives.life),
    "join": with_spread("Joining a running container with /bin/true", lives.join),
    "flight": few(with_spread("64 lives in flight, time per life", lives.flight), 6),
    "alive": rows_only(lives.alive),
    "stdout": few(with_spread("stdout of 1 GiB", lives.stdout), 6),
    "import": with_spread("Starting Python", lives.imports),
    "stats": with_spread("One full statistics sample", limits.stats),
    "watch": rows_only(limits.watch),
    "oom": rows_only(limits.oom),
    "steps": lambda setting, rounds: (profile.steps(setting, 5 * rounds), []),
    "limits": with_spread(
        "Life with limits set, all v1 controllers", limits.limited_life
    ),
    "run": with_spread("OCI command line: run of /bin/true", commands.run),
    "create": with_spread("OCI command line: create, start and delete", commands.steps),
    "state": with_spread("OCI command line: state", commands.state),
    "kill": with_spread("OCI command line: kill", commands.kill),
}


def main() -> int:
    """Measure what was asked for and print it. 1 if a target is missed."""
    options = arguments()
    draw = markdown if options.markdown else text
    began = time.monotonic()
    rows: list[Row] = []
    if options.markdown:
        print((HERE / "about.md").read_text(), end="")
    print(draw(Table("Machine", ("", ""), list(facts().items()))), flush=True)
    for table, found in measure(options.figures, options.rounds):
        rows += found
        if table is not None:
            print(draw(table), flush=True)
    print(draw(targets("Targets (ratios of medians)", rows)))
    print(f"\n{time.monotonic() - began:.0f} s, {options.rounds} rounds.")
    return 0 if all(row.met for row in rows) else 1


def measure(names: list[str], rounds: int) -> Iterator[Measured]:
    """Each figure in turn; one that fails is a row, not the end."""
    with prepared() as setting:
        for name in names:
            print(f"measuring {name} ...", file=sys.stderr)
            try:
                yield FIGURES[name](setting, rounds)
            except (ContestantFailed, FileNotFoundError) as error:
                yield None, [Row(name, str(error)[:120], "", None)]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--markdown", action="store_true", help="for docs/performance.md"
    )
    parser.add_argument(
        "--rounds", type=int, default=60, help="turns of each contestant"
    )
    parser.add_argument("figures", nargs="*", help=f"of {', '.join(FIGURES)}")
    options = parser.parse_args()
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    options.figures = options.figures or list(FIGURES)
    return options


if __name__ == "__main__":
    sys.exit(main())
