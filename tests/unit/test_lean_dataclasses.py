"""The stand-in for dataclasses makes classes that are used as those of the real one."""

import dataclasses
import json
import pkgutil
import subprocess
import sys
from typing import Any, ClassVar

import pytest

import aiocontainer
from aiocontainer.oci.lean import Unsuited
from aiocontainer.oci.lean import dataclasses as lean


def shout(text: str) -> str:
    return text.upper()


def classes(api: Any) -> tuple[type, type, type]:
    """The forms that our classes have, made by ``api``."""

    @api.dataclass(frozen=True, slots=True)
    class Point:
        """Documented."""

        kind: ClassVar[str] = "point"
        x: int
        y: int = 2
        say: Any = shout

        @property
        def total(self) -> int:
            return self.x + self.y

    @api.dataclass(frozen=True, slots=True)
    class Deep(Point):
        """Inherits."""

        z: int = 3

    @api.dataclass(slots=True)
    class Heap:
        """Changes."""

        items: list[int] = api.field(default_factory=list)
        checked: bool = False

        def __post_init__(self) -> None:
            self.checked = True

    return Point, Deep, Heap


def observed(api: Any) -> list[Any]:
    point_of, deep_of, heap_of = classes(api)
    point, heap = point_of(1), heap_of()
    heap.items.append(1)
    changed = api.replace(point, y=7)
    match deep_of(1, 2, shout, 4):
        case deep_of(x, y, _, z):
            matched: Any = (x, y, z)
    return [
        (point.x, point.y, point.kind, point.total, point.say("a")),
        (changed.x, changed.y, changed.say("b")),
        [point == point_of(x=1, y=2), point == point_of(2), point == deep_of(1)],
        len({point, point_of(1), point_of(2)}),
        (heap.items, heap_of().items, heap.checked),
        (point_of.__slots__, deep_of.__slots__, heap_of.__slots__),
        matched,
    ]


def test_the_stand_in_does_what_dataclasses_do() -> None:
    assert observed(lean) == observed(dataclasses)


def test_a_class_that_fills_empty_slots_is_no_case_for_the_stand_in() -> None:
    @lean.dataclass(frozen=True, slots=True)
    class Lazy:
        """Parsed when it is looked at."""

        part: int = 0

        def __getattr__(self, name: str) -> int:
            return 7

    with pytest.raises(Unsuited):
        Lazy()
    with pytest.raises(Unsuited):
        Lazy.__new__(Lazy)


_FIELDS = """
import importlib, json, sys
if {lean}:
    from aiocontainer.oci import lean
    lean.install()
found = {{}}
for name in {modules}:
    for one in vars(importlib.import_module(name)).values():
        names = getattr(one, "__dataclass_fields__", None)
        if isinstance(one, type) and names is not None and one.__module__ == name:
            found[f"{{name}}.{{one.__qualname__}}"] = [
                list(names), list(one.__match_args__), list(one.__slots__)
            ]
print(json.dumps(found))
"""

ROOMS = ("plan", "proc", "cgroups", "notify", "state")


def test_every_class_of_the_library_has_the_same_fields_with_the_stand_in() -> None:
    # What is read of a cgroup isn't for the stand-in, which says so.
    modules = [
        found.name
        for found in pkgutil.walk_packages(aiocontainer.__path__, "aiocontainer.")
        if found.name.split(".")[1] in ROOMS and "systemd" not in found.name
    ]
    answers = []
    for is_lean in (False, True):
        code = _FIELDS.format(lean=is_lean, modules=modules)
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True
        )
        answers.append(json.loads(done.stdout))
    real, stand_in = answers
    assert len(real) > 100
    assert stand_in == real
