"""Documents of libcontainer's own format, in each of its spellings."""

import json
from pathlib import Path
from typing import Any

__all__ = ("FOLDER", "SAMPLES", "minimal", "sample", "with_field")

FOLDER = Path(__file__).parents[1] / "data/libcontainer"
SAMPLES = sorted(path.stem for path in FOLDER.glob("*.json"))


def sample(name: str) -> dict[str, Any]:
    """The parsed document of a sample."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def minimal() -> dict[str, Any]:
    """A document of 2015 with nothing but what is needed."""
    return {
        "rootfs": "/srv/rootfs",
        "namespaces": [{"type": "NEWNS"}, {"type": "NEWNET"}, {"type": "NEWUTS"}],
    }


def with_field(path: str, value: Any) -> dict[str, Any]:
    """The minimal document with one field set, as ``cgroups.memory``."""
    whole = minimal()
    at: Any = whole
    *steps, last = path.split(".")
    for step in steps:
        at = at.setdefault(step, {})
    at[last] = value
    return whole
