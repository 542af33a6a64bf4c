"""The closed vocabulary of what a helper child can do.

They are data: printable, comparable, and no behaviour but their form on the wire. Each
is done by the function of the same name (in lower case) in `aiocontainer.proc.helper`,
with the same parameters; a test compares the two.

Paths, names and values are bytes here: they are the kernel's, not text. ``attributes``
are ``MOUNT_ATTR_*``, ``propagation`` is one of ``MS_PRIVATE`` and so on, ``kind`` of a
namespace is ``CLONE_NEW*``, ``passed`` is ((number in the program, index among the
descriptors sent with the request), ...), ``limits`` ((resource, soft, hard), ...).
"""

from __future__ import annotations

from typing import Final

from .answers import AddDescriptor
from .base import Limits, Option, Passed, Step
from .files import (
    Bind,
    BindNodes,
    ChangeAttributes,
    ChangePropagation,
    MakeDirectories,
    MakeNodes,
    MakeReadonly,
    MakeSymlinks,
    Mask,
    MountFilesystem,
    MoveRoot,
    Pivot,
    PivotTo,
    RootAttributes,
    RootDirectory,
    RootOverlay,
    RootPropagation,
    RootTmpfs,
    SetPropagation,
    ShowFiles,
    WriteSysctl,
)
from .hooks import ExecuteHook, RunHook
from .hot import Finish, KeepProc, Unmount
from .lsm import MakeLandlock, OpenAttributes, WriteAttributes
from .namespaces import (
    BeRootOfUserNamespace,
    BeTraceable,
    BringUpLoopback,
    ForbidUserNamespaces,
    JoinCgroups,
    JoinContainer,
    JoinNamespace,
    NewSessionKeyring,
    NewTimeNamespace,
    OpenRoot,
    SetDomainname,
    SetHostname,
    Unshare,
)
from .process import (
    AwaitGate,
    ChangeDirectory,
    ChangeIdentity,
    Execute,
    ExecuteInit,
    FindUser,
    LoadFilter,
    NoNewPrivs,
    OpenNotifySocket,
    OpenTerminal,
    OwnStdio,
    RaiseLimits,
    SayReady,
    SetListenPid,
    Stop,
)
from .scheduling import (
    SetAffinity,
    SetIoPriority,
    SetMemoryPolicy,
    SetParentDeathSignal,
    SetPersonality,
    SetScheduler,
)
from .trees import (
    AttachTree,
    MountCgroups,
    PrepareTree,
    Reconfigure,
    Relabel,
    RootTree,
)

__all__ = (
    "VOCABULARY",
    "AddDescriptor",
    "AttachTree",
    "AwaitGate",
    "BeRootOfUserNamespace",
    "BeTraceable",
    "Bind",
    "BindNodes",
    "BringUpLoopback",
    "ChangeAttributes",
    "ChangeDirectory",
    "ChangeIdentity",
    "ChangePropagation",
    "Execute",
    "ExecuteHook",
    "ExecuteInit",
    "FindUser",
    "Finish",
    "ForbidUserNamespaces",
    "JoinCgroups",
    "JoinContainer",
    "JoinNamespace",
    "KeepProc",
    "Limits",
    "LoadFilter",
    "MakeDirectories",
    "MakeLandlock",
    "MakeNodes",
    "MakeReadonly",
    "MakeSymlinks",
    "Mask",
    "MountCgroups",
    "MountFilesystem",
    "MoveRoot",
    "NewSessionKeyring",
    "NewTimeNamespace",
    "NoNewPrivs",
    "OpenAttributes",
    "OpenNotifySocket",
    "OpenRoot",
    "OpenTerminal",
    "Option",
    "OwnStdio",
    "Passed",
    "Pivot",
    "PivotTo",
    "PrepareTree",
    "RaiseLimits",
    "Reconfigure",
    "Relabel",
    "RootAttributes",
    "RootDirectory",
    "RootOverlay",
    "RootPropagation",
    "RootTmpfs",
    "RootTree",
    "RunHook",
    "SayReady",
    "SetAffinity",
    "SetDomainname",
    "SetHostname",
    "SetIoPriority",
    "SetListenPid",
    "SetMemoryPolicy",
    "SetParentDeathSignal",
    "SetPersonality",
    "SetPropagation",
    "SetScheduler",
    "ShowFiles",
    "Step",
    "Stop",
    "Unmount",
    "Unshare",
    "WriteAttributes",
    "WriteSysctl",
)

VOCABULARY: Final = {step.call: step for step in Step.__subclasses__()}
"""Name in the helper -> step."""
