"""Wrong ``container.json`` documents, each with the path of the wrong field."""

from typing import Any

from .libcontainer_documents import with_field

__all__ = ("BAD_LIBCONTAINER", "UNSUPPORTED")

DEVICE = {"type": 99, "path": "/dev/x", "major": 1, "minor": 9}
ONE = {"container_id": 0, "host_id": 9, "size": 3}
VETH = {"type": "veth", "bridge": "br0"}


def mount(**fields: Any) -> list[dict[str, Any]]:
    return [{"destination": "/x", "device": "tmpfs", "source": "tmpfs", **fields}]


def device(**fields: Any) -> list[dict[str, Any]]:
    return [{**DEVICE, **fields}]


def syscall(**fields: Any) -> dict[str, Any]:
    return {"syscalls": [{"value": 169, "action": 1, **fields}]}


def named(**fields: Any) -> dict[str, Any]:
    rule = {"name": "read", "action": 4, **fields}
    return {"default_action": 2, "syscalls": [rule]}


C = "cgroups"

# (path that is set, value, path of the complaint; None is the first)
_TABLE: list[tuple[str, Any, str | None]] = [
    ("rootfs", 3, None),
    ("rootfs", "", None),
    ("rootfs", "srv", None),
    ("rootfs", "/", None),
    ("rootfs", "/a\0", None),
    ("readonlyfs", "yes", None),
    ("privatefs", 1, None),
    ("no_pivot_root", 1, None),
    ("hostname", "a b", None),
    ("hostname", 3, None),
    ("parent_death_signal", 65, None),
    ("parent_death_signal", "KILL", None),
    ("umask", 0o1000, None),
    ("oom_score_adj", 1001, None),
    ("no_new_privileges", "no", None),
    ("rootPropagation", 5, None),
    ("rootPropagation", 3 << 18, None),
    ("namespaces", 3, None),
    ("namespaces", [{}], "namespaces[0].type"),
    ("namespaces", [{"type": "mount"}], "namespaces[0].type"),
    ("namespaces", [{"type": "NEWNS"}, {"type": "NEWNS"}], "namespaces[1].type"),
    ("namespaces", [{"type": "NEWPID", "path": "x"}], "namespaces[0].path"),
    ("namespaces", {"NEWX": True}, "namespaces.NEWX"),
    ("namespaces", {"NEWNS": 1}, "namespaces.NEWNS"),
    ("uid_mappings", [ONE], None),
    ("uid_mappings", {}, None),
    ("gid_mappings", [{"container_id": 0, "host_id": 1}], "gid_mappings[0].size"),
    ("gid_mappings", [{**ONE, "host_id": -1}], "gid_mappings[0].host_id"),
    ("capabilities", "KILL", None),
    ("capabilities", ["FLY"], "capabilities[0]"),
    ("capabilities", ["KILL", 5], "capabilities[1]"),
    ("capabilities", {"Bonding": []}, "capabilities.Bonding"),
    ("capabilities", {"Bounding": ["CAP_X"]}, "capabilities.Bounding[0]"),
    ("capabilities", {"Effective": ["CAP_KILL"]}, "capabilities.effective"),
    ("rlimits", [{}], "rlimits[0].type"),
    ("rlimits", [{"type": 16, "hard": 1, "soft": 1}], "rlimits[0].type"),
    ("rlimits", [{"type": "RLIMIT_CORE"}], "rlimits[0].type"),
    ("rlimits", [{"type": 7, "hard": 1, "soft": 2}], "rlimits[0].soft"),
    ("rlimits", [{"type": 7, "hard": 2**64}], "rlimits[0].hard"),
    ("rlimits", [{"type": 7}, {"type": 7}], "rlimits[1].type"),
    ("additional_groups", "audio", None),
    ("additional_groups", [True], "additional_groups[0]"),
    ("additional_groups", ["a b"], "additional_groups[0]"),
    ("mask_paths", ["x"], "mask_paths[0]"),
    ("readonly_paths", [3], "readonly_paths[0]"),
    ("system_properties", {"vm.swappiness": "1"}, "system_properties[vm.swappiness]"),
    ("sysctl", {"net.ipv4.ip_forward": 1}, "sysctl[net.ipv4.ip_forward]"),
    ("environment", ["A"], "environment[0]"),
    ("user", "a b", None),
    # mounts
    ("mounts", {}, None),
    ("mounts", [3], "mounts[0]"),
    ("mounts", [{}], "mounts[0].destination"),
    ("mounts", mount(destination="/"), "mounts[0].destination"),
    ("mounts", mount(destination="/proc/self"), "mounts[0].destination"),
    ("mounts", mount(device=""), "mounts[0].device"),
    ("mounts", mount(device=3), "mounts[0].device"),
    ("mounts", mount(flags="ro"), "mounts[0].flags"),
    ("mounts", mount(flags=1 << 30), "mounts[0].flags"),
    ("mounts", mount(flags=-1), "mounts[0].flags"),
    ("mounts", mount(flags=3 << 17), "mounts[0].flags"),
    ("mounts", mount(propagation_flags=[7]), "mounts[0].propagation_flags[0]"),
    ("mounts", mount(device="bind", source=""), "mounts[0].source"),
    ("mounts", mount(device="bind", source="x"), "mounts[0].source"),
    ("mounts", mount(device="bind", source="/a", data="x=1"), "mounts[0].options[0]"),
    ("mounts", mount(relabel="q"), "mounts[0].relabel"),
    ("mounts", mount(relabel="z"), "mounts[0].relabel"),
    ("mounts", mount(premount_cmds=[{}]), "mounts[0].premount_cmds[0].path"),
    ("mounts", mount(postmount_cmds=[{"path": "x"}]),
     "mounts[0].postmount_cmds[0].path"),
    ("mount_config", {"mounts": [{"destination": "/x"}]},
     "mount_config.mounts[0].type"),
    ("mount_config", {"mounts": [{"destination": "/x", "type": "nfs"}]},
     "mount_config.mounts[0].type"),
    ("mount_config", {"device_nodes": [{"type": 99}]},
     "mount_config.device_nodes[0].path"),
    # devices
    ("devices", {}, None),
    ("devices", device(type=120), "devices[0].type"),
    ("devices", device(type="cc"), "devices[0].type"),
    ("devices", device(type=10**9), "devices[0].type"),
    ("devices", device(path="x"), "devices[0].path"),
    ("devices", device(path="/dev"), "devices[0].path"),
    ("devices", device(major=5000), "devices[0].major"),
    ("devices", device(minor=-2), "devices[0].minor"),
    ("devices", device(file_mode=-1), "devices[0].file_mode"),
    ("devices", device(uid=2**32), "devices[0].uid"),
    ("devices", device() + device(minor=3), "devices[1].path"),
    (f"{C}.allowed_devices", device(permissions="rx"),
     f"{C}.allowed_devices[0].permissions"),
    (f"{C}.allowed_devices", device(type=112), f"{C}.allowed_devices[0].type"),
    (f"{C}.allow_all_devices", 1, None),
    # networks
    ("networks", {}, None),
    ("networks", [{}], "networks[0].type"),
    ("networks", [{"type": "macvlan"}], "networks[0].type"),
    ("networks", [{**VETH, "address": "1.2.3"}], "networks[0].address"),
    ("networks", [{**VETH, "gateway": "10.0.0.1"}], "networks[0].gateway"),
    ("networks", [{**VETH, "mtu": "big"}], "networks[0].mtu"),
    ("networks", [{**VETH, "mac_address": "x"}], "networks[0].mac_address"),
    ("networks", [{**VETH, "hairpin_mode": 1}], "networks[0].hairpin_mode"),
    ("routes", [{"destination": "nowhere"}], "routes[0].destination"),
    # cgroups
    (C, [], None),
    (f"{C}.name", "..", None),
    (f"{C}.name", 3, None),
    (f"{C}.path", "/", f"{C}.cgroupsPath"),
    (f"{C}.memory", "64M", None),
    (f"{C}.memory", 2**63, None),
    (f"{C}.memory_swap", 5, None),
    (C, {"memory": 8192, "memory_swap": 4096}, f"{C}.memory_swap"),
    (f"{C}.memory_swappiness", 101, None),
    (f"{C}.oom_kill_disable", 1, None),
    (f"{C}.cpu_shares", -1, None),
    (f"{C}.cpu_quota", 5, None),
    (f"{C}.cpu_period", 5, None),
    (C, {"cpu_quota": 5000, "cpu_burst": 6000}, f"{C}.cpu_burst"),
    (f"{C}.cpuset_cpus", "a", None),
    (f"{C}.cpuset_mems", "3-1", None),
    (f"{C}.blkio_weight", 5, None),
    (f"{C}.blkio_weight_device", "8:0", None),
    (f"{C}.blkio_throttle_read_bps_device", "sda 5", None),
    (f"{C}.blkio_throttle_write_iops_device", [{"rate": -1}],
     f"{C}.blkio_throttle_write_iops_device[0].rate"),
    (f"{C}.hugetlb_limit", [{"limit": 1}], f"{C}.hugetlb_limit[0].page_size"),
    (f"{C}.hugetlb_limit", [{"page_size": "2M"}], f"{C}.hugetlb_limit[0].page_size"),
    (f"{C}.net_cls_classid", "one", None),
    (f"{C}.net_cls_classid", "0x1ffffffff", None),
    (f"{C}.net_prio_ifpriomap", [{"priority": 1}],
     f"{C}.net_prio_ifpriomap[0].interface"),
    (f"{C}.resources", {"memory": "x"}, f"{C}.resources.memory"),
    (f"{C}.unified", {"cgroup.kill": "1"}, f"{C}.unified[cgroup.kill]"),
    # seccomp
    ("seccomp", [], None),
    ("seccomp", syscall(value=9999), "seccomp.syscalls[0].value"),
    ("seccomp", syscall(value="read"), "seccomp.syscalls[0].value"),
    ("seccomp", syscall(action=-4), "seccomp.syscalls[0].action"),
    ("seccomp", syscall(args=[{"index": 6}]), "seccomp.syscalls[0].args[0].index"),
    ("seccomp", syscall(args=[{"op": 5}]), "seccomp.syscalls[0].args[0].op"),
    ("seccomp", {"default_action": 99}, "seccomp.default_action"),
    ("seccomp", named(name=""), "seccomp.syscalls[0].name"),
    ("seccomp", named(action=0), "seccomp.syscalls[0].action"),
    ("seccomp", named(args=[{"op": 8}]), "seccomp.syscalls[0].args[0].op"),
    ("seccomp", named() | {"architectures": ["z80"]}, "seccomp.architectures[0]"),
    # hooks
    ("Hooks", {"poststop": [{"path": "x"}]}, "Hooks.poststop[0].path"),
    ("time_offsets", {"wall": {}}, "time_offsets.wall"),
]  # fmt: skip

BAD_LIBCONTAINER: list[tuple[str, Any]] = [
    (complaint or path, with_field(path, value)) for path, value, complaint in _TABLE
]
BAD_LIBCONTAINER += [
    ("", []),
    ("", b"[1]"),
    ("", b'{"rootfs": "/a", "rootfs": "/b"}'),
    ("rootfs", {}),
]

# Fields that are refused because they would have to be acted on.
UNSUPPORTED: list[tuple[str, Any, str | None]] = [
    (f"{C}.freezer", "FROZEN", None),
    ("seccomp_config", {"enable": True}, None),
    ("seccomp", syscall(args=[{"op": 4}]), "seccomp.syscalls[0].args[0].op"),
]
