"""libcontainer for asyncio: create, watch and end Linux containers from an event loop.

Layers, each importing only those to its right:

    cli, oci -> runtime -> container -> proc, cgroups, notify, network
             -> config, plan, state -> errors            _sys -> nothing of ours

Names resolve on first use, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import (
        Capabilities as Capabilities,
        CgroupSettings as CgroupSettings,
        Config as Config,
        Device as Device,
        IdMapping as IdMapping,
        Mount as Mount,
        Namespaces as Namespaces,
        Resources as Resources,
        Rlimit as Rlimit,
        Rootfs as Rootfs,
        Seccomp as Seccomp,
    )
    from .container import Container as Container, run as run
    from .errors import (
        CgroupBusy as CgroupBusy,
        CgroupError as CgroupError,
        ConfigError as ConfigError,
        ContainerError as ContainerError,
        ControllerMissing as ControllerMissing,
        ExecError as ExecError,
        HandshakeError as HandshakeError,
        ProcessFailed as ProcessFailed,
        SetupError as SetupError,
        SpawnerError as SpawnerError,
        StatusError as StatusError,
        UnsupportedFeature as UnsupportedFeature,
    )
    from .proc.process import Process as Process
    from .proc.result import ExitReason as ExitReason, Result as Result, Usage as Usage
    from .proc.stdio import DEVNULL as DEVNULL, PIPE as PIPE, STDOUT as STDOUT
    from .proc.terminal import Terminal as Terminal

__version__ = "0.1.0"

_HOMES = {
    "config": (
        "Capabilities",
        "CgroupSettings",
        "Config",
        "Device",
        "IdMapping",
        "Mount",
        "Namespaces",
        "Resources",
        "Rlimit",
        "Rootfs",
        "Seccomp",
    ),
    "container": ("Container", "run"),
    "errors": (
        "CgroupBusy",
        "CgroupError",
        "ConfigError",
        "ContainerError",
        "ControllerMissing",
        "ExecError",
        "HandshakeError",
        "ProcessFailed",
        "SetupError",
        "SpawnerError",
        "StatusError",
        "UnsupportedFeature",
    ),
    "proc.process": ("Process",),
    "proc.result": ("ExitReason", "Result", "Usage"),
    "proc.stdio": ("DEVNULL", "PIPE", "STDOUT"),
    "proc.terminal": ("Terminal",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = tuple(sorted(_HOME_OF))


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
