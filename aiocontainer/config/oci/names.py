"""Complaints of our models, told by the paths of the OCI document."""

import re
from collections.abc import Sequence
from typing import Final

from aiocontainer.errors import ConfigError

__all__ = ("in_oci_words",)

# Where the fields of Config come from; others of it are never wrong here.
_TOP: Final = {
    "rootfs": "root",
    "hostname": "hostname",
    "domainname": "domainname",
    "mounts": "mounts",
    "hooks": "hooks",
    "apparmor_profile": "process.apparmorProfile",
    "selinux_label": "process.selinuxLabel",
    "user": "process.user",
    "groups": "process.user.additionalGids",
    "umask": "process.user.umask",
    "cwd": "process.cwd",
    "env": "process.env",
    "capabilities": "process.capabilities",
    "no_new_privs": "process.noNewPrivileges",
    "rlimits": "process.rlimits",
    "oom_score_adj": "process.oomScoreAdj",
    "scheduler": "process.scheduler",
    "io_priority": "process.ioPriority",
    "exec_cpu_affinity": "process.execCPUAffinity",
    "network": "linux.netDevices",
    "cgroup": "linux.cgroupsPath",
    "system_devices": "linux.devices",
}
_WHOLE: Final = frozenset({"cgroup", "user"})
"""Fields that are one value in OCI."""

_PARTS: Final = {
    "container_id": "containerID",
    "host_id": "hostID",
    "limit_bytes": "limit",
    "reservation_bytes": "reservation",
    "swap_bytes": "swap",
    "kernel_bytes": "kernel",
    "kernel_tcp_bytes": "kernelTCP",
    "oom_kill_disable": "disableOOMKiller",
    "quota_us": "quota",
    "period_us": "period",
    "burst_us": "burst",
    "realtime_runtime_us": "realtimeRuntime",
    "realtime_period_us": "realtimePeriod",
    "pids_limit": "pids.limit",
    "block_io": "blockIO",
    "weight_devices": "weightDevice",
    "throttle_read_bps": "throttleReadBpsDevice",
    "throttle_write_bps": "throttleWriteBpsDevice",
    "throttle_read_iops": "throttleReadIOPSDevice",
    "throttle_write_iops": "throttleWriteIOPSDevice",
    "bytes_per_s": "rate",
    "operations_per_s": "rate",
    "class_id": "classID",
    "clos_id": "closID",
    "l3_cache_schema": "l3CacheSchema",
    "io_class": "class",
    "level": "priority",
    "runtime_ns": "runtime",
    "deadline_ns": "deadline",
    "period_ns": "period",
    "default_errno": "defaultErrnoRet",
    "errno": "errnoRet",
}
_NAME: Final = r"[a-z_]+"
_RULE: Final = r"(seccomp\.syscalls)\[(\d+)\]"
_DEVICE: Final = r"^network\[(\d+)\]"
_WORDS: Final = r"\b[a-z]+(?:_[a-z]+)+\b"


def in_oci_words(
    error: ConfigError,
    rule_sources: Sequence[int] = (),
    devices: Sequence[str] = (),
    part: tuple[str, str] = ("", ""),
) -> ConfigError:
    """The same complaint, its notes included, with the paths of the document.

    Args:
        error: of a model.
        rule_sources: for each rule of our filter the index of the document's.
        devices: for each network the device that it is named by.
        part: what the model and the document are a part of, in our words and in OCI's,
            each with a dot behind; neither begins a path of theirs.
    """
    ours, theirs = part

    def path(field: str) -> str:
        return _path(f"{ours}{field}", rule_sources, devices).removeprefix(theirs)

    told = ConfigError(path(error.field), _reason(error.reason))
    for note in getattr(error, "__notes__", ()):
        field, colon, reason = note.removeprefix("also ").partition(": ")
        if colon:
            told.add_note(f"also {path(field)}: {_reason(reason)}")
    return told


def _path(field: str, rule_sources: Sequence[int], devices: Sequence[str]) -> str:
    field = re.sub(_RULE, lambda m: f"{m[1]}[{_at(int(m[2]), rule_sources)}]", field)
    field = re.sub(_DEVICE, lambda m: f"network.{_at(int(m[1]), devices)}", field)
    found = re.match(_NAME, field)
    if found is None:
        return field
    first, rest = found[0], field[found.end() :]
    if first in _WHOLE:
        return _TOP[first]
    start = _TOP.get(first) or f"linux.{_camel(first)}"
    # What is in brackets is an index, or a name of the document's own.
    pieces = re.split(r"(\[[^\]]*\])", rest)
    return start + "".join(
        piece if piece.startswith("[") else re.sub(_NAME, lambda m: _part(m[0]), piece)
        for piece in pieces
    )


def _at(index: int, names: Sequence[object]) -> object:
    return names[index] if index < len(names) else index


def _part(name: str) -> str:
    return _PARTS.get(name) or _camel(name)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _reason(text: str) -> str:
    return re.sub(_WORDS, lambda m: _part(m[0]), text)
