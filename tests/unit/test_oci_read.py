"""What an OCI document says, in the words of our models."""

import json
from pathlib import Path
from typing import Any

import pytest

from aiocontainer.config import Config, IdMapping, Namespaces
from aiocontainer.config.bundle import Bundle, read_process, read_resources
from aiocontainer.errors import ConfigError, UnsupportedFeature

from ..support.oci_documents import SAMPLES, minimal, sample, with_field


def meaning(path: str, value: Any) -> Config:
    return Config.from_oci(with_field(path, value))


MEMORY = "linux.resources.memory"
CPU = "linux.resources.cpu"


@pytest.mark.parametrize(
    ("document", "field", "value"),
    [
        # (path, value) in OCI -> field of Config (dots lead on), and what it is
        pytest.param((path, given), field, value, id=f"{path}-{number}")
        for number, (path, given, field, value) in enumerate(
            [
                ("root.readonly", True, "rootfs.readonly", True),
                ("hostname", "box", "hostname", "box"),
                ("domainname", "example.org", "domainname", "example.org"),
                ("hostname", "", "hostname", None),
                ("process.cwd", "/work", "cwd", "/work"),
                ("process.env", ["A=1", "B=x=y", "A=2"], "env", {"A": "2", "B": "x=y"}),
                ("process.env", [], "env", {}),
                ("process.env", None, "env", {}),
                ("process.user", {"uid": 3, "gid": 4}, "user", "3:4"),
                ("process.user", {"umask": 63}, "umask", 0o77),
                ("process.user", {}, "umask", 0o22),
                ("process.user", {"additionalGids": [7, 9]}, "groups", (7, 9)),
                ("process.noNewPrivileges", True, "no_new_privs", True),
                ("process.noNewPrivileges", None, "no_new_privs", False),
                ("process.oomScoreAdj", -5, "oom_score_adj", -5),
                ("process.oomScoreAdj", None, "oom_score_adj", None),
                ("process.scheduler", {"policy": "SCHED_IDLE"},
                 "scheduler.policy", "SCHED_IDLE"),
                ("process.ioPriority", {"class": "IOPRIO_CLASS_RT", "priority": 3},
                 "io_priority.level", 3),
                ("process.execCPUAffinity", {"final": "0, 3"},
                 "exec_cpu_affinity.final", "0,3"),
                ("linux.seccomp", None, "seccomp", None),
                ("linux.maskedPaths", None, "masked_paths", ()),
                ("linux.maskedPaths", ["/proc/x"], "masked_paths", ("/proc/x",)),
                ("linux.readonlyPaths", None, "readonly_paths", ()),
                ("linux.rootfsPropagation", "rshared", "rootfs_propagation", "shared"),
                ("linux.rootfsPropagation", "slave", "rootfs_propagation", "slave"),
                ("linux.rootfsPropagation", "", "rootfs_propagation", "private"),
                ("linux.personality", {"domain": "LINUX32"},
                 "personality.domain", "LINUX32"),
                ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0"},
                 "memory_policy.nodes", "0"),
                ("linux.cgroupsPath", "/a/b/c", "cgroup.parent", "/a/b"),
                ("linux.cgroupsPath", "/a/b/c/", "cgroup.name", "c"),
                ("linux.cgroupsPath", "/c", "cgroup.parent", "/"),
                ("linux.cgroupsPath", "a/c", "cgroup.parent", "a"),
                ("linux.cgroupsPath", "c", "cgroup.parent", None),
                ("linux.cgroupsPath", "", "cgroup.name", None),
                (f"{MEMORY}.limit", 4096, "resources.memory.limit_bytes", 4096),
                (f"{MEMORY}.limit", -1, "resources.memory.limit_bytes", "unlimited"),
                (f"{MEMORY}.limit", 0, "resources.memory.limit_bytes", None),
                (MEMORY, {"limit": 4096, "swap": 8192},
                 "resources.memory.swap_bytes", 4096),
                (MEMORY, {"limit": 4096, "swap": 4096},
                 "resources.memory.swap_bytes", 0),
                (f"{MEMORY}.swap", -1, "resources.memory.swap_bytes", "unlimited"),
                (f"{MEMORY}.swap", 0, "resources.memory.swap_bytes", None),
                (f"{MEMORY}.disableOOMKiller", True,
                 "resources.memory.oom_kill_disable", True),
                (f"{MEMORY}.useHierarchy", True,
                 "resources.memory.limit_bytes", None),
                (f"{CPU}.shares", 1, "resources.cpu.shares", 2),
                (f"{CPU}.shares", 2**40, "resources.cpu.shares", 262_144),
                (f"{CPU}.shares", 0, "resources.cpu.shares", None),
                (f"{CPU}.quota", -1, "resources.cpu.quota_us", "unlimited"),
                (f"{CPU}.quota", 0, "resources.cpu.quota_us", None),
                (f"{CPU}.period", 50_000, "resources.cpu.period_us", 50_000),
                (f"{CPU}.idle", 1, "resources.cpu.idle", True),
                (f"{CPU}.cpus", "", "resources.cpu.cpus", None),
                ("linux.resources.pids.limit", -1, "resources.pids_limit", "unlimited"),
                ("linux.resources.pids.limit", 0, "resources.pids_limit", 1),
                ("linux.resources.pids", None, "resources.pids_limit", None),
                ("linux.resources.blockIO.weight", 0,
                 "resources.block_io.weight", None),
                ("linux.resources.unified", {"memory.high": "1"},
                 "resources.unified", {"memory.high": "1"}),
            ]
        )
    ],
)  # fmt: skip
def test_a_field_means_the_same(
    document: tuple[str, Any], field: str, value: Any
) -> None:
    found: Any = meaning(*document)
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value


def test_what_is_absent_is_absent_and_not_our_default() -> None:
    config = Config.from_oci(minimal())
    assert config.system_mounts == config.mounts == ()
    assert config.namespaces == Namespaces(
        mount="new",
        pid="host",
        uts="new",
        ipc="host",
        network="host",
        cgroup="host",
        user="host",
        time="host",
    )
    assert not any(getattr(config.capabilities, s) for s in ("bounding", "permitted"))
    assert config.seccomp is None
    assert config.sysctl == {}
    assert config.rlimits == {}


def test_namespaces_are_new_joined_or_the_programs_own() -> None:
    wanted = [{"type": "mount"}, {"type": "pid", "path": ""}, {"type": "user"}]
    mapping = {"containerID": 0, "hostID": 9, "size": 2}
    document = with_field("linux.namespaces", wanted)
    document["linux"] |= {"uidMappings": [mapping], "gidMappings": [mapping]}
    document["linux"]["namespaces"].append({"type": "ipc", "path": "/proc/7/ns/ipc"})
    config = Config.from_oci(document)
    spaces = config.namespaces
    assert (spaces.pid, spaces.ipc, spaces.uts) == ("new", "/proc/7/ns/ipc", "host")
    assert config.uid_mappings == (IdMapping(container_id=0, host_id=9, size=2),)


def test_rlimits_are_pairs_and_the_largest_number_is_no_limit() -> None:
    limits = [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
        {"type": "RLIMIT_NOFILE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]
    found = meaning("process.rlimits", limits).rlimits
    assert (found["RLIMIT_CORE"].soft, found["RLIMIT_CORE"].hard) == (0, None)
    assert found["RLIMIT_NOFILE"].soft is None


def test_relative_paths_are_taken_from_the_bundle(tmp_path: Path) -> None:
    mount = {"destination": "data", "source": "vol", "options": ["bind"]}
    document = with_field("mounts", [mount]) | {"root": {"path": "rootfs"}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    for read in (tmp_path, str(tmp_path), tmp_path / "config.json"):
        bundle = Bundle.read(read)
        assert bundle.config.bundle == str(tmp_path)
        assert bundle.config.rootfs.path == f"{tmp_path}/rootfs"  # type: ignore[attr-defined]
        assert bundle.config.mounts[0].source == f"{tmp_path}/vol"
        assert bundle.config.mounts[0].destination == "/data"
        assert bundle.warnings == (
            "mounts[0].destination: is relative, and taken from the root directory",
        )
    assert Config.from_oci(document, bundle=tmp_path) == bundle.config


def test_a_document_is_taken_as_text_bytes_or_mapping() -> None:
    text = json.dumps(minimal())
    wanted = Config.from_oci(minimal())
    assert Config.from_oci(text) == Config.from_oci(text.encode()) == wanted


def test_devices_are_made_but_may_be_used_only_if_the_rules_say_so() -> None:
    fuse = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}
    config = meaning("linux.devices", [fuse])
    assert config.system_devices[0].path == "/dev/fuse"
    assert {d.path for d in config.system_devices} > {"/dev/null", "/dev/tty"}
    rules = config.resources.devices
    assert rules[0].model_dump(exclude_defaults=True) == {"allow": False}
    assert not [rule for rule in rules if rule.major == 10]
    assert [rule for rule in rules if rule.major == 136]


def test_device_rules_keep_their_order_and_nothing_is_said_twice() -> None:
    rules = [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": False, "type": "c", "major": 5, "access": "w"},
    ]
    found = meaning("linux.resources.devices", rules).resources.devices
    assert not found[0].allow
    assert [(rule.major, rule.access) for rule in found[1:3]] == [(1, "rwm"), (5, "w")]
    assert [rule.minor for rule in found if rule.major == 1].count(3) == 1
    # Terminals were refused in part, and are what a runtime has to supply.
    assert [rule.minor for rule in found[3:] if rule.major == 5] == [0, 1, 2]


def test_all_devices_allowed_is_that() -> None:
    everything = [{"allow": True, "access": "rwm"}]
    rules = meaning("linux.resources.devices", everything).resources.devices
    assert [rule.model_dump(exclude_defaults=True) for rule in rules] == [
        {"allow": True}
    ]


def test_unknown_capabilities_are_left_out_with_a_warning() -> None:
    sets = {"bounding": ["CAP_KILL", "CAP_FLY"], "ambient": ["CAP_KILL"]}
    bundle = Bundle.read(with_field("process.capabilities", sets))
    assert bundle.config.capabilities.bounding == {"CAP_KILL"}
    assert bundle.config.capabilities.ambient == frozenset()
    assert [warning.split(":")[0] for warning in bundle.warnings] == [
        "process.capabilities.bounding[1]",
        "process.capabilities.ambient[0]",
    ]


def test_capabilities_that_can_not_be_given_are_left_out_where_that_is_known() -> None:
    sets = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"]}
    document = with_field("process.capabilities", sets)
    bundle = Bundle.read(document, grantable={"CAP_CHOWN"})
    assert bundle.config.capabilities.bounding == {"CAP_CHOWN"}
    assert bundle.config.capabilities.permitted == frozenset()
    assert bundle.warnings == (
        "process.capabilities.bounding[0]: CAP_KILL can't be given, left out",
        "process.capabilities.permitted[0]: CAP_KILL can't be given, left out",
    )
    _, warnings = read_process(document["process"], {"CAP_CHOWN"})
    assert len(warnings) == 2


def test_unknown_fields_are_ignored_with_a_warning() -> None:
    document = with_field("linux.resources.memory.softness", 3)
    document |= {"vendor": {}, "annotations": {"run.oci.handler": "krun"}}
    warnings = Bundle.read(document).warnings
    assert sorted(warnings) == [
        "annotations[run.oci.handler]: isn't acted on",
        "linux.resources.memory.softness: unknown, and ignored",
        "vendor: unknown, and ignored",
    ]


def test_warnings_are_bounded() -> None:
    document = minimal() | {f"x{number}": 1 for number in range(1000)}
    assert len(Bundle.read(document).warnings) == 100


@pytest.mark.covers("ociVersion")
def test_a_bundle_has_its_program_and_terminal() -> None:
    bundle = Bundle.read(sample("everything"), bundle="/bundles/x")
    process = bundle.process
    assert process is not None
    assert (process.args, process.terminal) == (("sh",), (24, 80))
    assert bundle.config.annotations == {"com.example.key": "value"}
    assert bundle.version == "1.3.0"
    document = sample("everything")
    document["process"]["consoleSize"] = {"height": 0, "width": 0}
    assert Bundle.read(document, bundle="/b").process.terminal is True  # type: ignore[union-attr]
    del document["process"]["args"]
    assert Bundle.read(document, bundle="/b").process is None


def test_a_document_without_a_process_is_a_container_all_the_same() -> None:
    document = minimal()
    del document["process"]
    bundle = Bundle.read(document)
    assert bundle.process is None
    assert bundle.config.no_new_privs  # nothing is said, so the safe choice stays


def test_systemd_paths_name_a_slice_and_a_scope() -> None:
    def cgroup(path: str) -> tuple[str | None, str | None]:
        document = with_field("linux.cgroupsPath", path)
        found = Config.from_oci(document, cgroup_manager="systemd").cgroup
        assert found.mode == "systemd"
        return found.parent, found.name

    assert cgroup("user.slice:libpod:1f") == ("user.slice", "libpod-1f.scope")
    assert cgroup("::1f") == (None, "1f.scope")
    assert cgroup("") == (None, None)


def test_annotations_set_properties_of_the_systemd_unit() -> None:
    document = minimal()
    document["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 5"}
    found = Config.from_oci(document, cgroup_manager="systemd")
    assert found.cgroup.systemd_properties == {"TimeoutStopUSec": 5}
    assert Config.from_oci(document).cgroup.systemd_properties == {}
    document["annotations"] = {"org.systemd.property.ExecStart": "'/bin/x'"}
    with pytest.raises(ConfigError, match=r"annotations\[org.systemd.property.Exec"):
        Config.from_oci(document, cgroup_manager="systemd")


def test_no_cgroup_where_none_is_wanted() -> None:
    assert Config.from_oci(minimal(), cgroup_manager="disabled").cgroup.mode == "off"


def test_a_document_for_exec_has_changes_of_the_containers_settings() -> None:
    process, warnings = read_process(
        {"args": ["id"], "cwd": "/tmp", "user": {"uid": 5}, "terminal": True}
    )
    assert (process.args, process.terminal, warnings) == (("id",), True, ())
    assert process.changes["user"] == "5:0"
    assert process.changes["env"] == {}
    assert "seccomp" not in process.changes
    with pytest.raises(ConfigError, match=r"^args: is missing"):
        read_process({"cwd": "/"})
    with pytest.raises(ConfigError, match=r"^scheduler\.priority: "):
        read_process({"args": ["x"], "cwd": "/", "scheduler": {"policy": "SCHED_FIFO"}})


def test_a_document_for_update_leaves_device_rules_alone() -> None:
    resources, _ = read_resources({"memory": {"limit": 4096}})
    assert resources.memory.limit_bytes == 4096
    assert "devices" not in resources.model_fields_set
    with pytest.raises(ConfigError, match=r"^cpu\.burst: is more than quota$"):
        read_resources({"cpu": {"quota": 5000, "burst": 6000}})


def test_hierarchy_switched_off_is_refused() -> None:
    with pytest.raises(UnsupportedFeature, match=r"linux\.resources\.memory\.useHier"):
        meaning(f"{MEMORY}.useHierarchy", False)


@pytest.mark.parametrize(("name", "manager"), SAMPLES.items())
def test_what_engines_write_is_read(name: str, manager: Any) -> None:
    bundle = Bundle.read(sample(name), bundle="/b", cgroup_manager=manager)
    assert bundle.process is not None
    assert bundle.config.namespaces.mount == "new"
