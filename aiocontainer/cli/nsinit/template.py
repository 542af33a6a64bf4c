"""The ``container.json`` that nsinit's flags describe, in libcontainer's words."""

from __future__ import annotations

import os
import secrets
from typing import Any, Final

from ...errors import ConfigError

_NOEXEC_NOSUID_NODEV: Final = 8 | 2 | 4  # MS_NOEXEC, MS_NOSUID, MS_NODEV
_NOSUID_STRICTATIME: Final = 2 | 1 << 24
_RDONLY: Final = 1
_BIND_REC: Final = 4096 | 16384
_CHARACTER: Final = ord("c")
_BLOCK: Final = ord("b")
_ANY: Final = -1
_INT32_MAX: Final = 2**31 - 1

# In the order of nsinit's flags: name, and what a container gets.
NAMESPACES: Final = {
    "ipc": "NEWIPC",
    "mnt": "NEWNS",
    "net": "NEWNET",
    "pid": "NEWPID",
    "uts": "NEWUTS",
}

CAPABILITIES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID"),
    *("SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL"),
    "AUDIT_WRITE",
)
_SECURITY: Final = {
    "high": ("NET_BIND_SERVICE", "KILL", "AUDIT_WRITE"),
    "medium": (
        *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID"),
        *("SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "KILL", "AUDIT_WRITE"),
    ),
    "low": (*CAPABILITIES, "SYS_RESOURCE", "NET_ADMIN", "SYS_TTY_CONFIG"),
}
"""Capabilities by profile."""
_REFUSED: Final = {
    "x86_64": {"unshare": 272, "setns": 308, "mount": 165, "umount2": 166},
    "aarch64": {"unshare": 97, "setns": 268, "mount": 40, "umount2": 39},
}
"""System calls that each profile answers with EPERM, by this machine's numbers."""

_MOUNTS: Final = (
    ("proc", "/proc", "proc", _NOEXEC_NOSUID_NODEV, ""),
    ("tmpfs", "/dev", "tmpfs", _NOSUID_STRICTATIME, "mode=755"),
    (
        "devpts",
        "/dev/pts",
        "devpts",
        8 | 2,
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    ),
    ("shm", "/dev/shm", "tmpfs", _NOEXEC_NOSUID_NODEV, "mode=1777,size=65536k"),
    ("mqueue", "/dev/mqueue", "mqueue", _NOEXEC_NOSUID_NODEV, ""),
    ("sysfs", "/sys", "sysfs", _NOEXEC_NOSUID_NODEV | _RDONLY, ""),
)
_DEVICES: Final = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/urandom", 1, 9),
    ("/dev/random", 1, 8),
)
_ALLOWED: Final = (
    (_CHARACTER, _ANY, _ANY, "m"),
    (_BLOCK, _ANY, _ANY, "m"),
    (_CHARACTER, 5, 1, "rwm"),
    (_CHARACTER, 136, _ANY, "rwm"),
    (_CHARACTER, 5, 2, "rwm"),
    (_CHARACTER, 10, 200, "rwm"),
)


def template(rootfs: str, name: str) -> dict[str, Any]:
    """The document that `nsinit config` starts from.

    Args:
        rootfs: absolute path of the root directory.
        name: of the cgroup.
    """
    devices = [
        {
            "type": _CHARACTER,
            "path": path,
            "major": major,
            "minor": minor,
            "permissions": "rwm",
            "file_mode": 0o666,
        }
        for path, major, minor in _DEVICES
    ]
    return {
        "rootfs": rootfs,
        "readonlyfs": False,
        "parent_death_signal": 0,
        "hostname": "nsinit",
        "namespaces": [{"type": kind} for kind in NAMESPACES.values()],
        "capabilities": list(CAPABILITIES),
        "mounts": [_mount(*fields) for fields in _MOUNTS],
        "devices": devices,
        "networks": [{"type": "loopback", "address": "127.0.0.1/0"}],
        "mask_paths": ["/proc/kcore", "/proc/sched_debug", "/sys/firmware"],
        "readonly_paths": [
            *("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus")
        ],
        "rlimits": [{"type": 7, "hard": 1024, "soft": 1024}],
        "cgroups": {
            "name": name,
            "parent": "nsinit",
            "allow_all_devices": False,
            "allowed_devices": [
                *({"type": t, "major": a, "minor": i, "permissions": p}
                  for t, a, i, p in _ALLOWED),
                *devices,
            ],
        },
    }  # fmt: skip


def changed(document: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """The document with what nsinit's create flags say.

    Args:
        document: a ``container.json``, which stays as it is.
        flags: values by name, ``None`` or empty where a flag wasn't given.

    Raises:
        ConfigError: a flag is wrong.
    """
    new = {**document, "cgroups": dict(document.get("cgroups") or {})}
    for flag, field in _PLAIN.items():
        if flags[flag]:
            new[field] = flags[flag]
    for flag, field in _LIMITS.items():
        if flags[flag] not in (None, ""):
            new["cgroups"][field] = flags[flag]
    if flags["rootfs"]:
        new["rootfs"] = os.path.abspath(flags["rootfs"])
    more = [*map(_bind, flags["bind"]), *map(_tmpfs, flags["tmpfs"])]
    new["mounts"] = [*(new.get("mounts") or ()), *more]
    if flags["sysctl"]:
        new["system_properties"] = dict(map(_pair, flags["sysctl"]))
    _change_namespaces(new, flags)
    if flags["veth_bridge"]:
        new["networks"] = [*(new.get("networks") or ()), _veth(flags)]
    if flags["security"]:
        new |= _secured(flags["security"])
    return new


_PLAIN: Final = {
    "read_only": "readonlyfs",
    "parent_death_signal": "parent_death_signal",
    "apparmor_profile": "apparmor_profile",
    "process_label": "process_label",
    "mount_label": "mount_label",
    "hostname": "hostname",
    "groups": "additional_groups",
}
_LIMITS: Final = {
    "cgroup": "parent",
    "cpushares": "cpu_shares",
    "memory_limit": "memory",
    "memory_swap": "memory_swap",
    "memory_swappiness": "memory_swappiness",
    "cpuset_cpus": "cpuset_cpus",
    "cpuset_mems": "cpuset_mems",
}


def _change_namespaces(new: dict[str, Any], flags: dict[str, Any]) -> None:
    kinds = {entry["type"]: entry for entry in new.get("namespaces") or ()}
    for flag, kind in NAMESPACES.items():
        choice = flags[flag]
        if choice == "host":
            kinds.pop(kind, None)
        elif choice:
            path = {} if choice == "private" else {"path": choice}
            kinds[kind] = {"type": kind, **path}
    if "NEWNET" not in kinds:
        new["networks"] = []
    if "NEWUTS" not in kinds:
        new["hostname"] = ""
    root = flags["userns_root_uid"]
    if root is not None and root >= 0:
        kinds["NEWUSER"] = {"type": "NEWUSER"}
        mappings = [{"container_id": 0, "host_id": root, "size": 1}]
        if root > 1:
            mappings.append({"container_id": 1, "host_id": 1, "size": root - 1})
        rest = {"container_id": max(root, 1), "host_id": root + 1}
        mappings.append({**rest, "size": _INT32_MAX - root})
        new |= {"uid_mappings": mappings, "gid_mappings": mappings}
    new["namespaces"] = list(kinds.values())


def _secured(profile: str) -> dict[str, Any]:
    numbers = _REFUSED.get(os.uname().machine, {}).values()
    return {
        "capabilities": list(_SECURITY[profile]),
        "seccomp": {"syscalls": [{"value": n, "action": 1} for n in numbers]},
    }


def _veth(flags: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "veth",
        "name": "eth0",
        "bridge": flags["veth_bridge"],
        "address": flags["veth_address"] or "",
        "gateway": flags["veth_gateway"] or "",
        "mtu": flags["veth_mtu"] or 0,
        "host_interface_name": f"veth{secrets.token_hex(4)}",
    }


def _mount(
    source: str, destination: str, device: str, flags: int, data: str
) -> dict[str, Any]:
    return {
        "source": source,
        "destination": destination,
        "device": device,
        "flags": flags,
        "data": data,
    }


def _bind(text: str) -> dict[str, Any]:
    source, _, rest = text.partition(":")
    destination, _, mode = rest.partition(":")
    if not source or not destination or mode not in ("", "ro", "rw"):
        raise ConfigError("--bind", f"{text!r} should be SOURCE:DIR[:ro|rw]")
    flags = _BIND_REC | (_RDONLY if mode == "ro" else 0)
    return _mount(os.path.abspath(source), destination, "bind", flags, "")


def _tmpfs(destination: str) -> dict[str, Any]:
    return _mount("tmpfs", destination, "tmpfs", _NOSUID_STRICTATIME, "mode=755")


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise ConfigError("--sysctl", f"{text!r} should be NAME=VALUE")
    return name, value
