"""Complaints of our models, told by the paths of a ``container.json``."""

import re
from collections.abc import Mapping
from typing import Any, Final

from aiocontainer.errors import ConfigError

__all__ = ("in_libcontainer_words",)

# Our field, without indexes -> theirs; the longest that fits counts.
_PATHS: Final = {
    "rootfs.path": "rootfs",
    "rootfs.readonly": "readonlyfs",
    "network": "networks",
    "system_devices": "devices",
    "masked_paths": "mask_paths",
    "groups": "additional_groups",
    "env": "environment",
    "cwd": "working_dir",
    "selinux_label": "process_label",
    "no_new_privs": "no_new_privileges",
    "cgroup": "cgroups",
    "cgroup.parent": "cgroups.parent",
    "cgroup.name": "cgroups.name",
    "resources": "cgroups",
    "resources.memory.limit_bytes": "cgroups.memory",
    "resources.cpu.quota_us": "cgroups.cpu_quota",
    "resources.cpu.period_us": "cgroups.cpu_period",
    "resources.cpu.burst_us": "cgroups.cpu_burst",
    "resources.cpu.weight": "cgroups.cpu_weight",
    "resources.cpu.realtime_runtime_us": "cgroups.cpu_rt_runtime",
    "resources.cpu.realtime_period_us": "cgroups.cpu_rt_period",
    "resources.cpu.cpus": "cgroups.cpuset_cpus",
    "resources.cpu.mems": "cgroups.cpuset_mems",
    "resources.block_io.weight": "cgroups.blkio_weight",
    "resources.block_io.leaf_weight": "cgroups.blkio_leaf_weight",
    "resources.block_io.weight_devices": "cgroups.blkio_weight_device",
    "resources.block_io.throttle_read_bps": "cgroups.blkio_throttle_read_bps_device",
    "resources.block_io.throttle_write_bps": "cgroups.blkio_throttle_write_bps_device",
    "resources.block_io.throttle_read_iops": "cgroups.blkio_throttle_read_iops_device",
    "resources.block_io.throttle_write_iops": (
        "cgroups.blkio_throttle_write_iops_device"
    ),
    "resources.hugepage_limits": "cgroups.hugetlb_limit",
    "resources.memory.swappiness": "cgroups.memory_swappiness",
    "resources.network.priorities": "cgroups.net_prio_ifpriomap",
    "resources.unified": "cgroups.unified",
}
_MOUNT_WORDS: Final = {
    ".type": ".device",
    ".premount_commands": ".premount_cmds",
    ".postmount_commands": ".postmount_cmds",
    ".directory": ".dir",
}
_MOUNT_WORD: Final = re.compile("|".join(map(re.escape, _MOUNT_WORDS)))
_WHOLE: Final = frozenset({"cgroups"})
_NETWORK: Final = re.compile(r"^network\[(\d+)\]")
_STEP: Final = re.compile(r"\.?([^.\[]+)|(\[[^\]]*\])")


def in_libcontainer_words(
    error: ConfigError, document: Mapping[str, Any]
) -> ConfigError:
    """The same complaint with the path of the document."""
    field = _NETWORK.sub(lambda m: _network(int(m[1]), document), error.field)
    if field.startswith("sysctl") and document.get("system_properties"):
        field = f"system_properties{field.removeprefix('sysctl')}"
    return ConfigError(_path(field), error.reason)


def _network(index: int, document: Mapping[str, Any]) -> str:
    """Routes come after networks in our list."""
    networks = len(document.get("networks") or ())
    return f"network[{index}]" if index < networks else f"routes[{index - networks}]"


def _path(field: str) -> str:
    """Longest prefix first; indexes stay where they are."""
    if field.startswith("mounts["):
        return _MOUNT_WORD.sub(lambda m: _MOUNT_WORDS[m[0]], field)
    steps = [
        (name, "") if name else ("", index) for name, index in _STEP.findall(field)
    ]
    for length in range(len(steps), 0, -1):
        plain = ".".join(name for name, _ in steps[:length] if name)
        theirs = _PATHS.get(plain)
        if theirs is not None and (length == len(steps) or theirs not in _WHOLE):
            indexes = "".join(index for _, index in steps[:length])
            rest = "".join(
                f".{name}" if name else index for name, index in steps[length:]
            )
            return f"{theirs}{indexes}{rest}"
    return _PATHS.get(steps[0][0], field) if steps else field
