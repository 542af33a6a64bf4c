"""From an OCI document (runtime-spec 1.3, Linux) to the keywords of our models."""

import posixpath
import re
from collections.abc import Collection
from typing import Any, Final

from ..document import Node
from .cgroup_path import CgroupManager, read_cgroup
from .devices import read_devices
from .hooks import read_hooks
from .intel_rdt import read_intel_rdt
from .mounts import read_mappings, read_mounts
from .process import read_process, read_program
from .resources import read_resources
from .scheduling import read_domain, read_time_offsets
from .seccomp import read_seccomp

__all__ = ("Reading", "read_document")

# Semantic versions of the first major; later minors only add what may be ignored.
_VERSION: Final = re.compile(
    r"1\.\d{1,4}\.\d{1,4}([-+][0-9A-Za-z.+-]{1,64})?", re.ASCII
)

_NAMESPACES: Final = (
    *("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"),
)
_PROPAGATIONS: Final = ("shared", "slave", "private", "unbindable")
_TOP: Final = (
    *("ociVersion", "root", "mounts", "process", "hostname", "domainname", "hooks"),
    *("annotations", "linux"),
)
_LINUX: Final = (
    *("namespaces", "uidMappings", "gidMappings", "timeOffsets", "devices"),
    *("netDevices", "cgroupsPath", "resources", "sysctl", "seccomp"),
    *("rootfsPropagation", "maskedPaths", "readonlyPaths", "mountLabel", "intelRdt"),
    *("memoryPolicy", "personality"),
)


class Reading:
    """What a document says, in our words."""

    __slots__ = (
        "args",
        "devices",
        "fields",
        "rule_sources",
        "terminal",
        "version",
        "warnings",
    )

    def __init__(self, version: str, warnings: list[str]) -> None:
        self.version = version
        self.warnings = warnings
        self.fields: dict[str, Any] = {}
        """Keywords of `Config`."""
        self.args: tuple[str, ...] = ()
        """Empty if the document names no program."""
        self.terminal: bool | tuple[int, int] = False
        """True, or (rows, columns), for a terminal."""
        self.devices: list[str] = []
        """For each network the device of the host that it is, after loopback."""
        self.rule_sources: list[int] = []
        """For each rule of our filter the index of the document's."""


def read_document(
    document: object,
    bundle: str | None,
    manager: CgroupManager = "cgroupfs",
    grantable: Collection[str] | None = None,
) -> Reading:
    """Translate a parsed document.

    Args:
        document: the object that ``config.json`` holds.
        bundle: absolute path of the directory that relative paths are taken from.
        manager: how ``linux.cgroupsPath`` is written, and who makes the cgroup.
        grantable: capabilities that can be given at all; ``None`` is all.

    Raises:
        ConfigError: a value is wrong; names the field by its path in the document.
        UnsupportedFeature: a field that isn't acted on.
    """
    top = Node(document)
    reading = Reading(_version(top), top.warnings)
    top.only(*_TOP)
    fields = reading.fields
    fields["annotations"] = annotations = _annotations(top)
    if bundle is not None:
        fields["bundle"] = bundle
    fields["rootfs"] = _rootfs(top, bundle)
    for name in ("hostname", "domainname"):
        if (said := top.word(name)) is not None:
            fields[name] = said
    fields["hooks"] = read_hooks(top.node("hooks"))
    # All that a container has is in the document.
    fields["system_mounts"] = ()
    fields["mounts"] = read_mounts(top, bundle)
    process = top.node("process")
    if process is not None:
        fields |= read_process(process, grantable)
        program = read_program(process)
        reading.args, reading.terminal = program["args"], program["terminal"]
    linux = top.part("linux")
    fields |= _linux(linux)
    reading.devices = ["lo", *linux.part("netDevices")]
    fields["cgroup"] = read_cgroup(linux, manager, annotations)
    fields["seccomp"], reading.rule_sources = read_seccomp(linux)
    return reading


def _version(top: Node) -> str:
    version = top.need("ociVersion")
    if not _VERSION.fullmatch(version):
        raise top.wrong("ociVersion", f"{version[:40]!r} isn't a version 1.x.y")
    return version


def _annotations(top: Node) -> dict[str, str]:
    found = top.map("annotations")
    if "" in found:
        raise top.wrong("annotations", "has an empty name")
    for key in found:
        if key.startswith("run.oci."):  # crun's, which change what a container is
            top.warn(f"annotations[{key[:80]}]", "isn't acted on")
    return found


def _rootfs(top: Node, bundle: str | None) -> dict[str, Any]:
    root = top.node("root")
    if root is None:
        raise top.wrong("root", "is missing")
    root.only("path", "readonly")
    path = root.need("path")
    if not path.startswith("/"):
        if bundle is None:
            raise root.wrong("path", "is relative, and there is no bundle")
        path = posixpath.join(bundle, path)
    readonly = root.flag("readonly") or False
    return {"kind": "directory", "path": path, "readonly": readonly}


def _linux(linux: Node) -> dict[str, Any]:
    linux.only(*_LINUX)
    fields: dict[str, Any] = {
        **read_domain(linux),
        "network": _network(linux),
        "time_offsets": read_time_offsets(linux),
        "intel_rdt": read_intel_rdt(linux.node("intelRdt")),
        "namespaces": _namespaces(linux),
        "uid_mappings": read_mappings(linux, "uidMappings"),
        "gid_mappings": read_mappings(linux, "gidMappings"),
        "devices": (),
        "system_devices": read_devices(linux),
        "resources": read_resources(linux.part("resources")),
        "sysctl": linux.map("sysctl"),
        "masked_paths": tuple(linux.words("maskedPaths")),
        "readonly_paths": tuple(linux.words("readonlyPaths")),
    }
    if (label := linux.word("mountLabel")) is not None:
        fields["mount_label"] = label
    propagation = linux.word("rootfsPropagation")
    if propagation is not None:
        # Those with an r before, for all mounts below, are what runc takes too. In the
        # container's own namespace there is nothing below that it wouldn't hold for.
        word = propagation.removeprefix("r")
        if word not in _PROPAGATIONS:
            raise linux.wrong("rootfsPropagation", f"unknown: {propagation[:40]!r}")
        fields["rootfs_propagation"] = word
    return fields


def _network(linux: Node) -> list[dict[str, Any]]:
    """Loopback, as everywhere, and the devices of the host that are moved in."""
    found: list[dict[str, Any]] = [{"kind": "loopback"}]
    devices = linux.part("netDevices")
    for name in devices:
        node = devices.part(name)
        node.only("name")
        found.append({"kind": "device", "device": name, "name": node.word("name")})
    return found


def _namespaces(linux: Node) -> dict[str, str]:
    """One that isn't named is the program's own."""
    choices: dict[str, str] = {}
    for node in linux.nodes("namespaces"):
        node.only("type", "path")
        kind = node.need("type")
        if kind not in _NAMESPACES:
            raise node.wrong("type", f"unknown namespace {kind[:40]!r}")
        if kind in choices:
            raise node.wrong("type", f"{kind} is there twice")
        path = node.word("path")
        if path is not None and not path.startswith("/"):
            raise node.wrong("path", "should be an absolute path")
        choices[kind] = path or "new"
    return {kind: choices.get(kind, "host") for kind in _NAMESPACES}
