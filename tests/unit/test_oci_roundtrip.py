"""What was read is written back with the same meaning, and read again the same."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocontainer.config import (
    CAPABILITIES,
    DEFAULT_DEVICES,
    DEFAULT_SECCOMP,
    RLIMITS,
    Config,
    Network,
    Rootfs,
    Seccomp,
    replace,
)
from aiocontainer.config.bundle import Bundle
from aiocontainer.config.oci.write_seccomp import complement
from aiocontainer.errors import ConfigError, UnsupportedFeature
from aiocontainer.plan.filters import compile_filter

from ..support.bpf import run as run_filter
from ..support.oci_documents import SAMPLES, minimal, sample

relaxed = settings(
    max_examples=int(os.environ.get("AIOCONTAINER_FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,11}", fullmatch=True)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
IDS = st.integers(0, 2**32 - 2)
LIMITS = st.none() | st.just("unlimited") | st.integers(1, 2**40)
WEIGHTS = st.none() | st.integers(10, 1000)
NUMBERS = {"major": st.integers(0, 4095), "minor": st.integers(0, 2**20 - 1)}
CAPS = st.sets(st.sampled_from(sorted(CAPABILITIES)), max_size=5)


def some(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def capabilities(draw: Any) -> dict[str, Any]:
    permitted, inheritable = draw(CAPS), draw(CAPS)
    effective = draw(st.sets(st.sampled_from(sorted(permitted)))) if permitted else ()
    return {
        "bounding": draw(CAPS),
        "permitted": permitted,
        "effective": effective,
        "inheritable": inheritable,
        "ambient": permitted & inheritable,
    }


@st.composite
def rlimits(draw: Any) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from(sorted(RLIMITS)), max_size=3))
    hard = draw(st.none() | st.integers(1000, 2**63))
    soft = draw(st.integers(0, 1000))
    return dict.fromkeys(names, (soft, hard))


@st.composite
def memory(draw: Any) -> dict[str, Any]:
    fields = draw(
        some(
            limit_bytes=LIMITS,
            reservation_bytes=LIMITS,
            kernel_bytes=LIMITS,
            kernel_tcp_bytes=LIMITS,
            swappiness=st.integers(0, 100),
            oom_kill_disable=st.booleans(),
            check_before_update=st.booleans(),
        )
    )
    swap = ["unlimited", 0, 4096] if isinstance(fields.get("limit_bytes"), int) else []
    if swap:
        fields["swap_bytes"] = draw(st.sampled_from(swap))
    return fields


CPU = some(
    shares=st.integers(2, 262_144),
    quota_us=st.just("unlimited") | st.integers(1000, 10**9),
    period_us=st.integers(1000, 1_000_000),
    burst_us=st.integers(0, 1000),
    realtime_runtime_us=st.integers(0, 1000),
    realtime_period_us=st.integers(1000, 10**6),
    cpus=st.sampled_from(["0", "0-3,7"]),
    mems=st.just("0"),
    idle=st.booleans(),
)
BLOCK_IO = some(
    weight=WEIGHTS,
    leaf_weight=WEIGHTS,
    weight_devices=st.lists(
        st.fixed_dictionaries(
            {**NUMBERS, "weight": st.integers(10, 1000), "leaf_weight": WEIGHTS}
        ),
        max_size=2,
    ),
    throttle_read_bps=st.lists(
        st.fixed_dictionaries({**NUMBERS, "bytes_per_s": LIMITS.filter(bool)}),
        max_size=2,
    ),
    throttle_write_iops=st.lists(
        st.fixed_dictionaries({**NUMBERS, "operations_per_s": LIMITS.filter(bool)}),
        max_size=2,
    ),
)
DEVICE_RULES = st.lists(
    st.fixed_dictionaries(
        {
            "allow": st.booleans(),
            "type": st.sampled_from("cb"),
            "access": st.sampled_from(["r", "rw", "m", "rwm"]),
        },
        optional=NUMBERS,
    ),
    max_size=4,
)
RESOURCES = some(
    memory=memory(),
    cpu=CPU,
    pids_limit=LIMITS,
    block_io=BLOCK_IO,
    hugepage_limits=st.lists(
        st.fixed_dictionaries(
            {
                "page_size": st.sampled_from(["2MB", "1GB", "64KB"]),
                "limit_bytes": LIMITS.filter(bool),
            }
        ),
        max_size=2,
        unique_by=lambda limit: limit["page_size"],
    ),
    network=some(
        class_id=st.integers(0, 2**32 - 1),
        priorities=st.dictionaries(NAMES, st.integers(0, 2**32 - 1), max_size=2),
    ),
    rdma=st.dictionaries(
        NAMES,
        st.fixed_dictionaries(
            {"hca_handles": st.just("unlimited") | st.integers(0, 1000)}
        ),
        max_size=2,
    ),
    unified=st.dictionaries(st.sampled_from(["memory.high", "io.max"]), NAMES),
    devices=DEVICE_RULES,
)
MOUNTS = st.lists(
    st.builds(
        lambda path, mount: {"destination": path, **mount},
        PATHS.filter(lambda path: not path.startswith(("/proc", "/dev"))),
        st.sampled_from(
            [
                {"type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=4k"]},
                {"type": "bind", "source": "/srv", "options": ["rbind", "rro"]},
                {"source": "/srv", "options": ["bind", "rslave"]},
                {"type": "none", "source": "/srv", "options": ["rbind", "noexec"]},
                {"options": ["remount", "ro"]},
                {"type": "overlay", "source": "o", "options": ["lowerdir=/a:/b"]},
            ]
        ),
    ),
    max_size=3,
)
DEVICES = st.lists(
    st.fixed_dictionaries(
        {
            "path": st.sampled_from(["/dev/fuse", "/dev/a/b", "/x", "/dev/null"]),
            "type": st.sampled_from("cbu"),
            **NUMBERS,
        },
        optional={"file_mode": st.integers(0, 0o7777), "uid": IDS, "gid": IDS},
    ),
    max_size=3,
    unique_by=lambda device: device["path"],
)
SPACE = st.sampled_from(["new", "host", "/proc/7/ns/x"])
MAPPING = [{"container_id": 0, "host_id": 1000, "size": 9}]
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "names": st.lists(
                st.sampled_from(["read", "openat", "ptrace"]), min_size=1, unique=True
            ),
            "action": st.sampled_from(["ALLOW", "LOG", "KILL_PROCESS", "TRACE"]),
        },
        optional={
            "args": st.lists(
                st.fixed_dictionaries(
                    {
                        "index": st.integers(0, 5),
                        "value": st.integers(0, 2**64 - 1),
                        "op": st.sampled_from(["NE", "LT", "EQ", "GT"]),
                    }
                ),
                max_size=2,
                unique_by=lambda arg: arg["index"],
            )
        },
    ),
    max_size=1,
)
SECCOMP = st.none() | st.fixed_dictionaries(
    {"default_action": st.just("ERRNO"), "syscalls": RULES},
    optional={
        "default_errno": st.integers(1, 100),
        "architectures": st.just(("X86_64", "X86")),
        "flags": st.just(("LOG",)),
    },
)


@st.composite
def configs(draw: Any) -> Config:
    """Configs that OCI has words for, with none of our defaults."""
    devices = draw(DEVICES)
    taken = {device["path"] for device in devices}
    usual = [d for d in DEFAULT_DEVICES if d.path not in taken]
    namespaces = draw(some(pid=SPACE, ipc=SPACE, network=SPACE, uts=st.just("new")))
    mapped = draw(st.booleans())
    fields = draw(
        some(
            hostname=NAMES,
            domainname=NAMES,
            umask=st.integers(0, 0o777),
            cwd=PATHS,
            env=st.dictionaries(NAMES, NAMES, max_size=3),
            capabilities=capabilities(),
            no_new_privs=st.booleans(),
            rlimits=rlimits(),
            oom_score_adj=st.integers(-1000, 1000),
            masked_paths=st.lists(PATHS, max_size=2),
            readonly_paths=st.lists(PATHS, max_size=2),
            rootfs_propagation=st.sampled_from(["slave", "shared", "unbindable"]),
            resources=RESOURCES,
            mounts=MOUNTS,
            cgroup=st.fixed_dictionaries(
                {"name": NAMES.filter(lambda name: not name.startswith("cgroup."))},
                optional={"parent": PATHS | PATHS.map(lambda path: path[1:])},
            ),
            scheduler=st.just({"policy": "SCHED_FIFO", "priority": 5}),
            io_priority=st.just({"io_class": "IOPRIO_CLASS_BE", "level": 3}),
            memory_policy=st.just({"mode": "MPOL_BIND", "nodes": "0-1"}),
            personality=st.just({"domain": "LINUX32"}),
        )
    )
    return Config(
        rootfs=Rootfs.directory(draw(PATHS), readonly=draw(st.booleans())),
        **{
            "user": f"{draw(IDS)}:{draw(IDS)}",
            "groups": draw(st.lists(IDS, max_size=2)),
            "system_mounts": (),
            "system_devices": [*devices, *usual],
            "seccomp": draw(SECCOMP),
            "namespaces": {**namespaces, **({"user": "new"} if mapped else {})},
            "uid_mappings": MAPPING if mapped else (),
            "gid_mappings": MAPPING if mapped else (),
            **fields,
        },
    )


@relaxed
@given(configs())
def test_a_config_written_and_read_is_the_same(config: Config) -> None:
    document = config.to_oci(["x"])
    again = Config.from_oci(document)
    # Rules for what a runtime has to supply are added when it is read.
    mine, read = config.resources.devices, again.resources.devices
    start = 0 if read[: len(mine)] == mine else 1
    assert read[start : start + len(mine)] == mine
    limits = replace(again.resources, devices=mine)
    assert replace(again, resources=limits) == config
    assert Config.from_oci(again.to_oci(["x"])) == again


@pytest.mark.parametrize(("name", "manager"), SAMPLES.items())
def test_what_engines_write_is_written_back_with_the_same_meaning(
    name: str, manager: Any
) -> None:
    first = Bundle.read(sample(name), bundle="/b", cgroup_manager=manager)
    assert first.process is not None
    document = first.config.to_oci(first.process.args, terminal=first.process.terminal)
    second = Bundle.read(document, bundle="/b", cgroup_manager=manager)
    assert second.config == first.config
    assert second.process == first.process
    assert not [w for w in second.warnings if "annotations" not in w]


def test_our_defaults_are_written_out() -> None:
    document = Config(rootfs="/srv/x", memory="64MiB", cpus=1.5, pids=5).to_oci(["sh"])
    assert document["linux"]["resources"]["memory"] == {"limit": 64 << 20}
    assert document["linux"]["resources"]["cpu"] == {
        "quota": 150_000,
        "period": 100_000,
    }
    assert document["linux"]["resources"]["pids"] == {"limit": 5}
    assert {"type": "network"} in document["linux"]["namespaces"]
    assert document["process"]["noNewPrivileges"] is True
    assert document["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert [m["destination"] for m in document["mounts"]][:2] == ["/proc", "/dev"]


def test_each_device_of_a_config_may_be_used_in_the_document() -> None:
    fuse = {"path": "/dev/fuse", "major": 10, "minor": 229}
    document = Config(rootfs="/srv/x", devices=[fuse]).to_oci()
    assert document["linux"]["devices"][0]["path"] == "/dev/fuse"
    assert document["linux"]["resources"]["devices"][-1] == {
        "allow": True,
        "type": "c",
        "major": 10,
        "minor": 229,
        "access": "rwm",
    }


BIND = {"destination": "/v", "source": "/srv/v", "type": "bind"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rootfs": Rootfs.host()}, "rootfs"),
        ({"rootfs": Rootfs.overlay("/a")}, "rootfs"),
        ({"user": "app"}, "user"),
        ({"user": "5"}, "user"),
        ({"user": "5:staff"}, "user"),
        ({"groups": [4, "audio"]}, "groups[1]"),
        ({"session_keyring": False}, "session_keyring"),
        ({"pivot_root": False}, "pivot_root"),
        ({"cgroup": {"mode": "v1"}}, "cgroup.mode"),
        ({"cgroup": {"parent": "/a"}}, "cgroup.parent"),
        ({"cgroup": {"mode": "systemd", "name": "a:b"}}, "cgroup.name"),
        ({"system_devices": ()}, "system_devices"),
        ({"resources": {"misc": {"sev": 1}}}, "resources.misc"),
        ({"resources": {"cpu": {"weight": 5}}}, "resources.cpu.weight"),
        ({"parent_death_signal": "KILL"}, "parent_death_signal"),
        ({"namespaces": {"user": "auto"}}, "namespaces.user"),
        ({"pivot_dir": "/x"}, "pivot_dir"),
        ({"seccomp": Seccomp(bpf=b"\x06\0\0\0\0\0\xff\x7f")}, "seccomp.bpf"),
        ({"devices": [{"path": "/x", "host_path": "/dev/y"}]}, "devices"),
        (
            {"mounts": [{**BIND, "premount_commands": [{"path": "/x"}]}]},
            "mounts[0].premount_commands",
        ),
        ({"mounts": [{**BIND, "relabel": "z"}]}, "mounts[0].relabel"),
        ({"network": Network.bridge()}, "network[0]"),
        (
            {"scheduler": {"policy": "OTHER", "util_max": 5}},
            "scheduler.util_max",
        ),
    ],
)
def test_what_oci_has_no_word_for_is_refused(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        Config(**{"rootfs": "/srv/x", **fields}).to_oci()
    assert caught.value.feature == named


@pytest.mark.parametrize(
    ("memory", "unified"),
    [
        ({"high_bytes": 5}, {"memory.high": "5"}),
        ({"low_bytes": "unlimited"}, {"memory.low": "max"}),
        ({"min_bytes": 0}, {"memory.min": "0"}),
        ({"zswap_bytes": 1}, {"memory.zswap.max": "1"}),
        ({"oom_group": True}, {"memory.oom.group": "1"}),
        ({"swap_bytes": 4096}, {"memory.swap.max": "4096"}),
    ],
)
def test_what_only_v2_has_is_written_as_its_files(
    memory: dict[str, Any], unified: dict[str, str]
) -> None:
    document = Config(rootfs="/x", resources={"memory": memory}).to_oci()
    assert document["linux"]["resources"]["unified"] == unified


def test_a_systemd_cgroup_is_written_as_its_slice_and_scope() -> None:
    def path(**cgroup: Any) -> Any:
        config = Config(rootfs="/x", cgroup={"mode": "systemd", **cgroup})
        document = config.to_oci()
        again = Config.from_oci(document, cgroup_manager="systemd")
        assert again.cgroup.parent == config.cgroup.parent
        return document["linux"].get("cgroupsPath")

    assert path(parent="a.slice", name="p-x.scope") == "a.slice:p:x"
    assert path(name="x.scope") == "::x"
    assert path(name="x") == ":aiocontainer:x"
    assert path() is None


def test_properties_of_the_systemd_unit_become_annotations() -> None:
    properties = {"TimeoutStopUSec": 5, "SendSIGHUP": True, "After": ("a.service",)}
    cgroup = {"mode": "systemd", "systemd_properties": properties}
    config = Config(rootfs="/x", cgroup=cgroup)
    again = Config.from_oci(config.to_oci(), cgroup_manager="systemd")
    assert again.cgroup == config.cgroup


# -- filters ---------------------------------------------------------------------


def ways(seccomp: Seccomp, caps: frozenset[str], calls: list[Any]) -> list[int]:
    program = compile_filter(seccomp, caps).bpf
    return [run_filter(program, X86_64, number, args) for number, args in calls]


X86_64 = 0xC000003E
IOCTL, CLONE, CLONE3, SOCKET, READ, REBOOT = 16, 56, 435, 41, 0, 169
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
CALLS: list[tuple[int, tuple[int, ...]]] = [
    *((IOCTL, (0, request)) for request in (TIOCSTI, TIOCLINUX, 0x5413, 0x5401, 0)),
    *((IOCTL, (0, request | 1 << 32)) for request in (TIOCSTI, TIOCLINUX, 0x5413)),
    *((IOCTL, (0, TIOCSTI ^ 1 << n)) for n in range(32)),
    *((IOCTL, (0, TIOCLINUX ^ 1 << n)) for n in range(32)),
    *((CLONE, (flags,)) for flags in (0, 0x11, 0x10000000, 0x7E020000)),
    *((SOCKET, (family,)) for family in (0, 1, 2, 10, 16, 17, 38, 40)),
    (CLONE3, ()),
    (READ, ()),
    (REBOOT, ()),
]


@pytest.mark.parametrize("caps", [(), ("CAP_SYS_ADMIN", "CAP_SYS_BOOT")])
def test_the_default_filter_decides_the_same_after_the_way_through_oci(
    caps: tuple[str, ...],
) -> None:
    config = Config(
        rootfs="/x", capabilities={"bounding": caps}, seccomp=DEFAULT_SECCOMP
    )
    again = Config.from_oci(config.to_oci()).seccomp
    assert again is not None
    held = frozenset(caps)
    assert ways(again, frozenset(), CALLS) == ways(DEFAULT_SECCOMP, held, CALLS)


def test_no_two_rules_of_a_written_filter_hold_at_once() -> None:
    document = Config(rootfs="/x").to_oci()["linux"]["seccomp"]
    rules = [r for r in document["syscalls"] if "ioctl" in r["names"]]
    assert rules
    for request in (0, TIOCSTI, TIOCLINUX, 0x5413, 2**32 - 1):
        holding = [
            rule
            for rule in rules
            if request & rule["args"][0]["value"] == rule["args"][0]["valueTwo"]
        ]
        assert len(holding) == (request not in (TIOCSTI, TIOCLINUX))


@given(
    st.integers(0, 2**64 - 1),
    st.sets(st.integers(0, 2**64 - 1), max_size=4),
    st.integers(0, 2**64 - 1),
)
def test_a_complement_is_exact_and_without_overlap(
    mask: int, excluded: set[int], number: int
) -> None:
    values = {value & mask for value in excluded}
    for tried in (number, *excluded, *(v ^ 1 for v in values)):
        fitting = [v for bits, v in complement(mask, values) if tried & bits == v]
        assert len(fitting) == (tried & mask not in values)


def test_rules_that_need_an_order_are_refused() -> None:
    condition = {"index": 0, "op": "LT", "value": 5}
    rules = [
        {"names": ["read"], "action": "LOG", "args": [condition]},
        {"names": ["read"], "action": "ALLOW"},
    ]
    config = Config(rootfs="/x", seccomp={"syscalls": rules})
    with pytest.raises(UnsupportedFeature, match="order the rules of read"):
        config.to_oci()
    twice = [{**rules[0], "args": [condition, {**condition, "op": "GT", "value": 1}]}]
    config = Config(rootfs="/x", seccomp={"syscalls": twice})
    with pytest.raises(UnsupportedFeature, match="two conditions on one argument"):
        config.to_oci()


def test_a_rule_hidden_by_an_earlier_one_is_not_written() -> None:
    rules = [
        {"names": ["read"], "action": "ERRNO"},
        {"names": ["read", "write"], "action": "ALLOW"},
    ]
    seccomp = Config(rootfs="/x", seccomp={"syscalls": rules}).to_oci()["linux"]
    assert seccomp["seccomp"]["syscalls"] == [
        {"names": ["write"], "action": "SCMP_ACT_ALLOW"}
    ]


def test_the_minimal_document_comes_back() -> None:
    config = Config.from_oci(minimal())
    assert Config.from_oci(config.to_oci()) == config
    with pytest.raises(ConfigError):
        Config.from_oci({**config.to_oci(), "root": None})
