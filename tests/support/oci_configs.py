"""Configurations that OCI has words for, drawn by lot."""

from typing import Any

from hypothesis import strategies as st

from aiocontainer.config import (
    CAPABILITIES,
    DEFAULT_DEVICES,
    RLIMITS,
    Config,
    Rootfs,
)

__all__ = ("configs",)

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
