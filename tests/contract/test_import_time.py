"""``import aiocontainer`` stays cheap: told by what it loads, for a time is noise."""

import json
import subprocess
import sys

import pytest

PROBE = """
import json, sys
before = set(sys.modules)
{statement}
json.dump(sorted(set(sys.modules) - before), sys.stdout)
"""


def loaded_by(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter loads for this statement."""
    words = [sys.executable, "-c", PROBE.format(statement=statement)]
    output = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    return set(json.loads(output))


def top_level(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_import_loads_no_other_package() -> None:
    third_party = top_level(loaded_by("import aiocontainer")) - sys.stdlib_module_names
    assert third_party == {"aiocontainer"}


@pytest.mark.parametrize(
    "module", ["asyncio", "ctypes", "logging", "subprocess", "inspect", "ssl", "socket"]
)
def test_import_loads_no_large_part_of_the_standard_library(module: str) -> None:
    assert module not in top_level(loaded_by("import aiocontainer"))


@pytest.mark.parametrize("module", ["pyroute2", "dbus_fast", "trio", "uvloop"])
def test_the_main_classes_load_no_package_that_they_do_not_need(module: str) -> None:
    statement = "from aiocontainer import Config, Container, Process, Result"
    assert module not in top_level(loaded_by(statement))


def test_the_helper_loads_neither_event_loop_nor_models() -> None:
    loaded = top_level(loaded_by("import aiocontainer.proc.helper.server"))
    assert loaded & {"anyio", "asyncio", "logging", "pydantic", "subprocess"} == set()


@pytest.mark.parametrize("name", ["Container", "Runtime"])
def test_what_streams_take_is_loaded_before_a_loop_has_to_wait_for_it(
    name: str,
) -> None:
    assert "aiocontainer.event_streams" in loaded_by(f"from aiocontainer import {name}")
