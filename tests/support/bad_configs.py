"""A table of wrong configurations, each with the path of the wrong field."""

import math
from typing import Any

from aiocontainer.config import Rootfs

__all__ = ("BAD",)

SURROGATE = "\ud800"
ONE = {"container_id": 0, "host_id": 100_000, "size": 1000}


def mount(**fields: Any) -> dict[str, Any]:
    return {"mounts": [{"destination": "/data", **fields}]}


def limits(**fields: Any) -> dict[str, Any]:
    return {"resources": fields}


def memory(**fields: Any) -> dict[str, Any]:
    return limits(memory=fields)


def cpu(**fields: Any) -> dict[str, Any]:
    return limits(cpu=fields)


def rule(**fields: Any) -> dict[str, Any]:
    return {"seccomp": {"syscalls": [{"names": ["read"], **fields}]}}


def arg(**fields: Any) -> dict[str, Any]:
    return rule(args=[{"index": 0, "op": "EQ", "value": 1, **fields}])


def in_user(**fields: Any) -> dict[str, Any]:
    both = {"uid_mappings": [ONE], "gid_mappings": [ONE]}
    return {"namespaces": {"user": "new"}, **both, **fields}


# The path of the wrong field, and the arguments that make it wrong.
BAD: list[tuple[str, dict[str, Any]]] = [
    # rootfs
    ("rootfs", {"rootfs": None}),
    ("rootfs", {"rootfs": 3}),
    ("rootfs.path", {"rootfs": ""}),
    ("rootfs.path", {"rootfs": "srv/x"}),
    ("rootfs.path", {"rootfs": "./x"}),
    ("rootfs.path", {"rootfs": "/"}),
    ("rootfs.path", {"rootfs": "//"}),
    ("rootfs.path", {"rootfs": "/a/.."}),
    ("rootfs.path", {"rootfs": "/a\0b"}),
    ("rootfs.path", {"rootfs": SURROGATE}),
    ("rootfs.path", {"rootfs": "/" + "x" * 5000}),
    ("rootfs", {"rootfs": b"/srv"}),
    ("rootfs", {"rootfs": Rootfs()}),
    ("rootfs.kind", {"rootfs": {}}),
    ("rootfs.kind", {"rootfs": {"kind": "tape"}}),
    ("rootfs.kind", {"rootfs": {"kind": ["host"]}}),
    ("rootfs.paths", {"rootfs": {"kind": "directory", "path": "/a", "paths": 1}}),
    ("rootfs.readonly", {"rootfs": {"kind": "directory", "path": "/a", "readonly": 1}}),
    ("rootfs.lower", {"rootfs": {"kind": "overlay", "lower": []}}),
    ("rootfs.lower[1]", {"rootfs": {"kind": "overlay", "lower": ["/a", "b"]}}),
    ("rootfs.lower[1]", {"rootfs": {"kind": "overlay", "lower": ["/a", "/a/"]}}),
    (
        "rootfs.lower",
        {"rootfs": {"kind": "overlay", "lower": [f"/{n}" for n in range(501)]}},
    ),
    (
        "rootfs.upper_bytes",
        {"rootfs": {"kind": "overlay", "lower": ["/a"], "upper_bytes": 0}},
    ),
    ("rootfs.extra[0]", {"rootfs": {"kind": "host", "extra": ["/etc/ssh"]}}),
    ("rootfs.extra[0]", {"rootfs": {"kind": "host", "extra": ["/proc/1/root"]}}),
    ("rootfs.extra[1]", {"rootfs": {"kind": "host", "extra": ["/opt", "/"]}}),
    ("rootfs.extra[0]", {"rootfs": {"kind": "host", "extra": ["/opt/../etc"]}}),
    ("rootfs.extra[0]", {"rootfs": {"kind": "host", "extra": ["/etc/shadow-"]}}),
    ("rootfs.extra[0]", {"rootfs": {"kind": "host", "extra": ["/etc/ssl/private/x"]}}),
    ("rootfs.extra[0]", {"rootfs": {"kind": "host", "extra": ["/sys/kernel"]}}),
    # no such field
    ("rootfss", {"rootfss": "/x"}),
    ("Memory", {"Memory": "64MiB"}),
    ("resources.memory.limit", memory(limit=5)),
    # user and groups
    ("user", {"user": ""}),
    ("user", {"user": -1}),
    ("user", {"user": True}),
    ("user", {"user": 1.0}),
    ("user", {"user": None}),
    ("user", {"user": 4294967295}),
    ("user", {"user": "4294967295"}),
    ("user", {"user": "9" * 5000}),
    ("user", {"user": "1:"}),
    ("user", {"user": ":2"}),
    ("user", {"user": ":"}),
    ("user", {"user": "+1"}),
    ("user", {"user": "-1"}),
    ("user", {"user": "1:2:3"}),
    ("user", {"user": "a b"}),
    ("user", {"user": "a\0"}),
    ("user", {"user": "a\n"}),
    ("user", {"user": "٣"}),
    ("user", {"user": "a:-1"}),
    ("user", {"user": SURROGATE}),
    ("user", {"user": "x" * 300}),
    ("groups[0]", {"groups": [-1]}),
    ("groups[1]", {"groups": [1, "a:b"]}),
    ("groups[0]", {"groups": [None]}),
    ("groups", {"groups": "wheel"}),
    ("groups[0]", {"groups": [2**70]}),
    # the process
    ("umask", {"umask": 0o1000}),
    ("umask", {"umask": -1}),
    ("umask", {"umask": "022"}),
    ("umask", {"umask": True}),
    ("umask", {"umask": 2**80}),
    ("umask", {"umask": math.nan}),
    ("cwd", {"cwd": "work"}),
    ("cwd", {"cwd": "/a\0"}),
    ("cwd", {"cwd": None}),
    ("env", {"env": ["A=b"]}),
    ("env", {"env": None}),
    ("env[]", {"env": {"": "x"}}),
    ("env[A=B]", {"env": {"A=B": "x"}}),
    ("env.A", {"env": {"A": 1}}),
    ("env.A", {"env": {"A": "x\0y"}}),
    ("env[A\0]", {"env": {"A\0": "x"}}),
    ("env.A", {"env": {"A": SURROGATE}}),
    ("cwd", {"cwd": "/" + SURROGATE}),
    ("env[1]", {"env": {1: "x"}}),
    ("no_new_privs", {"no_new_privs": "no"}),
    ("no_new_privs", {"no_new_privs": 0}),
    ("oom_score_adj", {"oom_score_adj": 1001}),
    ("oom_score_adj", {"oom_score_adj": -1001}),
    ("oom_score_adj", {"oom_score_adj": 1.5}),
    ("rlimits", {"rlimits": [("nofile", 1)]}),
    ("rlimits[files]", {"rlimits": {"files": 1}}),
    ("rlimits[3]", {"rlimits": {3: 1}}),
    ("rlimits[RLIMIT_NOFILE]", {"rlimits": {"nofile": 1, "RLIMIT_NOFILE": 2}}),
    ("rlimits.RLIMIT_NOFILE.soft", {"rlimits": {"nofile": -1}}),
    ("rlimits.RLIMIT_NOFILE.soft", {"rlimits": {"nofile": (2, 1)}}),
    ("rlimits.RLIMIT_NOFILE.soft", {"rlimits": {"nofile": (None, 1)}}),
    ("rlimits.RLIMIT_NOFILE", {"rlimits": {"nofile": (1, 2, 3)}}),
    ("rlimits.RLIMIT_NOFILE.hard", {"rlimits": {"nofile": {"soft": 1}}}),
    ("rlimits.RLIMIT_NOFILE.soft", {"rlimits": {"nofile": 2**64}}),
    ("rlimits.RLIMIT_NOFILE", {"rlimits": {"nofile": "many"}}),
    # capabilities
    ("capabilities.bounding", {"capabilities": {"bounding": ["CAP_FLY"]}}),
    ("capabilities.bounding", {"capabilities": {"bounding": "CAP_CHOWN"}}),
    ("capabilities.bounding", {"capabilities": {"bounding": [1]}}),
    ("capabilities.effective", {"capabilities": {"effective": ["CHOWN"]}}),
    ("capabilities.ambient", {"capabilities": {"ambient": ["CHOWN"]}}),
    (
        "capabilities.ambient",
        {"capabilities": {"permitted": ["CHOWN"], "ambient": ["CHOWN"]}},
    ),
    ("capabilities", {"capabilities": ["CAP_CHOWN"]}),
    # names and namespaces
    ("hostname", {"hostname": ""}),
    ("hostname", {"hostname": "x" * 65}),
    ("hostname", {"hostname": "ü" * 33}),
    ("hostname", {"hostname": "a b"}),
    ("hostname", {"hostname": "a\n"}),
    ("hostname", {"hostname": "a\0"}),
    ("hostname", {"hostname": "a", "namespaces": {"uts": "host"}}),
    ("domainname", {"domainname": "a", "namespaces": {"uts": "host"}}),
    ("namespaces.pid", {"namespaces": {"pid": "private"}}),
    ("namespaces.pid", {"namespaces": {"pid": "proc/1/ns/pid"}}),
    ("namespaces.pid", {"namespaces": {"pid": None}}),
    ("namespaces.net", {"namespaces": {"net": "host"}}),
    ("namespaces.user", {"namespaces": {"user": "/a\0"}}),
    ("uid_mappings", {"namespaces": {"user": "new"}}),
    ("gid_mappings", in_user(gid_mappings=[])),
    ("uid_mappings", {"uid_mappings": [ONE]}),
    ("gid_mappings", {"namespaces": {"user": "/x"}, "gid_mappings": [ONE]}),
    (
        "uid_mappings[1].container_id",
        in_user(uid_mappings=[ONE, {**ONE, "host_id": 1}]),
    ),
    (
        "uid_mappings[1].host_id",
        in_user(uid_mappings=[ONE, {**ONE, "container_id": 1000}]),
    ),
    ("uid_mappings[0].size", in_user(uid_mappings=[{**ONE, "size": 0}])),
    ("uid_mappings[0].size", in_user(uid_mappings=[{**ONE, "size": 2**32 - 1}])),
    ("uid_mappings[0].host_id", in_user(uid_mappings=[{**ONE, "host_id": 2**32 - 1}])),
    ("uid_mappings[0].host_id", in_user(uid_mappings=[{**ONE, "host_id": -1}])),
    (
        "uid_mappings",
        in_user(
            uid_mappings=[
                {"container_id": n, "host_id": n, "size": 1} for n in range(341)
            ]
        ),
    ),
    ("system_mounts", {"namespaces": {"mount": "host"}}),
    ("masked_paths", {"namespaces": {"mount": "/x"}, "system_mounts": []}),
    # mounts
    ("mounts[0].destination", {"mounts": [{}]}),
    ("mounts[0].destination", mount(destination="data", type="tmpfs")),
    ("mounts[0].destination", mount(destination="/", type="tmpfs")),
    ("mounts[0].destination", mount(destination="/a/../..", type="tmpfs")),
    ("mounts[0].destination", mount(destination="/proc/self", type="tmpfs")),
    ("mounts[0].destination", mount(destination="/x/../proc/sys", type="tmpfs")),
    ("mounts[0].destination", mount(destination="//proc//sys", type="tmpfs")),
    ("mounts[0].destination", mount(destination="/proc", type="tmpfs")),
    ("mounts[0].destination", mount(destination=7, type="tmpfs")),
    ("mounts[0].type", mount(source="/srv")),
    ("mounts[0].type", mount(type="")),
    ("mounts[0].type", mount(type="tm\0pfs")),
    ("mounts[0].source", mount(type="bind")),
    ("mounts[0].source", mount(options=["bind"])),
    ("mounts[0].source", mount(type="bind", source="srv")),
    ("mounts[0].source", mount(type="bind", source="/srv\0")),
    ("mounts[0].options[1]", mount(source="/srv", options=["rbind", "size=5"])),
    ("mounts[0].options[0]", mount(type="tmpfs", options=[""])),
    ("mounts[0].options[0]", mount(type="tmpfs", options=["size=5,suid"])),
    ("mounts[0].options[1]", mount(type="tmpfs", options=["ro", 5])),
    ("mounts[0].options", mount(type="tmpfs", options="ro")),
    ("mounts[0].uid_mappings", mount(type="tmpfs", uid_mappings=[ONE])),
    ("mounts[0].uid_mappings", mount(source="/a", options=["bind", "idmap"])),
    ("mounts[0].gid_mappings", mount(source="/a", type="bind", uid_mappings=[ONE])),
    ("mounts[0].options[1]", mount(source="/a", options=["bind", "idmap=uids=1-2"])),
    ("mounts[0].options[0]", mount(type="tmpfs", options=["ridmap"])),
    ("mounts[0].options[0]", mount(options=["size=1m"])),
    ("mounts[0].options[1]", mount(options=["remount", "size=1m"])),
    ("mounts[0].relabel", mount(type="tmpfs", relabel="z")),
    ("mounts[0].relabel", mount(source="/etc", type="bind", relabel="Z")),
    ("mounts[0].relabel", mount(source="/a", type="bind", relabel="x")),
    (
        "mounts[0].options",
        {
            **mount(type="cgroup", options=["rw"]),
            "namespaces": {"cgroup": "host"},
        },
    ),
    (
        "mounts[0].premount_commands",
        {
            **mount(type="tmpfs", premount_commands=[{"path": "/bin/true"}]),
            "namespaces": {"pid": "/x"},
        },
    ),
    (
        "mounts[0].postmount_commands[0].path",
        mount(type="tmpfs", postmount_commands=[{"path": "true"}]),
    ),
    (
        "mounts[0].postmount_commands[0].timeout",
        mount(type="tmpfs", postmount_commands=[{"path": "/bin/true", "timeout": 0}]),
    ),
    ("mounts", {"mounts": "x"}),
    ("rootfs.idmap", {"rootfs": {"kind": "directory", "path": "/x", "idmap": True}}),
    ("pivot_dir", {"pivot_dir": "old"}),
    ("pivot_dir", {"pivot_dir": "/old", "pivot_root": False}),
    ("devices[0].host_path", {"devices": [{"path": "/dev/a", "host_path": "a"}]}),
    ("mounts[0]", {"mounts": [3]}),
    ("system_mounts[0].destination", {"system_mounts": [{"type": "proc"}]}),
    ("masked_paths[0]", {"masked_paths": ["proc/kcore"]}),
    ("readonly_paths[1]", {"readonly_paths": ["/proc/sys", 4]}),
    # devices
    ("devices[0].path", {"devices": [{"path": "fuse"}]}),
    ("devices[0].path", {"devices": [{"path": "/dev"}]}),
    ("devices[0].path", {"devices": [{"path": "/dev/null"}]}),
    ("devices[1].path", {"devices": [{"path": "/dev/a"}, {"path": "/dev//a"}]}),
    ("devices[0].type", {"devices": [{"path": "/dev/a", "type": "x"}]}),
    ("devices[0].major", {"devices": [{"path": "/dev/a", "major": 4096}]}),
    ("devices[0].minor", {"devices": [{"path": "/dev/a", "minor": 1 << 20}]}),
    ("devices[0].file_mode", {"devices": [{"path": "/dev/a", "file_mode": 0o10000}]}),
    ("devices[0].uid", {"devices": [{"path": "/dev/a", "uid": 2**32 - 1}]}),
    ("devices[0].gid", {"devices": [{"path": "/dev/a", "gid": "0"}]}),
    # sysctl
    ("sysctl", {"sysctl": ["net.ipv4.ip_forward=1"]}),
    ("sysctl[kernel.core_pattern]", {"sysctl": {"kernel.core_pattern": "x"}}),
    ("sysctl[kernel.hostname]", {"sysctl": {"kernel.hostname": "x"}}),
    ("sysctl[vm.swappiness]", {"sysctl": {"vm/swappiness": "1"}}),
    ("sysctl[net..x]", {"sysctl": {"net..x": "1"}}),
    (
        "sysctl[net/../kernel/core_pattern]",
        {"sysctl": {"net/../kernel/core_pattern": "1"}},
    ),
    ("sysctl[net.//.x]", {"sysctl": {"net.//.x": "1"}}),
    ("sysctl[]", {"sysctl": {"": "1"}}),
    ("sysctl[net.x+kernel.y=1]", {"sysctl": {"net.x+kernel.y=1": "1"}}),
    ("sysctl[net.ipv4.ip_forward]", {"sysctl": {"net.ipv4.ip_forward": "1\n2"}}),
    ("sysctl[net.ipv4.ip_forward]", {"sysctl": {"net.ipv4.ip_forward": 1}}),
    ("sysctl[net/a]", {"sysctl": {"net.a": "1", "net/a": "2"}}),
    ("sysctl[net.a]", {"sysctl": {"net.a": "1"}, "namespaces": {"network": "host"}}),
    (
        "sysctl[kernel.sem]",
        {"sysctl": {"kernel.sem": "1"}, "namespaces": {"ipc": "host"}},
    ),
    (
        "sysctl[fs.mqueue.x]",
        {"sysctl": {"fs.mqueue.x": "1"}, "namespaces": {"ipc": "host"}},
    ),
    ("sysctl[user.max_user_namespaces]", {"sysctl": {"user.max_user_namespaces": "0"}}),
    (
        "sysctl[kernel.domainname]",
        {"sysctl": {"kernel.domainname": "a"}, "domainname": "b"},
    ),
    (
        "sysctl[kernel.domainname]",
        {"sysctl": {"kernel.domainname": "a"}, "namespaces": {"uts": "host"}},
    ),
    # the rest of a container
    ("session_keyring", {"session_keyring": None}),
    ("pivot_root", {"pivot_root": "yes"}),
    ("rootfs_propagation", {"rootfs_propagation": "rprivate"}),
    ("cgroup.mode", {"cgroup": {"mode": "v3"}}),
    ("cgroup.parent", {"cgroup": {"parent": "/a/../../b"}}),
    ("cgroup.parent", {"cgroup": {"parent": ""}}),
    ("cgroup.name", {"cgroup": {"name": "a/b"}}),
    ("cgroup.name", {"cgroup": {"name": ".."}}),
    ("cgroup.name", {"cgroup": {"name": "cgroup.procs"}}),
    ("cgroup.name", {"cgroup": {"name": "x" * 256}}),
    # resources
    ("memory", {"memory": "64 miles"}),
    ("memory", {"memory": -1}),
    ("memory", {"memory": 0}),
    ("memory", {"memory": True}),
    ("memory", {"memory": 1e9}),
    ("memory", {"memory": "1e9"}),
    ("memory", {"memory": "99999999999999 TiB"}),
    ("memory", {"memory": math.inf}),
    ("memory", {"memory": "64MiB", **memory(limit_bytes="128MiB")}),
    ("cpus", {"cpus": 0}),
    ("cpus", {"cpus": -1}),
    ("cpus", {"cpus": 0.001}),
    ("cpus", {"cpus": math.nan}),
    ("cpus", {"cpus": math.inf}),
    ("cpus", {"cpus": 10**400}),
    ("cpus", {"cpus": "many"}),
    ("cpus", {"cpus": True}),
    ("cpus", {"cpus": 2, **cpu(quota_us=100_000)}),
    ("pids", {"pids": 0}),
    ("pids", {"pids": "ten"}),
    ("pids", {"pids": 32, **limits(pids_limit=64)}),
    ("resources", {"resources": 5}),
    ("resources", {"resources": 5, "memory": 5}),
    ("resources.memory.limit_bytes", memory(limit_bytes=0)),
    ("resources.memory.limit_bytes", memory(limit_bytes=2**63)),
    ("resources.memory.swap_bytes", memory(swap_bytes=-1)),
    ("resources.memory.swappiness", memory(swappiness=101)),
    ("resources.memory.oom_group", memory(oom_group="yes")),
    ("resources.cpu.shares", cpu(shares=1)),
    ("resources.cpu.weight", cpu(weight=10_001)),
    ("resources.cpu.weight", cpu(weight=100, shares=1024)),
    ("resources.cpu.quota_us", cpu(quota_us=999)),
    ("resources.cpu.quota_us", cpu(quota_us="max")),
    ("resources.cpu.period_us", cpu(period_us=1_000_001)),
    ("resources.cpu.burst_us", cpu(quota_us=2000, burst_us=3000)),
    (
        "resources.cpu.realtime_runtime_us",
        cpu(realtime_runtime_us=9, realtime_period_us=8),
    ),
    ("resources.cpu.cpus", cpu(cpus="")),
    ("resources.cpu.cpus", cpu(cpus="3-1")),
    ("resources.cpu.cpus", cpu(cpus="0,,1")),
    ("resources.cpu.mems", cpu(mems="0;1")),
    ("resources.pids_limit", limits(pids_limit=0)),
    ("resources.pids_limit", limits(pids_limit=2**64)),
    ("resources.block_io.weight", limits(block_io={"weight": 9})),
    (
        "resources.block_io.throttle_read_bps[0].bytes_per_s",
        limits(block_io={"throttle_read_bps": [{"major": 8, "minor": 0}]}),
    ),
    (
        "resources.hugepage_limits[0].page_size",
        limits(hugepage_limits=[{"page_size": "2MiB"}]),
    ),
    (
        "resources.hugepage_limits[1].page_size",
        limits(hugepage_limits=[{"page_size": "2MB"}, {"page_size": "2MB"}]),
    ),
    ("resources.network.class_id", limits(network={"class_id": 2**32})),
    ("resources.network.priorities[a b]", limits(network={"priorities": {"a b": 1}})),
    ("resources.rdma[]", limits(rdma={"": {}})),
    ("resources.misc.sev", limits(misc={"sev": -1})),
    ("resources.devices[0].access", limits(devices=[{"allow": True, "access": "rx"}])),
    ("resources.devices[0].access", limits(devices=[{"allow": True, "access": "rr"}])),
    ("resources.devices[0].allow", limits(devices=[{}])),
    ("resources.devices[0].type", limits(devices=[{"allow": True, "major": 1}])),
    ("resources.unified[../x.y]", limits(unified={"../x.y": "1"})),
    ("resources.unified[memory]", limits(unified={"memory": "1"})),
    ("resources.unified[cgroup.kill]", limits(unified={"cgroup.kill": "1"})),
    # seccomp
    ("seccomp", {"seccomp": "default"}),
    ("seccomp.default_action", {"seccomp": {"default_action": "NOTIFY"}}),
    ("seccomp.default_action", {"seccomp": {"default_action": "SCMP_ACT_ALLOW"}}),
    ("seccomp.default_errno", {"seccomp": {"default_errno": 5000}}),
    (
        "seccomp.default_errno",
        {"seccomp": {"default_action": "ALLOW", "default_errno": 1}},
    ),
    ("seccomp.architectures[0]", {"seccomp": {"architectures": ["VAX"]}}),
    ("seccomp.flags[0]", {"seccomp": {"flags": ["FAST"]}}),
    ("seccomp.syscalls[0].names", rule(names=[])),
    ("seccomp.syscalls[0].names[0]", rule(names=["rm -rf"])),
    ("seccomp.syscalls[0].names", rule(names=["execve"], action="NOTIFY")),
    ("seccomp.syscalls[0].errno", rule(action="ALLOW", errno=1)),
    ("seccomp.syscalls[0].args[0].index", arg(index=6)),
    ("seccomp.syscalls[0].args[0].value", arg(value=2**64)),
    ("seccomp.syscalls[0].args[0].op", arg(op="LIKE")),
    (
        "seccomp.syscalls[0].args[0].value_two",
        arg(op="MASKED_EQ", value=1, value_two=2),
    ),
    ("seccomp.syscalls[0].when_capabilities", rule(when_capabilities=["X"])),
    ("seccomp.listener_path", {"seccomp": {"listener_path": "a.sock"}}),
]
