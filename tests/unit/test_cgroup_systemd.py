"""Names of units and slices, and where systemd puts them."""

from __future__ import annotations

import pytest

from aiocontainer.cgroups.detect import Hierarchy, Layout
from aiocontainer.cgroups.open import open_cgroup
from aiocontainer.cgroups.systemd import (
    SystemdCgroup,
    SystemdV1Cgroup,
    slice_path,
    unit_name,
)
from aiocontainer.cgroups.systemd_bus import bus_address
from aiocontainer.config import CgroupSettings
from aiocontainer.errors import ConfigError, UnsupportedFeature


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("box", "aiocontainer-box.scope"),
        ("a-b_c.d:e", "aiocontainer-a-b_c.d:e.scope"),
        ("a@b", "aiocontainer-a\\x40b.scope"),
        ("a\\b", "aiocontainer-a\\x5cb.scope"),
        ("é", "aiocontainer-\\xc3\\xa9.scope"),
    ],
)
def test_names_become_units_that_systemd_takes(name: str, unit: str) -> None:
    assert unit_name(name) == unit


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("system.slice", "/system.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
    ],
)
def test_a_dash_in_the_name_of_a_slice_is_a_level(name: str, path: str) -> None:
    assert slice_path(name) == path


@pytest.mark.parametrize(
    "name", ["", "system", "/a.slice", "a/b.slice", "a--b.slice", "-a.slice", ".slice"]
)
def test_what_is_no_slice_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        slice_path(name)


@pytest.mark.parametrize(
    ("own", "uid", "scope"),
    [
        ("/system.slice/x.service", 0, "/c/machine.slice/aiocontainer-box.scope"),
        (
            "/user.slice/user-7.slice/user@7.service/app.slice/x.scope",
            7,
            "/c/user.slice/user-7.slice/user@7.service/user.slice"
            "/aiocontainer-box.scope",
        ),
        (
            "/",
            7,
            "/c/user.slice/user-7.slice/user@7.service/user.slice"
            "/aiocontainer-box.scope",
        ),
    ],
)
def test_directories_are_known_before_systemd_is_asked(
    own: str, uid: int, scope: str
) -> None:
    v2 = Hierarchy("/c", "/", own, writable=True)
    group = SystemdCgroup(v2, "box", None, ["pids"], uid=uid)
    assert group.directories == (
        f"{scope}/aside",
        f"{scope}/box",
        f"{scope}/box/main",
    )
    assert group.entry().clone_directory == f"{scope}/box/main"


def mounted(name: str) -> Hierarchy:
    return Hierarchy(f"/c/{name}", "/", "/", writable=True)


def test_where_systemd_has_no_hierarchy_it_is_not_asked() -> None:
    hierarchy = Hierarchy("/c", "/", "/", writable=True)
    hybrid = Layout({"pids": hierarchy}, hierarchy)
    settings = CgroupSettings(mode="systemd")
    with pytest.raises(UnsupportedFeature):
        open_cgroup(hybrid, settings, "box")
    pure = Layout({}, hierarchy)
    assert isinstance(open_cgroup(pure, settings, "box"), SystemdCgroup)


@pytest.mark.parametrize("has_cgroup2", [True, False])
def test_on_v1_the_scope_is_in_each_hierarchy(has_cgroup2: bool) -> None:
    v1 = {name: mounted(name) for name in ("pids", "freezer", "name=systemd")}
    layout = Layout(v1, mounted("unified") if has_cgroup2 else None)
    settings = CgroupSettings(mode="systemd")
    group = open_cgroup(layout, settings, "box")
    assert isinstance(group, SystemdV1Cgroup)
    scope = "machine.slice/aiocontainer-box.scope"
    twin = [f"/c/unified/{scope}/{end}" for end in ("aside", "box") if has_cgroup2]
    assert sorted(group.directories) == sorted(
        [f"/c/pids/{scope}/box", f"/c/freezer/{scope}/box", *twin]
    )
    tasks = group.entry().join_files
    assert f"/c/name=systemd/{scope}/tasks" in tasks
    assert not any("aside" in file for file in tasks)
    run = group.child("run").entry().join_files
    assert f"/c/name=systemd/{scope}/tasks" in run


def test_a_users_own_manager_has_no_controller_of_v1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layout = Layout({name: mounted(name) for name in ("pids", "name=systemd")}, None)
    monkeypatch.setattr("os.geteuid", lambda: 7)
    with pytest.raises(UnsupportedFeature, match="delegates no controller"):
        open_cgroup(layout, CgroupSettings(mode="systemd"), "box")


def test_systemd_cannot_be_asked_without_waiting() -> None:
    hierarchy = Hierarchy("/c", "/", "/", writable=True)
    group = SystemdCgroup(hierarchy, "box", None, ["pids"])
    with pytest.raises(UnsupportedFeature):
        group.create()


def test_the_bus_is_the_systems_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert bus_address(0) == "unix:path=/run/dbus/system_bus_socket"
    assert bus_address(7) == "unix:path=/run/user/7/bus"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/elsewhere")
    assert bus_address(7) == "unix:path=/elsewhere/bus"
