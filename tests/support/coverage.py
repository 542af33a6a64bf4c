"""Which tests cover which field: read from the marks in the sources.

    @pytest.mark.covers("linux.sysctl", "sysctl")
    def test_parameters_of_the_containers_namespaces(): ...

``where="guest"`` says that the test needs what only the guest has, ``where="fake"``
that it runs on files that look like the kernel's. Otherwise the folder tells.
"""

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .oci_fields import FEATURES, FIELDS, NOT_THERE

__all__ = ("Cover", "covers", "table")

TESTS = Path(__file__).parents[1]
_PLACES = {"kernel": "kernel", "security": "kernel", "unit": "unit"}
_ORDER = ("kernel", "guest", "fake", "unit")
_WORDS = {
    "kernel": "this kernel",
    "guest": "kernel, in the guest",
    "fake": "files like the kernel's",
    "unit": "no kernel",
}
_SHOWN = 2


@dataclass(frozen=True, order=True)
class Cover:
    """One test that covers something."""

    name: str
    """The field or feature."""
    where: str
    """One of ``kernel``, ``guest``, ``fake``, ``unit``."""
    path: str
    """Of the file, from the tests' folder."""
    test: str


@functools.cache
def covers() -> tuple[Cover, ...]:
    """All marks of all tests, in order."""
    found = []
    for path in sorted(TESTS.glob("*/test_*.py")):
        tree = ast.parse(path.read_text())
        relative = str(path.relative_to(TESTS))
        tables = _tables(tree)
        for function in _functions(tree):
            for name, where in _marks(function, tables):
                place = where or _PLACES.get(path.parent.name, "unit")
                found.append(Cover(name, place, relative, function.name))
    return tuple(sorted(set(found)))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _tables(tree: ast.Module) -> dict[str, ast.expr]:
    """Names that the module gives to something, as to a table of parameters."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _marks(
    function: ast.FunctionDef | ast.AsyncFunctionDef, tables: Mapping[str, ast.expr]
) -> Iterator[tuple[str, str | None]]:
    decorators = list(function.decorator_list)
    decorators += [
        tables[node.id]
        for decorator in function.decorator_list
        for node in ast.walk(decorator)
        if isinstance(node, ast.Name) and node.id in tables
    ]
    for decorator in decorators:
        for call in ast.walk(decorator):
            if not isinstance(call, ast.Call):
                continue
            if not ast.unparse(call.func).endswith("mark.covers"):
                continue
            said = {keyword.arg: keyword.value for keyword in call.keywords}
            where = said.get("where")
            for argument in call.args:
                yield (
                    ast.literal_eval(argument),
                    None if where is None else ast.literal_eval(where),
                )


def table() -> str:
    """The text of ``docs/coverage.md``."""
    by_name: dict[str, list[Cover]] = {}
    for cover in covers():
        by_name.setdefault(cover.name, []).append(cover)
    lines = [
        "# Coverage",
        "",
        "What works, and which tests show it. Made from the tests by",
        "`make coverage-table`; a test compares.",
        "",
        "*Tested on* is this kernel (the tests of `tests/kernel` and `tests/security`",
        "start real processes), the same in a guest that has what lacks here, a tree",
        "of files that looks like the kernel's, or no kernel at all.",
        "",
        "## Fields of OCI runtime-spec 1.3 for Linux",
        "",
        *_rows("Field", FIELDS, by_name, code=True),
    ]
    for group, features in FEATURES.items():
        lines += ["", f"## Features: {group}", ""]
        lines += _rows("Feature", features, by_name, code=False)
    return "\n".join(lines) + "\n"


def _rows(
    title: str, names: list[str], by_name: dict[str, list[Cover]], *, code: bool
) -> Iterator[str]:
    yield f"| {title} | Works | Tested on | By |"
    yield "|---|---|---|---|"
    for name in names:
        shown = f"`{name}`" if code else name
        found = by_name.get(name, [])
        if not found:
            yield f"| {shown} | no: {NOT_THERE.get(name, 'untested')} | | |"
            continue
        works = "yes" if name not in NOT_THERE else f"in part: {NOT_THERE[name]}"
        places = [place for place in _ORDER if place in {c.where for c in found}]
        best = [cover for cover in found if cover.where == places[0]]
        tests = [f"{c.path}::{c.test}" for c in best[:_SHOWN]]
        more = len(found) - len(tests)
        told = "<br>".join(tests) + (f"<br>and {more} more" if more else "")
        yield f"| {shown} | {works} | {_WORDS[places[0]]} | {told} |"
