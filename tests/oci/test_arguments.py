"""A plain command line is read without argparse, and never otherwise than by it."""

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocontainer.oci import usage
from aiocontainer.oci.arguments import GLOBALS, TABLES, Row, UsageError, quick

ROWS = {name: [*map(Row, table)] for name, table in TABLES.items()}
GLOBAL_ROWS = [*map(Row, GLOBALS)]
FLAGS = sorted(
    {
        flag
        for rows in (*ROWS.values(), GLOBAL_ROWS)
        for row in rows
        for flag in row.flags
    }
)
VALUES = [
    *("", "-", "--", "-1", "0", "7", " 8 ", "1_0", "x", "a=b", "text", "json", "true"),
    *("-x", "--x", "help", "-h", "--help", "a b", "- a", "9" * 5000, "soft", "ID"),
]


def by_argparse(words: list[str]) -> dict[str, object] | None:
    """What argparse makes of a line; None where it refuses, or prints help."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return vars(usage.parse(words))
        except (UsageError, SystemExit):
            return None


def agree(words: list[str]) -> bool:
    """Whether the quick one understood; it may leave a line, but not read another."""
    found = quick(words)
    if found is None:
        return False
    assert vars(found) == by_argparse(words), words
    return True


def value_of(row: Row) -> st.SearchStrategy[str]:
    if "|" in row.kind:
        return st.sampled_from(row.kind.split("|"))
    if row.kind.startswith("NUMBER"):
        return st.integers(0, 10**6).map(str)
    return st.sampled_from(["D", "a=b", "/x y", "-", "1:2"])


@st.composite
def options(draw: st.DrawFn, rows: list[Row]) -> list[str]:
    """Some options of a table, each as it should be."""
    said: list[str] = []
    for row in draw(st.lists(st.sampled_from(rows), max_size=4)) if rows else ():
        flag = draw(st.sampled_from(row.flags))
        if row.kind == "SWITCH":
            said.append(flag)
            continue
        value = draw(value_of(row))
        joined = flag.startswith("--") and draw(st.booleans())
        said += [f"{flag}={value}"] if joined else [flag, value]
    return said


@st.composite
def plain_lines(draw: st.DrawFn) -> list[str]:
    """Lines as engines write them."""
    name = draw(st.sampled_from(sorted(ROWS)))
    switches = [row for row in GLOBAL_ROWS if row.attribute != "version"]
    words = [*draw(options(switches)), name]
    words += draw(options([row for row in ROWS[name] if row.flags]))
    for row in ROWS[name]:
        if row.kind == "NAME":
            words.append("ID")
        elif row.kind == "MAYBE":
            words += draw(st.sampled_from([[], ["9"], ["KILL"]]))
        elif row.kind == "REST":
            words += draw(st.sampled_from([[], ["ls"], ["sh", "-c", "--root=/x"]]))
    return words


# Any words in any order, with the flags of all commands and what looks like them.
ODD_WORDS = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from(VALUES),
    st.sampled_from(sorted(ROWS)),
    st.builds("{}={}".format, st.sampled_from(FLAGS), st.sampled_from(VALUES)),
    st.builds("{}{}".format, st.sampled_from(FLAGS), st.sampled_from(VALUES)),
)


@given(plain_lines())
@settings(max_examples=150, deadline=None)
def test_a_plain_line_is_understood_at_once_and_as_argparse_does(
    words: list[str],
) -> None:
    assert agree(words)


@given(
    plain_lines(), st.lists(ODD_WORDS, max_size=2), st.randoms(use_true_random=False)
)
@settings(max_examples=250, deadline=None)
def test_a_line_with_something_odd_in_it_is_not_understood_otherwise(
    words: list[str], odd: list[str], random: object
) -> None:
    for word in odd:
        words.insert(random.randrange(len(words) + 1), word)  # type: ignore[attr-defined]
    agree(words)


@given(st.lists(ODD_WORDS, max_size=8))
@settings(max_examples=250, deadline=None)
def test_no_line_at_all_is_understood_otherwise(words: list[str]) -> None:
    agree(words)


@pytest.mark.parametrize(
    ("line", "is_plain"),
    [
        ("--version", True),
        ("-v kill", True),
        ("state ID", True),
        ("kill ID KILL", True),
        ("kill --all=true ID 9", True),
        ("exec ID ls -l --root x", True),
        ("update --resources - ID", True),
        ("--log= state ID", False),
        ("state ID --help", False),
        ("state -h", False),
        ("kill ID --all 9", False),
        ("kill ID 9 --all", False),
        ("exec ID -- ls", False),
        ("create -bD ID", False),
        ("update --cpu-quota -1 ID", False),
        ("run --preserve-fds x ID", False),
        ("list --format yaml", False),
        ("state", False),
        ("state A B", False),
        ("--frobnicate state ID", False),
        ("--rootless", False),
        ("help", False),
        ("", False),
    ],
)
def test_what_is_not_plain_is_left_to_argparse(line: str, is_plain: bool) -> None:
    assert agree(line.split()) is is_plain
