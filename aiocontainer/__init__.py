"""libcontainer for asyncio: create, watch and end Linux containers from an event loop.

Layers, each importing only those to its right:

    cli, oci -> runtime -> container -> proc, cgroups, notify, network
             -> config, plan, state -> errors            _sys -> nothing of ours

Names resolve on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

import sys

# Neither typing nor importlib: the helper imports this package too, and every page it
# has is copied for each container.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .cgroups import CGroup as CGroup
    from .checkup import Finding as Finding
    from .checkup import doctor as doctor
    from .config import (
        Capabilities as Capabilities,
    )
    from .config import (
        CgroupSettings as CgroupSettings,
    )
    from .config import (
        Config as Config,
    )
    from .config import (
        Device as Device,
    )
    from .config import (
        Dns as Dns,
    )
    from .config import (
        ExecCpuAffinity as ExecCpuAffinity,
    )
    from .config import (
        Hook as Hook,
    )
    from .config import (
        Hooks as Hooks,
    )
    from .config import (
        HostDevice as HostDevice,
    )
    from .config import (
        IdMapping as IdMapping,
    )
    from .config import (
        IntelRdt as IntelRdt,
    )
    from .config import (
        IoPriority as IoPriority,
    )
    from .config import (
        Landlock as Landlock,
    )
    from .config import (
        MemoryPolicy as MemoryPolicy,
    )
    from .config import (
        Mount as Mount,
    )
    from .config import (
        Namespaces as Namespaces,
    )
    from .config import (
        Network as Network,
    )
    from .config import (
        Personality as Personality,
    )
    from .config import (
        PublishedPort as PublishedPort,
    )
    from .config import (
        Resources as Resources,
    )
    from .config import (
        Rlimit as Rlimit,
    )
    from .config import (
        Rootfs as Rootfs,
    )
    from .config import (
        Route as Route,
    )
    from .config import (
        Scheduler as Scheduler,
    )
    from .config import (
        Seccomp as Seccomp,
    )
    from .config import (
        SyscallRule as SyscallRule,
    )
    from .config import (
        TimeOffset as TimeOffset,
    )
    from .config import (
        TimeOffsets as TimeOffsets,
    )
    from .config import (
        UserNetwork as UserNetwork,
    )
    from .config import (
        Veth as Veth,
    )
    from .config.bundle import Bundle as Bundle
    from .container import Container as Container
    from .container import run as run
    from .errors import (
        CgroupBusy as CgroupBusy,
    )
    from .errors import (
        CgroupError as CgroupError,
    )
    from .errors import (
        ConfigError as ConfigError,
    )
    from .errors import (
        ContainerError as ContainerError,
    )
    from .errors import (
        ContainerExists as ContainerExists,
    )
    from .errors import (
        ContainerNotFound as ContainerNotFound,
    )
    from .errors import (
        ControllerMissing as ControllerMissing,
    )
    from .errors import (
        ExecError as ExecError,
    )
    from .errors import (
        HandshakeError as HandshakeError,
    )
    from .errors import (
        NetworkError as NetworkError,
    )
    from .errors import (
        ProcessFailed as ProcessFailed,
    )
    from .errors import (
        RequirementMissing as RequirementMissing,
    )
    from .errors import (
        SetupError as SetupError,
    )
    from .errors import (
        SpawnerError as SpawnerError,
    )
    from .errors import (
        StateError as StateError,
    )
    from .errors import (
        StatusError as StatusError,
    )
    from .errors import (
        UnsupportedFeature as UnsupportedFeature,
    )
    from .intel_rdt import RdtStats as RdtStats
    from .isolation import Isolation as Isolation
    from .notify import (
        Event as Event,
    )
    from .notify import (
        EventStream as EventStream,
    )
    from .notify import (
        Exit as Exit,
    )
    from .notify import (
        Lost as Lost,
    )
    from .notify import (
        MemoryHigh as MemoryHigh,
    )
    from .notify import (
        MemoryMax as MemoryMax,
    )
    from .notify import (
        MemoryPressure as MemoryPressure,
    )
    from .notify import (
        MemoryThreshold as MemoryThreshold,
    )
    from .notify import (
        Oom as Oom,
    )
    from .notify import (
        Paused as Paused,
    )
    from .notify import (
        PidsMax as PidsMax,
    )
    from .notify import (
        Pressure as Pressure,
    )
    from .notify import (
        Resumed as Resumed,
    )
    from .notify import (
        Sample as Sample,
    )
    from .notify import (
        StallTrigger as StallTrigger,
    )
    from .proc.process import Process as Process
    from .proc.result import ExitReason as ExitReason
    from .proc.result import Result as Result
    from .proc.result import Usage as Usage
    from .proc.sd_notify import Notification as Notification
    from .proc.sd_notify import NotificationStream as NotificationStream
    from .proc.stdio import DEVNULL as DEVNULL
    from .proc.stdio import PIPE as PIPE
    from .proc.stdio import STDOUT as STDOUT
    from .proc.syscall_call import AddFd as AddFd
    from .proc.syscall_call import Answer as Answer
    from .proc.syscall_call import Continue as Continue
    from .proc.syscall_call import Errno as Errno
    from .proc.syscall_call import Return as Return
    from .proc.syscall_call import SyscallCall as SyscallCall
    from .proc.syscalls import SyscallStream as SyscallStream
    from .proc.terminal import Terminal as Terminal
    from .runtime import KeptContainer as KeptContainer
    from .runtime import Listed as Listed
    from .runtime import Runtime as Runtime
    from .statistics import ContainerStats as ContainerStats

__version__ = "0.1.0"

_HOMES = {
    "config.bundle": ("Bundle",),
    "cgroups": ("CGroup",),
    "checkup": ("Finding", "doctor"),
    "config": (
        "Capabilities",
        "CgroupSettings",
        "Config",
        "Device",
        "Dns",
        "ExecCpuAffinity",
        "Hook",
        "Hooks",
        "HostDevice",
        "IdMapping",
        "IntelRdt",
        "IoPriority",
        "Landlock",
        "MemoryPolicy",
        "Mount",
        "Namespaces",
        "Network",
        "Personality",
        "PublishedPort",
        "Resources",
        "Rlimit",
        "Rootfs",
        "Route",
        "Scheduler",
        "Seccomp",
        "SyscallRule",
        "TimeOffset",
        "TimeOffsets",
        "UserNetwork",
        "Veth",
    ),
    "container": ("Container", "run"),
    "errors": (
        "CgroupBusy",
        "CgroupError",
        "ConfigError",
        "ContainerError",
        "ContainerExists",
        "ContainerNotFound",
        "ControllerMissing",
        "ExecError",
        "HandshakeError",
        "NetworkError",
        "ProcessFailed",
        "RequirementMissing",
        "SetupError",
        "SpawnerError",
        "StateError",
        "StatusError",
        "UnsupportedFeature",
    ),
    "intel_rdt": ("RdtStats",),
    "isolation": ("Isolation",),
    "notify": (
        "Event",
        "EventStream",
        "Exit",
        "Lost",
        "MemoryHigh",
        "MemoryMax",
        "MemoryPressure",
        "MemoryThreshold",
        "Oom",
        "Paused",
        "PidsMax",
        "Pressure",
        "Resumed",
        "Sample",
        "StallTrigger",
    ),
    "proc.process": ("Process",),
    "runtime": ("KeptContainer", "Listed", "Runtime"),
    "statistics": ("ContainerStats",),
    "proc.result": ("ExitReason", "Result", "Usage"),
    "proc.sd_notify": ("Notification", "NotificationStream"),
    "proc.stdio": ("DEVNULL", "PIPE", "STDOUT"),
    "proc.syscall_call": (
        "AddFd",
        "Answer",
        "Continue",
        "Errno",
        "Return",
        "SyscallCall",
    ),
    "proc.syscalls": ("SyscallStream",),
    "proc.terminal": ("Terminal",),
}


def _by_first_use(
    package: str, homes: Mapping[str, Sequence[str]]
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names are loaded when they are used.

    Args:
        package: its name.
        homes: its modules, each with the names that it is the home of.
    """

    def load(name: str) -> Any:
        for home, names in homes.items():
            if name in names:
                # Not by importlib, which takes longer than most of what is loaded.
                module = __import__(f"{package}.{home}", fromlist=[name])
                found = getattr(module, name)
                setattr(sys.modules[package], name, found)
                return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load


__all__ = tuple(sorted(name for names in _HOMES.values() for name in names))

_load = _by_first_use(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    found = _load(name)
    if name in ("Container", "Runtime"):
        # Now, and not by the first call of `events`, which an event loop waits for.
        __import__(f"{__name__}.event_streams")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
