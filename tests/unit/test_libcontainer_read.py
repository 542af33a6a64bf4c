"""libcontainer's own documents, in the words of our models."""

from pathlib import Path
from typing import Any

import pytest

from aiocontainer.config import Config, Mount, Namespaces
from aiocontainer.errors import ConfigError, UnsupportedFeature

from ..support.bad_libcontainer import BAD_LIBCONTAINER, UNSUPPORTED
from ..support.libcontainer_documents import (
    FOLDER,
    SAMPLES,
    minimal,
    sample,
    with_field,
)


@pytest.mark.parametrize(
    ("document", "field", "value"),
    [
        pytest.param((path, given), field, value, id=f"{path}-{number}")
        for number, (path, given, field, value) in enumerate(
            [
                ("readonlyfs", True, "rootfs.readonly", True),
                ("no_pivot_root", True, "pivot_root", False),
                ("hostname", "", "hostname", None),
                ("hostname", "box", "hostname", "box"),
                ("parent_death_signal", 9, "parent_death_signal", 9),
                ("parent_death_signal", 0, "parent_death_signal", None),
                ("privatefs", True, "rootfs_propagation", "private"),
                ("privatefs", False, "rootfs_propagation", "slave"),
                ("rootPropagation", 1 << 20 | 1 << 14, "rootfs_propagation", "shared"),
                ("additional_groups", ["audio", "7", 8], "groups", ("audio", 7, 8)),
                ("additional_groups", None, "groups", ()),
                ("mask_paths", ["/x"], "masked_paths", ("/x",)),
                ("readonly_paths", None, "readonly_paths", ()),
                ("system_properties", {"net.a": "1"}, "sysctl", {"net.a": "1"}),
                ("sysctl", {"net.a": "1"}, "sysctl", {"net.a": "1"}),
                ("no_new_keyring", True, "session_keyring", False),
                ("no_new_privileges", True, "no_new_privs", True),
                ("umask", 0o77, "umask", 0o77),
                ("oom_score_adj", 5, "oom_score_adj", 5),
                ("process_label", "u:r:t:s0", "selinux_label", "u:r:t:s0"),
                ("apparmor_profile", "x", "apparmor_profile", "x"),
                ("seccomp", None, "seccomp", None),
                ("seccomp", {"syscalls": []}, "seccomp", None),
                ("capabilities", ["KILL"], "capabilities.effective", {"CAP_KILL"}),
                ("capabilities", ["CAP_KILL"], "capabilities.inheritable", frozenset()),
                ("capabilities", {"Inheritable": ["KILL"]},
                 "capabilities.inheritable", {"CAP_KILL"}),
                ("capabilities", None, "capabilities.bounding", frozenset()),
                ("cgroups.name", "c", "cgroup.name", "c"),
                ("cgroups", {"name": "c", "parent": "/a"}, "cgroup.parent", "/a"),
                ("cgroups", {"name": "c", "parent": "a"}, "cgroup.parent", "a"),
                ("cgroups.path", "/a/b", "cgroup.name", "b"),
                ("cgroups.memory", 0, "resources.memory.limit_bytes", None),
                ("cgroups.memory", -1, "resources.memory.limit_bytes", "unlimited"),
                ("cgroups", {"memory": 10, "memory_swap": 30},
                 "resources.memory.swap_bytes", 20),
                ("cgroups.memory_swap", -1, "resources.memory.swap_bytes", "unlimited"),
                ("cgroups.memory_swappiness", 2**64 - 1,
                 "resources.memory.swappiness", None),
                ("cgroups.memory_swappiness", 7, "resources.memory.swappiness", 7),
                ("cgroups.cpu_shares", 1, "resources.cpu.shares", 2),
                ("cgroups.cpu_rt_quota", 9, "resources.cpu.realtime_runtime_us", 9),
                ("cgroups.pids_limit", -1, "resources.pids_limit", "unlimited"),
                ("cgroups.net_cls_classid", "0x10", "resources.network.class_id", 16),
                ("cgroups.resources", {"memory": 7}, "resources.memory.limit_bytes", 7),
                ("cgroups.Resources", {"memory": 7}, "resources.memory.limit_bytes", 7),
                ("cgroups.freezer", "THAWED", "resources.pids_limit", None),
                ("environment", ["A=1", "A=2"], "env", {"A": "2"}),
                ("user", "daemon:staff", "user", "daemon:staff"),
            ]
        )
    ],
)  # fmt: skip
def test_a_field_means_the_same(
    document: tuple[str, Any], field: str, value: Any
) -> None:
    found: Any = Config.from_libcontainer(with_field(*document))
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (0, ()),
        (14, ("nosuid", "nodev", "noexec")),
        (15, ("ro", "nosuid", "nodev", "noexec")),
        (4096, ("bind",)),
        (4096 | 16384, ("rbind",)),
        (1 << 24, ("strictatime",)),
        (1 << 19, ("slave",)),
        (1 << 18 | 16384, ("rprivate",)),
    ],
)
def test_mount_flags_become_words(flags: int, options: tuple[str, ...]) -> None:
    mount = {"destination": "/x", "device": "bind", "source": "/a", "flags": flags}
    found = Config.from_libcontainer(with_field("mounts", [mount])).mounts[0]
    assert found.options == options


def test_mount_data_become_options_and_propagation_is_a_list() -> None:
    mount = {
        "destination": "x",
        "device": "tmpfs",
        "source": "tmpfs",
        "data": "mode=755,size=1k",
        "propagation_flags": [1 << 18, 1 << 19 | 16384],
    }
    found = Config.from_libcontainer(with_field("mounts", [mount]))
    assert found.mounts == (
        Mount(
            destination="/x",
            type="tmpfs",
            source="tmpfs",
            options=("private", "rslave", "mode=755", "size=1k"),
        ),
    )
    assert found.system_mounts == ()


def test_volumes_are_labelled_and_commands_run_around_mounts() -> None:
    config = Config.from_libcontainer(sample("2015-bridge"))
    volume = config.mounts[-1]
    assert (volume.relabel, config.pivot_dir) == ("Z", "/pivot")
    command = volume.premount_commands[0]
    assert (command.path, command.args, command.directory) == (
        "/bin/true",
        ("-x",),
        "/srv",
    )
    assert command.env == {"A": "b"}


def test_namespaces_are_a_list_or_an_object() -> None:
    listed = Config.from_libcontainer(minimal()).namespaces
    named = {"NEWNS": True, "NEWNET": True, "NEWUTS": True, "NEWPID": False}
    assert Config.from_libcontainer(with_field("namespaces", named)).namespaces == (
        listed
    )
    joined = [{"type": "NEWNS"}, {"type": "NEWPID", "path": "/proc/7/ns/pid"}]
    found = Config.from_libcontainer(with_field("namespaces", joined)).namespaces
    assert found == Namespaces(
        mount="new",
        pid="/proc/7/ns/pid",
        **dict.fromkeys(("uts", "ipc", "network", "cgroup"), "host"),
    )


def test_devices_are_those_named_and_rules_refuse_the_rest() -> None:
    config = Config.from_libcontainer(sample("2015"))
    assert {d.path for d in config.system_devices} >= {"/dev/fuse", "/dev/null"}
    assert config.system_devices[1].file_mode == 0o666
    rules = config.resources.devices
    assert not rules[0].allow
    assert (rules[1].type, rules[1].major, rules[1].access) == ("c", None, "m")
    everything = {"allow_all_devices": True, "denied_devices": [{"type": 98}]}
    rules = Config.from_libcontainer(with_field("cgroups", everything)).resources
    assert [(r.allow, r.type) for r in rules.devices] == [(True, "a"), (False, "b")]


def test_networks_and_routes_are_read() -> None:
    network = Config.from_libcontainer(sample("2015-bridge")).network
    assert [n.kind for n in network] == ["loopback", "veth", "route"]  # type: ignore[attr-defined]
    veth = network[1]
    assert (veth.bridge, veth.mtu, veth.hairpin) == ("docker0", 1500, True)  # type: ignore[attr-defined]
    assert str(veth.address6) == "fd00::65/64"  # type: ignore[attr-defined]
    older = Config.from_libcontainer(sample("2014"), rootfs="/x").network
    assert older[1].bridge == "docker0"  # type: ignore[attr-defined]


def test_limits_written_as_text_are_read() -> None:
    found = Config.from_libcontainer(sample("2015-bridge")).resources
    assert found.block_io.weight_devices[0].weight == 400
    rates = found.block_io.throttle_read_bps
    assert [rate.bytes_per_s for rate in rates] == [1_048_576, "unlimited"]
    assert found.network.class_id == 0x100001


def test_a_filter_of_numbers_allows_the_rest() -> None:
    found = Config.from_libcontainer(sample("2015-bridge")).seccomp
    assert found is not None
    assert found.default_action == "ALLOW"
    assert [(r.names, r.action, r.errno) for r in found.syscalls] == [
        (("reboot",), "ERRNO", 1),
        (("socket",), "KILL_THREAD", None),
    ]


def test_a_filter_of_names_is_that_of_runc() -> None:
    found = Config.from_libcontainer(sample("runc")).seccomp
    assert found is not None
    assert found.default_action == "ERRNO"
    assert found.architectures == ("X86_64", "X86")
    assert [rule.action for rule in found.syscalls] == ["ALLOW", "ALLOW", "ERRNO"]


def test_the_first_documents_have_the_librarys_own_mounts() -> None:
    config = Config.from_libcontainer(sample("2014"), rootfs="/srv/x")
    assert config.system_mounts == Config(rootfs="/srv/x").system_mounts
    assert [m.destination for m in config.mounts] == ["/tmp", "/data"]
    assert config.masked_paths  # restrict_sys
    assert config.user == "daemon"


def test_the_root_is_where_the_file_is_unless_said(tmp_path: Path) -> None:
    path = tmp_path / "container.json"
    path.write_text((FOLDER / "2014.json").read_text())
    assert Config.from_libcontainer(tmp_path).rootfs.path == str(tmp_path)  # type: ignore[attr-defined]
    other = Config.from_libcontainer(path, rootfs="/srv/other")
    assert other.rootfs.path == "/srv/other"  # type: ignore[attr-defined]


def test_systemd_scopes_are_called_as_libcontainer_called_them() -> None:
    document = with_field("cgroups", {"name": "c", "parent": "p", "slice": "a.slice"})
    found = Config.from_libcontainer(document, cgroup_manager="systemd").cgroup
    assert (found.parent, found.name) == ("a.slice", "p-c.scope")


@pytest.mark.parametrize("name", SAMPLES)
def test_each_spelling_is_read(name: str) -> None:
    config = Config.from_libcontainer(sample(name), rootfs="/srv/x")
    assert config.namespaces.mount == "new"
    assert config.capabilities.bounding & {"CAP_KILL", "CAP_CHOWN"}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        pytest.param(f, w, id=f"{n}-{f}"[:70])
        for n, (f, w) in enumerate(BAD_LIBCONTAINER)
    ],
)
def test_a_wrong_document_is_named_by_its_path(field: str, wrong: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_libcontainer(wrong)
    assert caught.value.field == field
    assert caught.value.reason
    assert not caught.value.reason.endswith(".")


def test_the_table_of_wrong_documents_is_long() -> None:
    assert len(BAD_LIBCONTAINER) > 100


@pytest.mark.parametrize(("path", "value", "named"), UNSUPPORTED)
def test_what_is_not_acted_on_is_refused_and_named(
    path: str, value: Any, named: str | None
) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        Config.from_libcontainer(with_field(path, value))
    assert caught.value.feature == (named or path)
