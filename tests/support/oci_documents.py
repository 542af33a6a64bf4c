"""OCI documents to be read: samples of real shapes, and a small one to build upon."""

import copy
import json
from pathlib import Path
from typing import Any

from aiocontainer import run
from aiocontainer.config.bundle import Bundle

__all__ = ("SAMPLES", "document", "minimal", "said", "sample", "with_field")

FOLDER = Path(__file__).parents[1] / "data/oci"

SAMPLES = {
    # name -> the cgroup manager that its cgroupsPath is written for
    path.stem: "systemd" if path.stem == "podman" else "cgroupfs"
    for path in sorted(FOLDER.glob("*.json"))
}


def sample(name: str) -> dict[str, Any]:
    """The parsed document of a sample."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def minimal() -> dict[str, Any]:
    """A document with nothing but what is needed."""
    return {
        "ociVersion": "1.2.0",
        "root": {"path": "/srv/rootfs"},
        "process": {"cwd": "/", "args": ["sh"]},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}]},
    }


def with_field(path: str, value: Any, document: Any = None) -> dict[str, Any]:
    """The minimal document (or a copy of ``document``) with one field set, as
    ``linux.resources.memory.limit``; a number is an index of a list."""
    whole = minimal() if document is None else copy.deepcopy(document)
    at: Any = whole
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    if isinstance(at, list):
        at[int(last)] = value
    else:
        at[last] = value
    return whole


def document(rootfs: Path, command: str) -> dict[str, Any]:
    """What ``runc spec`` writes, with a root and a command."""
    whole = copy.deepcopy(sample("runc-spec"))
    whole["root"] = {"path": str(rootfs), "readonly": True}
    whole["process"] |= {"terminal": False, "args": ["sh", "-c", command]}
    whole["process"]["capabilities"] = {
        name: ["CAP_KILL", "CAP_CHOWN"]
        for name in ("bounding", "effective", "permitted")
    }
    whole["hostname"] = "box"
    return whole


async def said(whole: dict[str, Any]) -> str:
    """What the program of a document prints."""
    bundle = Bundle.read(whole)
    assert bundle.process is not None
    result = await run(bundle.config, bundle.process.args, timeout=20)
    assert result.stderr == b"", result.stderr
    return result.stdout.decode().strip()
