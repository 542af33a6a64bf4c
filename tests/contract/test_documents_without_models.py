"""Documents are read without the models, whose import takes longer than a container:
an OCI runtime may want to know what is in one before it loads them."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

from aiocontainer.config.kernel_names import SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES
from aiocontainer.config.seccomp import Action, Architecture

ROOT = Path(__file__).parents[2]

# The package's own __init__ loads all models; its modules don't need it.
SOURCE = """
import json, sys, types
import aiocontainer
package = types.ModuleType("aiocontainer.config")
package.__path__ = [sys.argv[1] + "/aiocontainer/config"]
sys.modules["aiocontainer.config"] = package
from aiocontainer.config.document import Node, parse_json
from aiocontainer.config.oci.read import read_document
from aiocontainer.config.oci.process import read_process
from aiocontainer.config.oci.resources import read_resources
with open(sys.argv[1] + "/tests/data/oci/everything.json", "rb") as file:
    document = parse_json(file.read())
fields = read_document(document, "/bundle").fields
read_process(Node(document["process"]))
read_resources(Node(document["linux"]["resources"]))
assert fields["seccomp"]["syscalls"] and fields["hooks"]
print(*(name for name in ("pydantic", "dataclasses", "asyncio") if name in sys.modules))
"""


def test_a_document_with_every_field_is_read_without_the_models() -> None:
    command = [sys.executable, "-c", SOURCE, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_names_of_filters_are_those_of_the_models() -> None:
    assert get_args(Action) == SECCOMP_ACTIONS
    assert get_args(Architecture) == SECCOMP_ARCHITECTURES
