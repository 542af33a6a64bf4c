"""From a ``container.json`` to the keywords of our models."""

import posixpath
from typing import Any, Final

from ..document import Node
from ..kernel_names import CAPABILITIES, RLIMITS
from ..oci.cgroup_path import CgroupManager
from ..oci.hooks import read_environment, read_hooks
from ..oci.intel_rdt import read_intel_rdt
from ..oci.scheduling import read_time_offsets
from .cgroups import read_cgroup, read_resources
from .devices import read_devices
from .mounts import read_mount_config, read_mounts
from .network import read_network
from .seccomp import read_seccomp

__all__ = ("read_container",)

_NAMESPACES: Final = {
    "NEWNS": "mount",
    "NEWPID": "pid",
    "NEWUTS": "uts",
    "NEWIPC": "ipc",
    "NEWNET": "network",
    "NEWCGROUP": "cgroup",
    "NEWUSER": "user",
    "NEWTIME": "time",
}
_PROPAGATIONS: Final = {
    1 << 17: "unbindable",
    1 << 18: "private",
    1 << 19: "slave",
    1 << 20: "shared",
}
_MS_REC: Final = 1 << 14
_ID: Final = (0, 4_294_967_294)
_RLIM_INFINITY: Final = 2**64 - 1
_RLIMIT_NAMES: Final = {number: name for name, number in RLIMITS.items()}

# Fields without effect: what they are about isn't needed, or is done anyway.
_IGNORED: Final = (
    *("version", "labels", "rootless_euid", "rootless_cgroups", "tty"),
    *("console", "restrict_sys", "working_dir"),
)
_KNOWN: Final = (
    *(
        "no_pivot_root",
        "pivot_dir",
        "parent_death_signal",
        "rootfs",
        "readonlyfs",
        "privatefs",
    ),
    *("mounts", "devices", "mount_label", "hostname", "domainname", "namespaces"),
    *("capabilities", "networks", "routes", "cgroups", "apparmor_profile"),
    *("process_label", "rlimits", "additional_groups", "uid_mappings"),
    *("gid_mappings", "mask_paths", "readonly_paths", "system_properties", "sysctl"),
    *("seccomp", "oom_score_adj", "no_new_privileges", "no_new_keyring", "umask"),
    *("rootPropagation", "hooks", "Hooks", "time_offsets", "environment", "user"),
    *("mount_config", "intel_rdt", "seccomp_config", "syscalls"),
)


def read_container(
    document: object, folder: str | None, manager: CgroupManager = "cgroupfs"
) -> tuple[dict[str, Any], list[str]]:
    """(keywords of `Config`, warnings) of a parsed document.

    Numbers and words that are 0 or empty say nothing there: Go writes them for what
    isn't set. What belongs to the process and isn't in the document (the 2015 ones have
    no environment or user) is left to `Config`.

    Args:
        document: the object that the file holds.
        folder: absolute path of the directory that is the root, or that a relative
            ``rootfs`` is taken from.
        manager: who makes the cgroup.

    Raises:
        ConfigError: a value is wrong; names the field by its path in the document.
        UnsupportedFeature: a field that isn't acted on.
    """
    top = Node(document)
    top.only(*_KNOWN, *_IGNORED)
    top.refuse("seccomp_config", "syscalls")
    old = top.node("mount_config")
    fields: dict[str, Any] = {
        "rootfs": _rootfs(top, folder, old),
        "namespaces": _namespaces(top),
        "uid_mappings": _mappings(top, "uid_mappings"),
        "gid_mappings": _mappings(top, "gid_mappings"),
        "network": read_network(top),
        "devices": (),
        "system_devices": read_devices(top, "devices"),
        "masked_paths": tuple(top.words("mask_paths")),
        "readonly_paths": tuple(top.words("readonly_paths")),
        "sysctl": top.map("system_properties") | top.map("sysctl"),
        "seccomp": read_seccomp(top.node("seccomp")),
        "rootfs_propagation": _propagation(top),
        "capabilities": _capabilities(top),
        "pivot_dir": None if (old or top).flag("no_pivot_root") else _pivot_dir(top),
        "no_new_privs": top.flag("no_new_privileges") or False,
        "session_keyring": not top.flag("no_new_keyring"),
        "pivot_root": not (old or top).flag("no_pivot_root"),
        "rlimits": _rlimits(top),
        "hooks": read_hooks(top.node("hooks") or top.node("Hooks")),
        "time_offsets": read_time_offsets(top, "time_offsets"),
        "cgroup": read_cgroup(top.part("cgroups"), manager),
        "resources": read_resources(top.part("cgroups")),
        "intel_rdt": read_intel_rdt(top.node("intel_rdt")),
        **_words(top),
    }
    fields |= _mounts(top, old, folder)
    return fields, top.warnings


def _mounts(top: Node, old: Node | None, folder: str | None) -> dict[str, Any]:
    if old is None:
        return {"system_mounts": (), "mounts": read_mounts(top, folder)}
    # In 2014 the library made /proc, /dev and the like by itself, as ours does.
    fields = read_mount_config(old, folder)
    fields["system_devices"] = read_devices(old, "device_nodes")
    if top.flag("restrict_sys"):
        from ..mounts import DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS

        fields["masked_paths"] = DEFAULT_MASKED_PATHS
        fields["readonly_paths"] = DEFAULT_READONLY_PATHS
    return fields


def _rootfs(top: Node, folder: str | None, old: Node | None) -> dict[str, Any]:
    path = top.word("rootfs")
    if path is None and folder is None:
        raise top.wrong("rootfs", "is missing")
    if path is None or not path.startswith("/"):
        if folder is None:
            raise top.wrong("rootfs", "is relative, and there is no directory for it")
        path = posixpath.join(folder, path or "")
    readonly = top.flag("readonlyfs") if old is None else old.flag("read_only")
    return {"kind": "directory", "path": path, "readonly": readonly or False}


def _pivot_dir(top: Node) -> str | None:
    path = top.word("pivot_dir")
    return path if path is None or path.startswith("/") else f"/{path}"


def _words(top: Node) -> dict[str, Any]:
    """What is the same but for its name, where it is said."""
    fields: dict[str, Any] = {}
    for name, field in (
        ("hostname", "hostname"),
        ("domainname", "domainname"),
        ("apparmor_profile", "apparmor_profile"),
        ("process_label", "selinux_label"),
        ("mount_label", "mount_label"),
        ("user", "user"),
        ("working_dir", "cwd"),
    ):
        if (word := top.word(name)) is not None:
            fields[field] = word
    if "environment" in top:
        fields["env"] = read_environment(top, "environment")
    if signal := top.number("parent_death_signal", 0, 64):
        fields["parent_death_signal"] = signal
    if (umask := top.number("umask", 0, 0o777)) is not None:
        fields["umask"] = umask
    if (score := top.number("oom_score_adj", -1000, 1000)) is not None:
        fields["oom_score_adj"] = score
    groups: list[str | int] = []
    for index, group in enumerate(top.items("additional_groups")):
        if not isinstance(group, str | int) or isinstance(group, bool):
            raise top.wrong(f"additional_groups[{index}]", "should be an id or a name")
        groups.append(group)
    fields["groups"] = tuple(groups)
    return fields


def _namespaces(top: Node) -> dict[str, str]:
    choices: dict[str, str] = {}
    if isinstance(top.raw("namespaces"), dict):
        node = top.part("namespaces")
        for kind in node:
            if kind not in _NAMESPACES:
                raise node.wrong(f"{kind:.40}", "unknown namespace")
            if node.flag(kind):
                choices[_NAMESPACES[kind]] = "new"
    else:
        for node in top.nodes("namespaces"):
            kind = node.need("type")
            if kind not in _NAMESPACES:
                raise node.wrong("type", f"unknown namespace {kind[:40]!r}")
            if _NAMESPACES[kind] in choices:
                raise node.wrong("type", f"{kind} is there twice")
            path = node.word("path")
            if path is not None and not path.startswith("/"):
                raise node.wrong("path", "should be an absolute path")
            choices[_NAMESPACES[kind]] = path or "new"
    return {kind: choices.get(kind, "host") for kind in _NAMESPACES.values()}


def _mappings(top: Node, name: str) -> list[dict[str, int]]:
    found = []
    for node in top.nodes(name):
        node.only("container_id", "host_id", "size")
        found.append(
            {
                "container_id": node.number("container_id", *_ID) or 0,
                "host_id": node.number("host_id", *_ID) or 0,
                "size": node.need_number("size", 1, 4_294_967_295),
            }
        )
    return found


def _propagation(top: Node) -> str:
    flags = top.number("rootPropagation", 0, 2**32)
    if flags:
        word = _PROPAGATIONS.get(flags & ~_MS_REC)
        if word is None:
            raise top.wrong("rootPropagation", "should be one of the MS_* values")
        return word
    # The 2015 library made all mounts slaves unless told to make them private; runc's
    # documents have no such field.
    return "slave" if top.flag("privatefs") is False else "private"


def _capabilities(top: Node) -> dict[str, list[str]]:
    """A list is what the process may have: not inheritable (CVE-2022-29162)."""
    if not isinstance(top.raw("capabilities"), dict):
        names = [
            _capability(top, f"capabilities[{index}]", name)
            for index, name in enumerate(top.words("capabilities"))
        ]
        return dict.fromkeys(("bounding", "effective", "permitted"), names)
    node = top.part("capabilities")
    sets: dict[str, list[str]] = {}
    for name in node:
        if name.lower() not in _CAPABILITY_SETS:
            raise node.wrong(f"{name:.40}", "no such set of capabilities")
        sets[name.lower()] = [
            _capability(node, f"{name}[{index}]", word)
            for index, word in enumerate(node.words(name))
        ]
    return sets


_CAPABILITY_SETS: Final = (
    *("bounding", "effective", "permitted", "inheritable", "ambient"),
)


def _capability(node: Node, field: str, name: str) -> str:
    full = name if name.startswith("CAP_") else f"CAP_{name}"
    if full not in CAPABILITIES:
        raise node.wrong(field, f"unknown capability {name[:40]!r}")
    return full


def _rlimits(top: Node) -> dict[str, tuple[int | None, int | None]]:
    found: dict[str, tuple[int | None, int | None]] = {}
    for node in top.nodes("rlimits"):
        node.only("type", "hard", "soft")
        number = node.need_number("type", 0, len(_RLIMIT_NAMES) - 1)
        name = _RLIMIT_NAMES[number]
        if name in found:
            raise node.wrong("type", f"{name} is there twice")
        soft = node.number("soft", 0, _RLIM_INFINITY) or 0
        hard = node.number("hard", 0, _RLIM_INFINITY) or 0
        if soft > hard:
            raise node.wrong("soft", "is more than the hard limit")
        found[name] = (
            None if soft == _RLIM_INFINITY else soft,
            None if hard == _RLIM_INFINITY else hard,
        )
    return found
