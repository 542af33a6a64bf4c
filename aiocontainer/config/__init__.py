"""What a container is: validated, immutable models with safe defaults; no behaviour.

Every wrong value raises `aiocontainer.errors.ConfigError`, which names the field.

Patterns are kept as text here: `re` compiles each when it is first asked, and remembers
it. To compile them all takes 2 ms of the import, and few are of use to one config.
"""

from .base import FrozenMap, Model, replace
from .blockio import BlockIo, ByteRate, DeviceWeight, OperationRate
from .capabilities import CAPABILITIES, DEFAULT_CAPABILITIES, Capabilities
from .cgroup import CgroupSettings
from .container import Config, device_rules
from .devices import DEFAULT_DEVICES, Device
from .dns import Dns
from .hooks import Hook, Hooks
from .intel_rdt import IntelRdt
from .labels import ApparmorProfile, SelinuxLabel
from .landlock import Landlock
from .mounts import (
    DEFAULT_MASKED_PATHS,
    DEFAULT_READONLY_PATHS,
    SYSTEM_MOUNTS,
    Mount,
    MountCommand,
)
from .namespaces import IdMapping, Namespaces, TimeOffset, TimeOffsets
from .network import (
    Attached,
    BridgeNetwork,
    HostDevice,
    Loopback,
    Network,
    PublishedPort,
    Route,
    Veth,
)
from .networks import dns_of
from .options import MountOptions, Propagation, parse_options
from .process import (
    DEFAULT_PATH,
    RLIMITS,
    ProcessChanges,
    ProcessSettings,
    Rlimit,
    UserName,
    override,
    parse_user,
)
from .requirements import REQUIREMENTS
from .resources import (
    DEFAULT_DEVICE_RULES,
    CpuLimits,
    DeviceRule,
    HugepageLimit,
    MemoryLimits,
    NetworkLimits,
    RdmaLimit,
    Resources,
)
from .rootfs import (
    HOST_DIRECTORIES,
    HOST_ETC,
    HOST_LIBRARY_LINKS,
    DirectoryRootfs,
    HostRootfs,
    OverlayRootfs,
    Rootfs,
)
from .scheduling import (
    ExecCpuAffinity,
    IoPriority,
    MemoryPolicy,
    Personality,
    Scheduler,
)
from .seccomp import ArgRule, Seccomp, SyscallRule
from .seccomp_default import DEFAULT_SECCOMP
from .sysctls import sysctl_path
from .units import parse_cpus, parse_size
from .user_network import UserNetwork

__all__ = (
    "CAPABILITIES",
    "DEFAULT_CAPABILITIES",
    "DEFAULT_DEVICES",
    "DEFAULT_DEVICE_RULES",
    "DEFAULT_MASKED_PATHS",
    "DEFAULT_PATH",
    "DEFAULT_READONLY_PATHS",
    "DEFAULT_SECCOMP",
    "HOST_DIRECTORIES",
    "HOST_ETC",
    "HOST_LIBRARY_LINKS",
    "REQUIREMENTS",
    "RLIMITS",
    "SYSTEM_MOUNTS",
    "ApparmorProfile",
    "ArgRule",
    "Attached",
    "BlockIo",
    "BridgeNetwork",
    "ByteRate",
    "Capabilities",
    "CgroupSettings",
    "Config",
    "CpuLimits",
    "Device",
    "DeviceRule",
    "DeviceWeight",
    "DirectoryRootfs",
    "Dns",
    "ExecCpuAffinity",
    "FrozenMap",
    "Hook",
    "Hooks",
    "HostDevice",
    "HostRootfs",
    "HugepageLimit",
    "IdMapping",
    "IntelRdt",
    "IoPriority",
    "Landlock",
    "Loopback",
    "MemoryLimits",
    "MemoryPolicy",
    "Model",
    "Mount",
    "MountCommand",
    "MountOptions",
    "Namespaces",
    "Network",
    "NetworkLimits",
    "OperationRate",
    "OverlayRootfs",
    "Personality",
    "ProcessChanges",
    "ProcessSettings",
    "Propagation",
    "PublishedPort",
    "RdmaLimit",
    "Resources",
    "Rlimit",
    "Rootfs",
    "Route",
    "Scheduler",
    "Seccomp",
    "SelinuxLabel",
    "SyscallRule",
    "TimeOffset",
    "TimeOffsets",
    "UserName",
    "UserNetwork",
    "Veth",
    "device_rules",
    "dns_of",
    "override",
    "parse_cpus",
    "parse_options",
    "parse_size",
    "parse_user",
    "replace",
    "sysctl_path",
)
