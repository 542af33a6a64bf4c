"""The stand-ins of the OCI command have what the library imports of the real ones."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import aiocontainer
from aiocontainer.oci.lean import _STAND_INS, Unsuited


def test_all_that_is_imported_from_pydantic_is_there() -> None:
    package = Path(aiocontainer.__file__).parent
    imported = {
        (statement.module, alias.name)
        for path in package.rglob("*.py")
        for statement in ast.walk(ast.parse(path.read_text()))
        if isinstance(statement, ast.ImportFrom)
        and (statement.module or "").partition(".")[0] in ("pydantic", "pydantic_core")
        and statement.level == 0
        for alias in statement.names
    }
    assert ("pydantic", "BaseModel") in imported
    for module, name in imported:
        stand_in = importlib.import_module(f"aiocontainer.oci.lean.{module}")
        assert name in stand_in.__all__


LOAD_ALL = """
import sys
sys.modules.pop("typing", None)  # a file of site may have loaded it
from aiocontainer.oci import lean
lean.install()
import importlib
loaded = 0
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
        loaded += 1
    except lean.Unsuited as unsuited:
        print(module, "unsuited", unsuited)
    except Exception as error:
        print(module, "wrong", repr(error))
print("loaded", loaded)
names = ("dataclasses", "pydantic", "typing")
print("with", *(sys.modules[name].__name__ for name in names))
"""


def test_each_module_is_loaded_with_the_stand_ins_or_says_that_it_can_not() -> None:
    root = Path(aiocontainer.__file__).parents[1]
    modules = [
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in sorted(root.glob("aiocontainer/**/*.py"))
        if path.stem not in ("__init__", "__main__")
    ]
    words = [sys.executable, "-c", LOAD_ALL, *modules]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [words for words in lines if words[1:2] == ["wrong"]] == []
    count = next(int(words[1]) for words in lines if words[0] == "loaded")
    assert count > 0.9 * len(modules)
    names = ("dataclasses", "pydantic", "typing")
    assert ["with", *(f"aiocontainer.oci.lean.{name}" for name in names)] in lines


def test_what_a_stand_in_does_not_have_is_unsuited() -> None:
    for module in ("pydantic", "pydantic_core", "typing"):
        stand_in = importlib.import_module(f"aiocontainer.oci.lean.{module}")
        with pytest.raises(Unsuited):
            stand_in.there_is_no_such_name  # noqa: B018


def stand_in_of(module: str) -> ModuleType:
    return importlib.import_module(f"aiocontainer.oci.lean.{_STAND_INS[module]}")


@pytest.mark.parametrize("module", _STAND_INS)
def test_every_name_of_a_stand_in_is_one_of_the_real_module(module: str) -> None:
    real = importlib.import_module(module)
    names = stand_in_of(module).__all__
    assert names
    assert [name for name in names if not hasattr(real, name)] == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("anyio", "open_process"),
        ("anyio", "to_thread"),
        ("anyio", "Condition"),
        ("dataclasses", "asdict"),
        ("dataclasses", "fields"),
        ("dataclasses", "make_dataclass"),
    ],
)
def test_what_only_the_real_module_has_is_never_taken_for_a_value(
    module: str, name: str
) -> None:
    assert hasattr(importlib.import_module(module), name)
    with pytest.raises(Unsuited):
        getattr(stand_in_of(module), name)
