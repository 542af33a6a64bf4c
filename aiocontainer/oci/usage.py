"""The command line as argparse has it: for help, and what isn't of the usual form."""

from __future__ import annotations

import argparse

from .arguments import (
    COMMANDS,
    GLOBALS,
    HIDDEN,
    TABLES,
    TRUTH,
    Options,
    Row,
    UsageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final, NoReturn

    from .arguments import Table


class Parser(argparse.ArgumentParser):
    """Says what is wrong as an exception, which is then reported like any other."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.prog}: {message}")


def parse(words: Sequence[str]) -> Options:
    """Take a command line apart.

    Raises:
        UsageError: it can't be understood.
        SystemExit: it asked for help, which was printed.
    """
    end = _end_of_globals(words)
    parser = _global_parser()
    options = parser.parse_args(_plain(words[:end], GLOBALS), Options())
    options.command = None
    if options.version:
        return options
    if end == len(words) or words[end] == "help":
        parser.print_help()
        raise SystemExit(0)
    name, *own = words[end:]
    if name not in COMMANDS:
        unknown = UsageError(f"no such command: {name}")
        unknown.options, unknown.status = options, 3  # as runc's
        raise unknown
    command = Parser(
        prog=f"aiocontainer-oci {name}",
        description=COMMANDS[name],
        allow_abbrev=False,
    )
    _add(command, TABLES[name])
    options.command = name
    try:
        return command.parse_args(_plain(own, TABLES[name]), options)
    except UsageError as error:
        error.options = options
        raise


def _plain(words: Sequence[str], table: Table) -> list[str]:
    """Switches without their ``=true``, of which argparse doesn't know."""
    rows = {flag: row for row in map(Row, table) for flag in row.flags}
    kept: list[str] = []
    at = 0
    while at < len(words) and words[at].startswith("-"):
        flag, equals, value = words[at].partition("=")
        row = rows.get(flag)
        is_switch = row is not None and row.kind == "SWITCH"
        if not (is_switch and equals and value in TRUTH and flag.startswith("--")):
            kept.append(words[at])
        elif TRUTH[value]:
            kept.append(flag)
        else:  # the last word on it counts
            kept = [word for word in kept if rows.get(word) is not row]
        at += 1
        if row is not None and not (is_switch or equals):
            kept += words[at : at + 1]
            at += 1
    return [*kept, *words[at:]]


def _end_of_globals(words: Sequence[str]) -> int:
    """Global options come before the command, which is the first other word."""
    rows = map(Row, GLOBALS)
    with_value = {row.flags[-1][2:] for row in rows if row.kind != "SWITCH"}
    end = 0
    while end < len(words) and words[end].startswith("-"):
        name, equals, _ = words[end].partition("=")
        takes_value = name.lstrip("-") in with_value and not equals
        end += 2 if takes_value else 1
    return min(end, len(words))


def _global_parser() -> Parser:
    epilog = "commands:\n" + "".join(
        f"  {name:12}{text}\n" for name, text in COMMANDS.items()
    )
    parser = Parser(
        prog="aiocontainer-oci",
        description="An OCI runtime.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add(parser, GLOBALS)
    return parser


_NUMBER_OF_WORDS: Final = {"MAYBE": "?", "REST": argparse.REMAINDER}


def _add(parser: Parser, table: Table) -> None:
    for text, said in table.items():
        row = Row(text)
        if row.flags:
            said = argparse.SUPPRESS if said == HIDDEN else said
            flags, how = row.flags, _how(row)
            parser.add_argument(*flags, dest=row.attribute, help=said, **how)
        else:
            count: Any = _NUMBER_OF_WORDS.get(row.kind)
            parser.add_argument(
                row.attribute, nargs=count, default=row.default, metavar=said
            )


def _how(row: Row) -> dict[str, Any]:
    """What argparse is to do with an option."""
    if row.kind == "SWITCH":
        return {"action": "store_true"}
    how: dict[str, Any] = {"default": row.default}
    if "|" in row.kind:
        how["choices"] = row.kind.split("|")
    if row.kind.startswith("NUMBER"):
        how["type"] = int
    if row.kind.endswith("S"):
        how |= {"action": "append", "default": []}
    return how
