"""From what ``Config.model_dump()`` gives to an OCI document that means the same.

What OCI has no word for is refused, and never left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiocontainer.errors import UnsupportedFeature

from ..kernel_names import DEVICE_NUMBERS
from .cgroup_path import write_cgroup, write_properties
from .hooks import write_hooks
from .intel_rdt import write_intel_rdt
from .process import LABELS, UNLIMITED
from .scheduling import write_domain, write_scheduling, write_time_offsets
from .write_resources import write_resources
from .write_seccomp import write_seccomp

__all__ = ("OCI_VERSION", "write_document")

OCI_VERSION: Final = "1.2.1"
"""Of the documents that are written: the first with all that may be in one."""

_WRITTEN: Final = """
annotations apparmor_profile bundle capabilities cgroup cwd devices domainname env
exec_cpu_affinity gid_mappings groups hooks hostname intel_rdt io_priority masked_paths
memory_policy mount_label mounts namespaces network no_new_privs oom_score_adj
personality pivot_root readonly_paths resources rlimits rootfs rootfs_propagation
scheduler seccomp selinux_label session_keyring sysctl system_devices system_mounts
time_offsets uid_mappings umask user
"""
_WITHOUT_WORD: Final = {
    "scheduler": ("util_min", "util_max"),
}


def write_document(
    config: Mapping[str, Any],
    args: Sequence[str],
    terminal: bool | tuple[int, int],
) -> dict[str, Any]:
    """The document of a config and a program. The bundle isn't a part of it.

    Raises:
        UnsupportedFeature: OCI has no word for something; names the config's field.
    """
    _refuse_the_rest(config)
    document: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "root": _root(config["rootfs"]),
        "process": _process(config, args, terminal),
        "mounts": [
            _mount(f"{field}[{index}]", mount)
            for field in ("system_mounts", "mounts")
            for index, mount in enumerate(config[field])
        ],
        "linux": _linux(config),
    }
    for name in ("hostname", "domainname"):
        if config[name] is not None:
            document[name] = config[name]
    if hooks := write_hooks(config["hooks"]):
        document["hooks"] = hooks
    properties = write_properties(config["cgroup"]["systemd_properties"])
    if annotations := {**config["annotations"], **properties}:
        document["annotations"] = annotations
    return document


def _no_word(field: str, reason: str = "has no place in an OCI document") -> Exception:
    return UnsupportedFeature(field, reason)


def _says(value: object) -> bool:
    """Whether it says anything: nothing is said by what is empty all through."""
    if isinstance(value, Mapping):
        return any(map(_says, value.values()))
    if isinstance(value, str | tuple | list | set | frozenset):
        return bool(value)
    return value is not None and value is not False


def _refuse_the_rest(config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        if name not in _WRITTEN.split() and _says(value):
            raise _no_word(name)
    for field, names in _WITHOUT_WORD.items():
        for name in names:
            if _says((config[field] or {}).get(name)):
                raise _no_word(f"{field}.{name}")
    for name in ("session_keyring", "pivot_root"):
        if not config[name]:
            raise _no_word(name, "an OCI runtime is told by its command line")


def _root(rootfs: Mapping[str, Any]) -> dict[str, Any]:
    if rootfs["kind"] != "directory":
        raise _no_word("rootfs", f"OCI knows directories only, not {rootfs['kind']}")
    if rootfs["idmap"]:
        raise _no_word("rootfs.idmap")
    return {"path": rootfs["path"], "readonly": rootfs["readonly"]}


def _process(
    config: Mapping[str, Any], args: Sequence[str], terminal: bool | tuple[int, int]
) -> dict[str, Any]:
    process: dict[str, Any] = {
        "terminal": bool(terminal),
        "user": _user(config),
        "cwd": config["cwd"],
        "env": [f"{name}={value}" for name, value in config["env"].items()],
        "capabilities": {k: list(v) for k, v in config["capabilities"].items()},
        "noNewPrivileges": config["no_new_privs"],
        "rlimits": [
            {
                "type": name,
                "soft": UNLIMITED if limit["soft"] is None else limit["soft"],
                "hard": UNLIMITED if limit["hard"] is None else limit["hard"],
            }
            for name, limit in config["rlimits"].items()
        ],
    }
    if args:
        process["args"] = list(args)
    if isinstance(terminal, tuple):
        process["consoleSize"] = {"height": terminal[0], "width": terminal[1]}
    process |= write_scheduling(config)
    for name, field in LABELS.items():
        if config[field] is not None:
            process[name] = config[field]
    if config["oom_score_adj"] is not None:
        process["oomScoreAdj"] = config["oom_score_adj"]
    return process


def _user(config: Mapping[str, Any]) -> dict[str, Any]:
    user, colon, group = config["user"].partition(":")
    if not user.isdecimal() or (colon and not group.isdecimal()):
        raise _no_word("user", "OCI knows users and groups by number only")
    if not colon and int(user):
        raise _no_word("user", "OCI wants the number of the group too")
    for index, name in enumerate(config["groups"]):
        if not isinstance(name, int):
            raise _no_word(f"groups[{index}]", "OCI knows groups by number only")
    return {
        "uid": int(user),
        "gid": int(group or 0),
        "umask": config["umask"],
        "additionalGids": list(config["groups"]),
    }


def _mount(path: str, mount: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("relabel", "premount_commands", "postmount_commands"):
        if mount[name]:
            raise _no_word(f"{path}.{name}")
    document: dict[str, Any] = {
        "destination": mount["destination"],
        "options": list(mount["options"]),
    }
    for name in ("source", "type"):
        if mount[name] is not None:
            document[name] = mount[name]
    for field, name in (
        ("uid_mappings", "uidMappings"),
        ("gid_mappings", "gidMappings"),
    ):
        if mount[field]:
            document[name] = _mappings(mount[field])
    return document


def _mappings(mappings: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    return [
        {
            "containerID": mapping["container_id"],
            "hostID": mapping["host_id"],
            "size": mapping["size"],
        }
        for mapping in mappings
    ]


def _linux(config: Mapping[str, Any]) -> dict[str, Any]:
    linux: dict[str, Any] = {
        "namespaces": _namespaces(config["namespaces"]),
        "devices": _devices(config),
        "resources": write_resources(config["resources"], config["devices"]),
        "sysctl": dict(config["sysctl"]),
        "rootfsPropagation": config["rootfs_propagation"],
        "maskedPaths": list(config["masked_paths"]),
        "readonlyPaths": list(config["readonly_paths"]),
    }
    linux |= write_domain(config)
    optional = {
        "mountLabel": config["mount_label"],
        "intelRdt": write_intel_rdt(config["intel_rdt"]),
        "uidMappings": _mappings(config["uid_mappings"]) or None,
        "gidMappings": _mappings(config["gid_mappings"]) or None,
        "timeOffsets": write_time_offsets(config["time_offsets"]) or None,
        "netDevices": _net_devices(config["network"]) or None,
    }
    linux |= {name: value for name, value in optional.items() if value is not None}
    if (path := _cgroups_path(config["cgroup"])) is not None:
        linux["cgroupsPath"] = path
    if config["seccomp"] is not None:
        bounding = frozenset(config["capabilities"]["bounding"])
        linux["seccomp"] = write_seccomp(config["seccomp"], bounding)
    return linux


def _namespaces(choices: Mapping[str, str]) -> list[dict[str, str]]:
    if choices["user"] == "auto":
        raise _no_word("namespaces.user", "OCI wants the mappings of ids")
    return [
        {"type": kind} if choice == "new" else {"type": kind, "path": choice}
        for kind, choice in choices.items()
        if choice != "host"
    ]


def _net_devices(networks: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    devices = {}
    for index, network in enumerate(networks):
        if network["kind"] == "device":
            name = network["name"]
            devices[network["device"]] = {} if name is None else {"name": name}
        elif network["kind"] != "loopback":
            raise _no_word(f"network[{index}]", "OCI leaves networks to hooks")
    return devices


def _cgroups_path(cgroup: Mapping[str, Any]) -> str | None:
    mode, parent, name = cgroup["mode"], cgroup["parent"], cgroup["name"]
    if mode in ("v1", "v2"):
        raise _no_word("cgroup.mode", "an OCI runtime takes what is mounted")
    if name is None and parent is not None:
        raise _no_word("cgroup.parent", "OCI wants the name of the cgroup too")
    if mode == "systemd":
        if ":" in f"{parent}{name}":
            raise _no_word("cgroup.name", "has a colon, which separates parts in OCI")
        if name is not None and not name.endswith(".scope"):
            name = f"aiocontainer-{name}"
    return write_cgroup(mode, parent, name)


def _devices(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that a runtime supplies anyway aren't named."""
    devices = (*config["system_devices"], *config["devices"])
    for device in devices:
        if device["host_path"] is not None:
            raise _no_word("devices", "OCI wants the numbers of a device, not its path")
    found = [_device(device) for device in devices]
    paths = {device["path"] for device in found}
    for path in DEVICE_NUMBERS:
        if path not in paths:
            raise _no_word("system_devices", f"an OCI runtime supplies {path} anyway")
    usual = [_usual(path, *number) for path, number in DEVICE_NUMBERS.items()]
    return [device for device in found if device not in usual]


def _usual(path: str, major: int, minor: int) -> dict[str, Any]:
    number = {"major": major, "minor": minor, "file_mode": 0o666}
    return _device({"path": path, "type": "c", **number, "uid": 0, "gid": 0})


def _device(device: Mapping[str, Any]) -> dict[str, Any]:
    document = {
        "path": device["path"],
        "type": device["type"],
        "fileMode": device["file_mode"],
        "uid": device["uid"],
        "gid": device["gid"],
    }
    if device["type"] != "p":
        document |= {"major": device["major"], "minor": device["minor"]}
    return document
