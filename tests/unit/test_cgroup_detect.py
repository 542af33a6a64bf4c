"""What is mounted, read from texts of real and of imagined machines."""

from pathlib import Path

import pytest

from aiocontainer.cgroups.detect import Hierarchy, Layout, parse_layout

PROC = Path(__file__).parent.parent / "data/proc"


def captured(machine: str) -> Layout:
    folder = PROC / machine / "self"
    return parse_layout(
        (folder / "mountinfo").read_text(), (folder / "cgroup").read_text()
    )


@pytest.mark.parametrize(
    ("machine", "mode"), [("hybrid", "hybrid"), ("pure", "v2"), ("systemd", "v2")]
)
def test_the_kind_of_machine_is_told_from_its_mounts(machine: str, mode: str) -> None:
    assert captured(machine).mode == mode


def test_a_machine_without_cgroup_mounts_has_none() -> None:
    assert parse_layout("1 0 0:1 / / rw - ext4 /dev/vda rw\n", "0::/\n").mode == "none"


def test_v1_controllers_alone_are_not_hybrid() -> None:
    layout = parse_layout(
        "32 31 0:29 / /c/cpu rw - cgroup cgroup rw,cpu\n", "1:cpu:/\n"
    )
    assert layout.mode == "v1"
    assert layout.v2 is None


def test_a_named_hierarchy_alone_does_not_make_a_v1_machine() -> None:
    mountinfo = (
        "1 0 0:1 / /c/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "2 0 0:2 / /c/unified rw - cgroup2 cgroup2 rw\n"
    )
    assert parse_layout(mountinfo, "1:name=systemd:/\n0::/\n").mode == "v2"


def test_own_cgroup_differs_from_hierarchy_to_hierarchy() -> None:
    v1 = captured("hybrid").v1
    assert v1["memory"].own_directory == "/sys/fs/cgroup/memory/session"
    assert v1["cpu"].own_directory == "/sys/fs/cgroup/cpu"
    assert v1["name=systemd"].own_directory == "/sys/fs/cgroup/systemd"


def test_controllers_do_not_include_named_hierarchies() -> None:
    controllers = captured("hybrid").controllers
    assert "memory" in controllers
    assert not any("=" in name for name in controllers)


def test_controllers_mounted_together_share_a_hierarchy() -> None:
    mountinfo = "1 0 0:1 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    v1 = parse_layout(mountinfo, "4:cpu,cpuacct:/a\n").v1
    assert v1["cpu"] is v1["cpuacct"]
    assert v1["cpu"].own_directory == "/c/cpu,cpuacct/a"


@pytest.mark.parametrize(
    ("root", "own", "directory"),
    [
        pytest.param("/", "/", "/c", id="root"),
        pytest.param("/", "/a/b", "/c/a/b", id="below"),
        pytest.param("/docker/x", "/docker/x", "/c", id="bind mount of our own"),
        pytest.param(
            "/docker/x", "/docker/x/y", "/c/y", id="bind mount of the one above"
        ),
        pytest.param("/docker/x", "/docker/xy", "/c", id="bind mount of a namesake"),
        pytest.param("/", "/../outside", "/c", id="outside our cgroup namespace"),
        pytest.param("/..", "/", "/c", id="mount from above our cgroup namespace"),
    ],
)
def test_own_directory_is_what_the_mount_shows_of_our_cgroup(
    root: str, own: str, directory: str
) -> None:
    assert Hierarchy("/c", root, own, writable=True).own_directory == directory


def test_the_mount_that_shows_our_own_cgroup_is_taken() -> None:
    mountinfo = (
        "1 0 0:1 /other /elsewhere rw - cgroup2 cgroup2 rw\n"
        "2 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "3 0 0:1 / /copy rw - cgroup2 cgroup2 rw\n"
    )
    v2 = parse_layout(mountinfo, "0::/a\n").v2
    assert v2 is not None
    assert v2.mount == "/sys/fs/cgroup"


def test_a_writable_mount_is_taken_before_a_read_only_one() -> None:
    mountinfo = (
        "1 0 0:1 / /first ro,nosuid - cgroup2 cgroup2 rw\n"
        "2 0 0:1 / /second rw - cgroup2 cgroup2 rw\n"
    )
    v2 = parse_layout(mountinfo, "0::/\n").v2
    assert v2 is not None
    assert (v2.mount, v2.writable) == ("/second", True)


def test_escaped_characters_of_mount_points_are_undone() -> None:
    mountinfo = r"1 0 0:1 /a\040b /with\040space\134and\011tab rw - cgroup2 none rw"
    v2 = parse_layout(mountinfo, "0::/\n").v2
    assert v2 is not None
    assert v2.mount == "/with space\\and\ttab"
    assert v2.root == "/a b"


def test_optional_fields_of_mounts_do_not_shift_the_others() -> None:
    mountinfo = "1 0 0:1 / /c rw shared:5 master:2 propagate_from:1 - cgroup2 none rw\n"
    v2 = parse_layout(mountinfo, "0::/x\n").v2
    assert v2 is not None
    assert v2.own_directory == "/c/x"


def test_a_path_with_colons_is_read_whole() -> None:
    mountinfo = "1 0 0:1 / /c rw - cgroup2 none rw\n"
    v2 = parse_layout(mountinfo, "0::/system.slice:docker:a1\n").v2
    assert v2 is not None
    assert v2.own == "/system.slice:docker:a1"
