"""Kernel parameters that belong to a namespace, and so may be set for a container."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from .base import ConfigError, Text, as_map
from .namespaces import Namespaces

__all__ = ("SysctlMap", "require_namespaces", "sysctl_path")

# ipc_sysctls in ipc/ipc_sysctl.c, pid_table in kernel/pid_sysctl.h and pid_namespace.c.
_IPC: Final = """
kernel.auto_msgmni kernel.msg_next_id kernel.msgmax kernel.msgmnb kernel.msgmni
kernel.sem kernel.sem_next_id kernel.shm_next_id kernel.shm_rmid_forced kernel.shmall
kernel.shmmax kernel.shmmni
"""
# Not kernel.pid_max: before Linux 6.14 that is the whole machine's.
_PID: Final = "kernel.ns_last_pid vm.memfd_noexec"
_NAMES: Final = {
    **dict.fromkeys(_IPC.split(), "ipc"),
    **dict.fromkeys(_PID.split(), "pid"),
    "kernel.domainname": "uts",
}
_PREFIXES: Final = {"fs.mqueue.": "ipc", "net.": "network", "user.": "user"}
_PART: Final = r"[A-Za-z0-9_@:+/-]+"


def _canonical(name: object) -> str:
    """The dotted form. With ``/`` first, a dot belongs to the name (an interface's),
    as sysctl(8) has it; in the dotted form that dot is written ``/``."""
    if not isinstance(name, str):
        raise ConfigError("", "should be a mapping of names")
    first = next((c for c in name if c in "./"), ".")
    dotted = name.translate({46: "/", 47: "."}) if first == "/" else name
    for part in dotted.split("."):
        if not re.fullmatch(_PART, part, re.ASCII) or part.strip("/") == "":
            raise ConfigError(f"[{name[:80]}]", "isn't the name of a kernel parameter")
    return dotted


def sysctl_path(name: str) -> str:
    """Path below ``/proc/sys`` of a parameter, as ``net/ipv4/ip_forward``."""
    return name.translate({46: "/", 47: "."})


def _names(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ConfigError("", "should be a mapping")
    named: dict[str, object] = {}
    for name, setting in value.items():
        full = _canonical(name)
        if full in named:
            raise ConfigError(f"[{name}]", "is there twice")
        named[full] = setting
    return named


def _values(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, setting in value.items():
        # A second line could be taken for a second setting (CVE-2022-0811).
        if "\n" in setting:
            raise ConfigError(f"[{name}]", "contains a line break")
    return value


SysctlMap = Annotated[
    Mapping[str, Text], BeforeValidator(_names), AfterValidator(_values), *as_map[1:]
]


def _namespace_of(name: str) -> str | None:
    """The field of `Namespaces` whose namespace holds the parameter."""
    if name in _NAMES:
        return _NAMES[name]
    for prefix, namespace in _PREFIXES.items():
        if name.startswith(prefix):
            return namespace
    return None


def require_namespaces(sysctl: Mapping[str, str], namespaces: Namespaces) -> None:
    """Refuse what would change the host.

    Raises:
        ConfigError: a parameter is of no namespace, or of one of the host's.
    """
    for name in sysctl:
        field = f"sysctl[{name}]"
        if name == "kernel.hostname":
            raise ConfigError(field, "use the field hostname")
        namespace = _namespace_of(name)
        if namespace is None:
            raise ConfigError(field, "belongs to the host, not to a namespace")
        if getattr(namespaces, namespace) == "host":
            raise ConfigError(field, f"needs a {namespace} namespace of its own")
