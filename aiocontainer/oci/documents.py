"""``spec`` and ``features``: documents about what there can be."""

from __future__ import annotations

import os
import sys

from .. import __version__
from ..state.quick_json import dumps
from .kept import OCI_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from .arguments import Options
    from .report import Log

_CAPABILITIES: Final = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def spec(options: Options, _log: Log) -> None:
    """Write a config.json to begin with."""
    path = os.path.join(options.bundle, "config.json")
    text = dumps(example(rootless=options.rootless), step="\t")
    with open(path, "x") as file:  # somebody's work is not overwritten
        file.write(text + "\n")


def features(_options: Options, _log: Log) -> None:
    """Print what this runtime can do (features.md of the runtime-spec)."""
    sys.stdout.write(dumps(known_features()) + "\n")


def example(*, rootless: bool) -> dict[str, Any]:
    """A complete config.json: a shell in the directory ``rootfs``."""
    namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    capabilities = dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES)
    linux: dict[str, Any] = {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in namespaces],
        "maskedPaths": [
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ],
        "readonlyPaths": [
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
        ],
    }
    if rootless:
        linux["namespaces"] = [
            {"type": kind} for kind in (*namespaces, "user") if kind != "network"
        ]
        for name, own in (("uid", os.geteuid()), ("gid", os.getegid())):
            mapping = {"containerID": 0, "hostID": own, "size": 1}
            linux[f"{name}Mappings"] = [mapping]
        del linux["resources"]
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [f"PATH={_PATH}", "TERM=xterm"],
            "cwd": "/",
            "capabilities": capabilities,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "aiocontainer",
        "mounts": _mounts(rootless=rootless),
        "linux": linux,
    }


def _mounts(*, rootless: bool) -> list[dict[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    tty = [] if rootless else ["gid=5"]  # a group that one id mapping doesn't have
    rows: list[tuple[str, str, str, list[str]]] = [
        ("/proc", "proc", "proc", []),
        (
            "/dev",
            "tmpfs",
            "tmpfs",
            ["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *tty],
        ),
        ("/dev/shm", "tmpfs", "shm", [*quiet, "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", quiet),
        ("/sys", "sysfs", "sysfs", [*quiet, "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*quiet, "relatime", "ro"]),
    ]
    if rootless:
        rows[5] = ("/sys", "none", "/sys", ["rbind", *quiet, "ro"])
    return [
        {"destination": place, "type": kind, "source": source}
        | ({"options": words} if words else {})
        for place, kind, source, words in rows
    ]


def known_features() -> dict[str, Any]:
    """What is built in, whatever this machine has."""
    from typing import get_args

    from ..config import CAPABILITIES
    from ..config.options import KNOWN_OPTIONS
    from ..config.seccomp import Action, Architecture, Flag, Operator

    flags = [f"SECCOMP_FILTER_FLAG_{name}" for name in get_args(Flag)]
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        "mountOptions": sorted(KNOWN_OPTIONS),
        "linux": {
            "namespaces": [
                "cgroup",
                "ipc",
                "mount",
                "network",
                "pid",
                "time",
                "user",
                "uts",
            ],
            "capabilities": [*CAPABILITIES],
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": True,
                "rdma": True,
            },
            "seccomp": {
                "enabled": True,
                "actions": sorted(["SCMP_ACT_KILL", *_scmp("ACT", Action)]),
                "operators": _scmp("CMP", Operator),
                "archs": _scmp("ARCH", Architecture),
                "knownFlags": flags,
                "supportedFlags": flags,
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True},
            "memoryPolicy": {},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {"io.aiocontainer.version": __version__},
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property.", "run.oci."],
    }


def _scmp(kind: str, names: object) -> list[str]:
    """libseccomp's names, which the specification has taken over."""
    from typing import get_args

    return sorted(f"SCMP_{kind}_{name}" for name in get_args(names))
