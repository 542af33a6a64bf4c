"""Public names: each listed once, each listed name there.

A room's face is its package, ``aiocontainer.cgroups`` and so on: it must list all that
is public. A module may; what is not listed anywhere is nobody's business.
The order of ``__all__`` is the linter's business (RUF022).
"""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import aiocontainer

PACKAGE = Path(aiocontainer.__file__).parent

# The helper is a program of its own, with one entry; nobody imports from it.
PRIVATE = ("_", "helper", "tests")


def public_modules() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not any(part.startswith(PRIVATE) for part in parts[1:]):
            names.append(".".join(parts))
    return names


def defined_names(module: str) -> set[str]:
    """Public classes, functions and constants that a module defines by itself."""
    file = importlib.import_module(module).__file__
    assert file is not None
    source = Path(file).read_text()
    found: set[str] = set()
    for statement in ast.parse(source).body:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {node.id for node in targets if isinstance(node, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return {name for name in found if not name.startswith("_")}


FACES = [
    module
    for module in public_modules()
    if module.count(".") <= 1 and hasattr(importlib.import_module(module), "__all__")
]


@pytest.mark.parametrize("module", FACES)
def test_a_public_module_lists_all_that_it_defines(module: str) -> None:
    listed = importlib.import_module(module).__all__
    assert defined_names(module) - {"TYPE_CHECKING"} - set(listed) == set()


@pytest.mark.parametrize("room", ["", ".config", ".cgroups", ".notify", ".errors"])
def test_each_room_has_a_face(room: str) -> None:
    assert importlib.import_module("aiocontainer" + room).__all__


@pytest.mark.parametrize("module", public_modules())
def test_no_name_is_listed_twice(module: str) -> None:
    listed = getattr(importlib.import_module(module), "__all__", ())
    assert isinstance(listed, tuple)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("module", public_modules())
def test_each_listed_name_is_there(module: str) -> None:
    loaded = importlib.import_module(module)
    for name in getattr(loaded, "__all__", ()):
        assert getattr(loaded, name) is not None


def test_the_top_level_shows_its_lazy_names_to_dir() -> None:
    assert set(getattr(aiocontainer, "__all__", ())) <= set(dir(aiocontainer))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        aiocontainer.no_such_name  # noqa: B018


@pytest.mark.parametrize("module", public_modules())
def test_each_public_class_and_function_has_a_docstring(module: str) -> None:
    loaded = importlib.import_module(module)
    missing = [
        name
        for name in getattr(loaded, "__all__", ())
        if (inspect.isclass(found := getattr(loaded, name)) or inspect.isroutine(found))
        and not found.__doc__
    ]
    assert missing == []
