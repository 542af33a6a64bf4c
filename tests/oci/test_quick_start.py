"""What commands load: an interpreter's start is most of what a short one takes."""

import json
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import aiocontainer
from aiocontainer.oci import documents
from aiocontainer.proc import init_pipe
from aiocontainer.state import Identity, Record, Store, gate

# Tells, before it ends, what was loaded.
TELLING = """
import os, sys
before = set(sys.modules)
end = os._exit
def tell(status):
    sys.stderr.write("LOADED " + " ".join(set(sys.modules) - before) + "\\n")
    sys.stderr.flush()
    end(status)
os._exit = tell
from aiocontainer.oci.main import main
main()
"""

ALWAYS = {"__future__", "_json", "errno", "gc"}
TELLS = {"_socket", "pwd"}


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "root")


@pytest.fixture
def sleeper(root: str) -> Iterator[subprocess.Popen[bytes]]:
    """The first process of a container "c" of that root, whose gate is open."""
    with subprocess.Popen(["sleep", "60"]) as process:
        record = Record("c", Identity.own(), detached=True, phase="ready")
        record.init = Identity.of(process.pid)
        Store(root).create(record).close()
        yield process
        process.kill()


def begun(root: str, line: str) -> subprocess.Popen[str]:
    """A command that tells what it loads."""
    words = ["-I", "-c", TELLING, "--root", root, *line.split()]
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> tuple[str, str, set[str]]:
    """(output, errors, modules that are neither ours nor every interpreter's)."""
    with process:
        output, errors = process.communicate(timeout=30)
    errors, _, loaded = errors.partition("LOADED ")
    theirs = {name for name in loaded.split() if not name.startswith("aiocontainer")}
    return output, errors, theirs


def said(root: str, line: str) -> tuple[str, str, set[str]]:
    """The result of a command."""
    return result(begun(root, line))


@pytest.mark.parametrize(
    ("line", "output", "allowed"),
    [
        ("--version", "aiocontainer-oci version", set()),
        ("state c", '"status": "running"', TELLS),
        ("list", "running", TELLS),
        ("list -q", "c\n", TELLS),
        ("list -f json", '"status": "running"', TELLS),
        ("ps -f json c", "[", set()),
        ("kill c 0", "", set()),
        ("kill --all c KILL", "", set()),
    ],
)
@pytest.mark.usefixtures("sleeper")
def test_what_looks_or_signals_loads_next_to_nothing(
    root: str, line: str, output: str, allowed: set[str]
) -> None:
    found, errors, theirs = said(root, line)
    assert errors == ""
    assert output in found
    assert theirs <= ALWAYS | allowed


def test_a_signal_arrives(root: str, sleeper: subprocess.Popen[bytes]) -> None:
    assert said(root, "kill c")[1] == ""
    assert sleeper.wait(10) == -signal.SIGTERM
    assert "container not running" in said(root, "kill c")[1]


@pytest.mark.usefixtures("sleeper")
def test_deleting_loads_next_to_nothing(root: str) -> None:
    assert "is not stopped" in said(root, "delete c")[1]
    _found, errors, theirs = said(root, "delete --force c")
    assert errors == ""
    assert theirs <= ALWAYS | {"fcntl"}
    assert Store(root).ids() == []


def test_starting_loads_next_to_nothing(root: str) -> None:
    record = Record("c", Identity.own(), detached=True, phase="ready")
    record.init = record.owner
    with Store(root).create(record) as folder:
        listening = socket.socket(fileno=gate.build(folder))
        with listening:
            starting = begun(root, "start c")
            while not (heard := hear(listening)):
                pass  # it only looked whether somebody is there
        _found, errors, theirs = result(starting)
    assert heard == init_pipe.GO
    assert errors == ""
    assert theirs <= ALWAYS | {"_socket"}


def hear(listening: socket.socket) -> bytes:
    """What the next to knock says, whose end is then closed, as by exec."""
    listening.settimeout(30)
    connection = listening.accept()[0]
    with connection:
        return connection.recv(100)


def test_features_are_told_with_stand_ins_and_are_the_same(root: str) -> None:
    output, errors, theirs = said(root, "features")
    assert errors == ""
    assert json.loads(output) == documents.known_features()
    assert "pydantic_core._pydantic_core" not in theirs


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert aiocontainer.__version__ == project["project"]["version"]
