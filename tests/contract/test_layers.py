"""Who may import whom: the arrows of docs/design.md, checked on the source text.

cli, oci -> runtime -> container -> proc, cgroups, notify, network
                                 -> config, plan, state -> errors
proc.helper -> plan.steps, proc.init_pipe, _sys          _sys -> nothing of ours
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "aiocontainer"

FOUNDATION = {"errors", "_sys"}
MODELS = {"config", "plan", "state"} | FOUNDATION
ROOMS = {"proc", "cgroups", "notify", "network"}

# Each room and the rooms that it may import. A room may always import itself.
ARROWS = {
    "_sys": set(),
    "errors": set(),
    "config": FOUNDATION,
    "plan": {"config"} | FOUNDATION,
    "state": {"config"} | FOUNDATION,
    "proc.init_pipe": {"plan.steps", "_sys"},
    "proc.helper": {"plan.steps", "proc.init_pipe", "_sys"},
    **dict.fromkeys(ROOMS, MODELS),
    "statistics": ROOMS | MODELS,
    "event_streams": {"statistics", "watching"} | ROOMS | MODELS,
    "watching": {"event_streams"} | ROOMS | MODELS,
    "attachments": {"hooks", "intel_rdt", "user_networking"} | ROOMS | MODELS,
    "runs": ROOMS | MODELS,
    "hooks": ROOMS | MODELS,
    "intel_rdt": ROOMS | MODELS,
    "user_networking": ROOMS | MODELS,
    "place": {"isolation", "runs"} | ROOMS | MODELS,
    "processes": {
        "place",
        "watching",
        "attachments",
        "runs",
        "user_networking",
        "isolation",
    }
    | {"hooks", "intel_rdt"}
    | ROOMS
    | MODELS,
    "isolation": ROOMS | MODELS,
    "hot_mounts": ROOMS | MODELS,
    "supervised": {"processes", "statistics", "intel_rdt"} | ROOMS | MODELS,
    "container": {"hot_mounts", "isolation", "processes", "runs", "supervised"}
    | ROOMS
    | MODELS,
    "runtime": {"attachments", "container", "processes", "runs", "supervised"}
    | ROOMS
    | MODELS,
    "oci": {"runtime", "container", "cli.attach"} | ROOMS | MODELS,
    "cli": {"runtime", "container", "oci", "checkup"} | ROOMS | MODELS,
    "checkup": ROOMS | MODELS,
}

# The child runs between fork and exec with the container's files as its root.
UNSAFE_AFTER_FORK = {"asyncio", "logging", "threading", "subprocess", "multiprocessing"}
UNSAFE_AFTER_FORK |= {"pwd", "grp", "socketserver", "concurrent", "tempfile", "locale"}
SAFE_AFTER_FORK = (sys.stdlib_module_names | {"prctl", "_prctl"}) - UNSAFE_AFTER_FORK


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements at any depth, but for what only a type checker runs."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(
            statement.test
        ):
            yield from statements(statement.orelse)
            continue
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, name, None) or [])
        for handler in getattr(statement, "handlers", ()):
            yield from statements(handler.body)
        for case in getattr(statement, "cases", ()):
            yield from statements(case.body)


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at any depth of its code."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found: set[str] = set()
    for statement in statements(ast.parse(path.read_text()).body):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            base = package[: len(package) - statement.level + 1]
            base = [] if statement.level == 0 else base
            source = ".".join([*base, *filter(None, [statement.module])])
            found |= {resolve(source, alias.name) for alias in statement.names}
    return found


def resolve(source: str, name: str) -> str:
    """``from source import name`` imports a module when there is one of that name."""
    path = ROOT / source.replace(".", "/") / name
    is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    return f"{source}.{name}" if is_module else source


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def room_of(module: str) -> str | None:
    """The narrowest row of `ARROWS` for a module, given without ``aiocontainer.``."""
    rows = [room for room in ARROWS if within(module, room)]
    return max(rows, key=len, default=None)


SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))
ROOMS_OF_SOURCES = [
    pytest.param(path, id=module_name(path))
    for path in SOURCES
    if path.parent != PACKAGE or path.name != "__init__.py"
]


def test_each_module_belongs_to_a_room() -> None:
    names = {module_name(path).partition(".")[2] for path in SOURCES} - {"", "__main__"}
    assert {name for name in names if room_of(name) is None} == set()


@pytest.mark.parametrize("path", ROOMS_OF_SOURCES)
def test_imports_only_point_along_the_arrows(path: Path) -> None:
    name = module_name(path).partition(".")[2]
    room = "cli" if name == "__main__" else room_of(name)
    assert room is not None
    allowed = ARROWS[room] | {room}
    ours = {module for module in imported(path) if within(module, "aiocontainer")}
    against = {
        module
        for module in ours - {"aiocontainer"}
        if not any(within(module.partition(".")[2], target) for target in allowed)
    }
    if room in ROOMS:  # another room's face, its package, but not what is inside
        against -= {f"aiocontainer.{other}" for other in ROOMS}
    assert against == set()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=module_name(path))
        for path in SOURCES
        if within(module_name(path), "aiocontainer._sys")
        or within(module_name(path), "aiocontainer.proc.helper")
        or within(module_name(path), "aiocontainer.plan.steps")
        or module_name(path) == "aiocontainer.proc.init_pipe"
    ],
)
def test_what_the_child_runs_imports_only_what_is_safe_after_fork(path: Path) -> None:
    theirs = {name for name in imported(path) if not within(name, "aiocontainer")}
    assert {name.partition(".")[0] for name in theirs} <= SAFE_AFTER_FORK


@pytest.mark.parametrize("path", ROOMS_OF_SOURCES)
def test_ctypes_is_used_in_sys_only(path: Path) -> None:
    if within(module_name(path), "aiocontainer._sys"):
        return
    assert not {name for name in imported(path) if within(name, "ctypes")}


# Packages whose import costs more than starting a container: inside functions only.
HEAVY = ("pyroute2", "dbus_fast", "trio", "uvloop")


@pytest.mark.parametrize("path", ROOMS_OF_SOURCES)
def test_heavy_packages_are_loaded_on_first_use(path: Path) -> None:
    top_level = ast.Module(
        [
            statement
            for statement in ast.parse(path.read_text()).body
            if isinstance(statement, ast.Import | ast.ImportFrom)
        ],
        [],
    )
    for statement in top_level.body:
        names = [alias.name for alias in statement.names]
        if isinstance(statement, ast.ImportFrom):
            names = [statement.module or ""] if statement.level == 0 else []
        assert not [name for name in names for heavy in HEAVY if within(name, heavy)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("import os.path", {"os.path"}, id="import"),
        pytest.param("from ..errors import X", {"aiocontainer.errors"}, id="relative"),
        pytest.param("from .. import errors", {"aiocontainer.errors"}, id="module"),
        pytest.param("def f():\n import json", {"json"}, id="inside-a-function"),
        pytest.param("if TYPE_CHECKING:\n import json", set(), id="typing-only"),
        pytest.param("try: pass\nexcept E:\n import json", {"json"}, id="handler"),
    ],
)
def test_the_reader_of_imports_sees_them(
    source: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "aiocontainer/proc/example.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    (tmp_path / "aiocontainer/errors.py").touch()
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert imported(path) == found
