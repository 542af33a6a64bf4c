"""What a good configuration means: defaults, spellings, derived settings."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

import aiocontainer.config
from aiocontainer.config import (
    CAPABILITIES,
    DEFAULT_CAPABILITIES,
    DEFAULT_DEVICE_RULES,
    DEFAULT_SECCOMP,
    Capabilities,
    Config,
    CpuLimits,
    DirectoryRootfs,
    FrozenMap,
    HostRootfs,
    IdMapping,
    MemoryLimits,
    Mount,
    Namespaces,
    OverlayRootfs,
    ProcessSettings,
    Resources,
    Rlimit,
    Rootfs,
    UserName,
    device_rules,
    override,
    parse_user,
    replace,
    sysctl_path,
)

from ..support.configs import RICH

SRV = Config(rootfs="/srv/x")


def test_a_rootfs_alone_is_the_safe_choice() -> None:
    spaces = SRV.namespaces
    own = (spaces.mount, spaces.pid, spaces.uts, spaces.ipc, spaces.network)
    assert {*own, spaces.cgroup} == {"new"}
    assert SRV.no_new_privs
    assert SRV.seccomp is DEFAULT_SECCOMP
    assert SRV.capabilities is DEFAULT_CAPABILITIES
    assert "/proc/kcore" in SRV.masked_paths
    assert "/proc/sys" in SRV.readonly_paths
    assert SRV.session_keyring
    assert SRV.devices == SRV.mounts == ()


DANGEROUS = """
SYS_ADMIN SYS_PTRACE SYS_MODULE NET_ADMIN NET_RAW MKNOD DAC_READ_SEARCH BPF SETFCAP
AUDIT_WRITE SYS_RESOURCE
"""


@pytest.mark.parametrize("name", DANGEROUS.split())
def test_the_dangerous_capabilities_have_to_be_asked_for(name: str) -> None:
    assert f"CAP_{name}" not in DEFAULT_CAPABILITIES.bounding


def test_capability_numbers_are_those_of_the_kernel() -> None:
    assert CAPABILITIES["CAP_CHOWN"] == 0
    assert CAPABILITIES["CAP_SYS_ADMIN"] == 21
    assert CAPABILITIES["CAP_AUDIT_READ"] == 37
    assert CAPABILITIES["CAP_CHECKPOINT_RESTORE"] == 40
    assert len(CAPABILITIES) == 41


def test_capability_names_are_taken_in_any_spelling() -> None:
    sets = Capabilities.of("chown", "CAP_KILL", "Cap_Setuid")
    assert sets.bounding == {"CAP_CHOWN", "CAP_KILL", "CAP_SETUID"}
    assert sets.effective == sets.permitted == sets.bounding
    assert sets.inheritable == sets.ambient == frozenset()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        pytest.param("/srv/x", DirectoryRootfs(path="/srv/x"), id="text"),
        pytest.param(Path("/srv/x"), DirectoryRootfs(path="/srv/x"), id="path"),
        pytest.param("/srv//y/../x/", DirectoryRootfs(path="/srv/x"), id="untidy"),
        pytest.param("//srv/x", DirectoryRootfs(path="/srv/x"), id="two slashes"),
        pytest.param(
            {"kind": "overlay", "lower": ["/a"]},
            OverlayRootfs(lower=["/a"]),
            id="mapping",
        ),
        pytest.param(Rootfs.host(["/opt"]), HostRootfs(extra=["/opt"]), id="host"),
        pytest.param(
            Rootfs.host(["/etc/ssl/certs"]),
            HostRootfs(extra=["/etc/ssl/certs"]),
            id="a part of etc",
        ),
    ],
)
def test_a_rootfs_can_be_said_in_several_ways(given: Any, meant: Rootfs) -> None:
    assert Config(rootfs=given).rootfs == meant


def test_shorthands_are_fields_of_resources() -> None:
    resources = Config(rootfs="/x", memory="64MiB", cpus=1.5, pids=32).resources
    assert resources.memory == MemoryLimits(limit_bytes=64 << 20)
    assert resources.cpu == CpuLimits(quota_us=150_000, period_us=100_000)
    assert resources.pids_limit == 32


def test_shorthands_and_resources_may_agree() -> None:
    resources = Resources(
        memory=MemoryLimits(limit_bytes=1 << 20, swap_bytes=0),
        cpu=CpuLimits(period_us=10_000),
    )
    merged = Config(rootfs="/x", memory="1MiB", cpus=0.5, resources=resources).resources
    assert merged.memory == resources.memory
    assert merged.cpu == CpuLimits(quota_us=5_000, period_us=10_000)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0", UserName(0, None)),
        ("1000:1000", UserName(1000, 1000)),
        ("007", UserName(7, None)),
        ("4294967294", UserName(4294967294, None)),
        ("app", UserName("app", None)),
        ("app:staff", UserName("app", "staff")),
        ("app:0", UserName("app", 0)),
        ("0:staff", UserName(0, "staff")),
        ("www-data", UserName("www-data", None)),
        ("host$", UserName("host$", None)),
    ],
)
def test_a_user_is_ids_or_names(text: str, parts: UserName) -> None:
    assert parse_user(text) == parts
    assert Config(rootfs="/x", user=text).user == text


def test_a_user_may_be_given_as_a_number() -> None:
    assert Config(rootfs="/x", user=1000).user == "1000"
    assert Config(rootfs="/x", groups=["5", 6, "audio"]).groups == (5, 6, "audio")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (7, Rlimit(soft=7, hard=7)),
        ((7, 9), Rlimit(soft=7, hard=9)),
        ([7, None], Rlimit(soft=7, hard=None)),
        (None, Rlimit(soft=None, hard=None)),
        ("unlimited", Rlimit(soft=None, hard=None)),
        ({"soft": 1, "hard": 2}, Rlimit(soft=1, hard=2)),
        (Rlimit(soft=1, hard=2), Rlimit(soft=1, hard=2)),
    ],
)
def test_a_resource_limit_can_be_said_in_several_ways(
    given: Any, meant: Rlimit
) -> None:
    for name in ("nofile", "RLIMIT_NOFILE", "rlimit_nofile"):
        settings = ProcessSettings.model_validate({"rlimits": {name: given}})
        assert settings.rlimits == {"RLIMIT_NOFILE": meant}


def test_sysctl_names_are_taken_dotted_or_slashed() -> None:
    given = {
        "net.ipv4.ip_forward": "1",
        "net/ipv4/conf/eth0.1/forwarding": "1",
        "kernel.shmmax": "2",
    }
    config = Config(rootfs="/x", sysctl=given)
    assert list(map(sysctl_path, config.sysctl)) == [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/eth0.1/forwarding",
        "kernel/shmmax",
    ]


def test_mappings_of_ids_may_touch_but_not_overlap() -> None:
    one = IdMapping(container_id=0, host_id=1000, size=10)
    other = IdMapping(container_id=10, host_id=0, size=1000)
    config = Config(
        rootfs="/x",
        namespaces=Namespaces(user="new"),
        uid_mappings=[one, other],
        gid_mappings=[IdMapping(container_id=0, host_id=0, size=2**32 - 1)],
    )
    assert config.uid_mappings == (one, other)


def test_a_device_may_be_used_that_was_asked_for() -> None:
    *usual, fuse = device_rules(RICH)
    assert tuple(usual) == DEFAULT_DEVICE_RULES
    assert (fuse.allow, fuse.type, fuse.major, fuse.minor) == (True, "c", 10, 229)
    assert not DEFAULT_DEVICE_RULES[0].allow


def test_a_bind_mount_is_read_only_all_the_way_down() -> None:
    options = Mount.bind("/srv/data", readonly=True).parsed
    assert options.bind
    assert options.recursive
    assert options.recursive_set & 1
    assert Mount.bind("/srv/data").destination == "/srv/data"


def test_a_process_overrides_what_it_names_and_keeps_the_rest() -> None:
    derived = override(RICH, user=0, cwd=Path("/tmp"))
    assert type(derived) is ProcessSettings
    assert (derived.user, derived.cwd) == ("0", "/tmp")
    assert derived.env is RICH.env
    assert derived.capabilities is RICH.capabilities
    assert derived.rlimits is RICH.rlimits
    assert override(RICH, user="1").seccomp is RICH.seccomp
    assert override(RICH, seccomp=None).seccomp is None


def test_a_copy_with_changes_is_validated_as_a_whole() -> None:
    changed = replace(RICH, hostname="other")
    assert changed.hostname == "other"
    assert replace(changed, hostname="box") == RICH


@pytest.mark.parametrize("config", [SRV, RICH], ids=["plain", "rich"])
def test_a_config_survives_json_pickle_and_copy(config: Config) -> None:
    for twin in (
        Config.model_validate_json(config.model_dump_json()),
        Config.model_validate(config.model_dump()),
        Config.model_validate(config.model_dump(mode="json")),
        pickle.loads(pickle.dumps(config)),
        copy.deepcopy(config),
    ):
        assert twin == config
        assert hash(twin) == hash(config)
        assert twin.rootfs == config.rootfs
        assert type(twin.rootfs) is type(config.rootfs)


def test_a_frozen_map_is_a_mapping_and_no_more() -> None:
    one = FrozenMap({"a": 1})
    assert one == {"a": 1}
    assert dict(one) == {"a": 1}
    assert hash(one) == hash(FrozenMap([("a", 1)]))
    assert repr(one) == "FrozenMap({'a': 1})"
    assert not hasattr(one, "update")


def test_all_public_names_are_exported_in_order() -> None:
    names = aiocontainer.config.__all__
    constants = [n for n in names if n.isupper()]
    classes = [n for n in names if n[0].isupper() and not n.isupper()]
    functions = [n for n in names if n.islower()]
    assert list(names) == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(hasattr(aiocontainer.config, name) for name in names)


def test_every_public_model_and_field_of_numbers_says_its_unit() -> None:
    for model in (MemoryLimits, CpuLimits):
        for name, field in model.model_fields.items():
            if "Unlimited" in str(field.annotation):
                assert name.endswith(("_bytes", "_us")), name
