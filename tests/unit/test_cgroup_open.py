"""Which kind of cgroup is chosen, where it is, and which names are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiocontainer.cgroups import detect
from aiocontainer.cgroups.base import check_name, check_parent
from aiocontainer.cgroups.detect import Hierarchy, Layout
from aiocontainer.cgroups.none import NoCgroup
from aiocontainer.cgroups.open import open_cgroup
from aiocontainer.cgroups.v1.manager import V1Cgroup
from aiocontainer.cgroups.v2.manager import V2Cgroup
from aiocontainer.config import CgroupSettings, Resources
from aiocontainer.errors import ConfigError, ControllerMissing, UnsupportedFeature


def hierarchy(mount: str, own: str = "/") -> Hierarchy:
    return Hierarchy(mount, "/", own, writable=True)


V1 = {"memory": hierarchy("/c/memory", "/session"), "pids": hierarchy("/c/pids")}
NAMED = {"name=systemd": hierarchy("/c/systemd")}
TWIN = hierarchy("/c/unified")
HYBRID = Layout({**V1, **NAMED}, TWIN)
PURE = Layout({}, hierarchy("/c"), frozenset({"memory", "pids"}))
NONE = Layout({}, None)


def opened(layout: Layout, controllers: Any = None, **settings: Any) -> Any:
    return open_cgroup(
        layout, CgroupSettings(**settings), "box", controllers=controllers
    )


@pytest.mark.parametrize(
    ("layout", "mode", "kind"),
    [
        (HYBRID, "auto", V1Cgroup),
        (Layout(V1, None), "auto", V1Cgroup),
        (PURE, "auto", V2Cgroup),
        (NONE, "auto", NoCgroup),
        (HYBRID, "v2", V2Cgroup),
        (HYBRID, "off", NoCgroup),
    ],
)
def test_the_kind_follows_the_machine_unless_it_is_said(
    layout: Layout, mode: str, kind: type
) -> None:
    assert type(opened(layout, mode=mode)) is kind


@pytest.mark.parametrize(
    ("layout", "mode"), [(PURE, "v1"), (Layout(V1, None), "v2"), (NONE, "v1")]
)
def test_a_kind_that_the_machine_lacks_is_refused(layout: Layout, mode: str) -> None:
    with pytest.raises(UnsupportedFeature):
        opened(layout, mode=mode)


def test_it_is_made_below_our_own_cgroup_of_each_hierarchy() -> None:
    group = opened(HYBRID)
    assert group.paths == {
        "memory": "/c/memory/session/aiocontainer/box",
        "pids": "/c/pids/aiocontainer/box",
    }
    assert group.unified == "/c/unified/aiocontainer/box"
    assert group.directories == (*group.paths.values(), group.unified)


def test_an_absolute_parent_is_from_the_root_of_the_hierarchy() -> None:
    group = opened(HYBRID, parent="/a/b", name="named")
    assert group.paths["memory"] == "/c/memory/a/b/named"


def test_a_relative_parent_is_below_our_own_cgroup() -> None:
    assert opened(HYBRID, parent="a/b").paths["memory"] == "/c/memory/session/a/b/box"


def test_on_v2_processes_are_in_a_leaf() -> None:
    group = opened(PURE)
    assert group.directories == ("/c/aiocontainer/box", "/c/aiocontainer/box/main")
    assert group.entry().clone_directory == "/c/aiocontainer/box/main"
    assert group.entry().clone_fallback == "/c/aiocontainer/box/main/cgroup.procs"


def test_on_v2_a_child_is_beside_the_leaf_and_has_none() -> None:
    child = opened(PURE).child("run")
    assert child.directories == ("/c/aiocontainer/box/run",)
    with pytest.raises(ConfigError):
        child.child("another")


def test_on_v2_a_nested_child_may_have_children() -> None:
    child = opened(PURE).child("run", nested=True).child("another")
    assert child.directories == ("/c/aiocontainer/box/run/another",)


def test_the_leaf_of_v2_cannot_be_taken_by_a_child() -> None:
    with pytest.raises(ConfigError):
        opened(PURE).child("main")


def test_entering_v1_does_not_take_the_lock_on_thread_groups() -> None:
    entry = opened(HYBRID).entry()
    assert all(path.endswith("/tasks") for path in entry.join_files)
    assert len(entry.join_files) == len(V1)
    assert entry.clone_directory == "/c/unified/aiocontainer/box"


def test_a_child_is_inside_in_every_hierarchy() -> None:
    child = opened(HYBRID).child("run")
    assert child.paths["memory"] == "/c/memory/session/aiocontainer/box/run"
    assert child.unified == "/c/unified/aiocontainer/box/run"


def test_controllers_mounted_together_are_made_once() -> None:
    shared = hierarchy("/c/cpu,cpuacct")
    group = opened(Layout({"cpu": shared, "cpuacct": shared}, None))
    assert group.directories == ("/c/cpu,cpuacct/aiocontainer/box",)


def test_only_the_controllers_asked_for_are_used() -> None:
    assert set(opened(HYBRID, controllers=["pids"]).paths) == {"pids"}


def test_a_controller_that_must_be_had_and_is_not_mounted_is_refused() -> None:
    with pytest.raises(ControllerMissing):
        opened(HYBRID, controllers=["hugetlb"])


def test_without_cgroups_nothing_can_be_limited() -> None:
    group = opened(NONE)
    group.create()
    group.apply(Resources())
    with pytest.raises(ControllerMissing):
        group.apply(Resources(pids_limit=5))
    with pytest.raises(ControllerMissing):
        opened(NONE, controllers=["pids"]).create()


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a/b", "/", "a\n", "a\0b", "x" * 256),
        *("tasks", "release_agent", "cgroup.procs", "memory.max", "cpu.stat"),
    ],
)
def test_names_that_could_reach_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "A-b_c.d:e@f", "x" * 255, "run-1", "ä ö"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("path", ["a/../b", "/..", "a//b", "./a", "/a/cgroup.procs"])
def test_parents_that_could_reach_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        check_parent(path)


@pytest.mark.parametrize(
    ("path", "clean"), [("/a/b/", "/a/b"), ("a", "a"), ("/", "/"), ("", "")]
)
def test_parents_lose_their_last_slash(path: str, clean: str) -> None:
    assert check_parent(path) == clean


def test_opening_touches_nothing(tmp_path: Path) -> None:
    layout = Layout({"pids": hierarchy(str(tmp_path))}, None)
    open_cgroup(layout, None, "box")
    assert list(tmp_path.iterdir()) == []


def test_this_machine_is_understood() -> None:
    layout = detect()
    assert layout.mode != "none"
    assert layout.controllers
