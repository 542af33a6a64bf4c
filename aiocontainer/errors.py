"""Everything that aiocontainer raises of its own.

ContainerError
├─ ConfigError (ValueError)     the request is wrong; nothing was touched
├─ StatusError                  not possible in this status: .status, .wanted
├─ ContainerExists              the id is taken: .id
├─ ContainerNotFound            there is no container of this id: .id
├─ StateError                   a state file can't be used: .path
├─ SetupError                   a step of the set-up failed: .step; cause: the OSError
│  └─ ExecError                 the program couldn't be executed: .program
├─ HandshakeError               the child vanished or spoke out of turn
├─ SpawnerError                 the fork server couldn't be started or was lost
├─ CgroupError                  .path; cause: the OSError
│  ├─ ControllerMissing         .controller
│  └─ CgroupBusy                couldn't be removed: processes are left in it
├─ NetworkError                 .interface, .step; cause: the OSError
├─ UnsupportedFeature           this kernel or user can't: .feature, .hint
│  └─ RequirementMissing        something in Config.require: .missing, .cause, .cure
└─ ProcessFailed                only with check=True: .result

Closed, busy and ended streams raise anyio's own ``ClosedResourceError``,
``BusyResourceError`` and ``EndOfStream``.
"""

from __future__ import annotations

# Not from typing: the OCI runtime's commands are too short for its import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .proc.result import Result

__all__ = (
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
)


class ContainerError(Exception):
    """Root of everything that aiocontainer raises of its own."""


class ConfigError(ContainerError, ValueError):
    """The request is wrong. Raised before anything was touched."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        """Path of the field, as ``mounts[2].destination``; empty for the whole."""
        self.reason = reason
        """What is wrong with it, in lower case, without the field."""


class StatusError(ContainerError):
    """Not possible while the container (or process) is in its present status."""

    def __init__(self, status: str, wanted: str) -> None:
        super().__init__(f"container is {status}, can't {wanted}")
        self.status = status
        self.wanted = wanted


class ContainerExists(ContainerError):
    """A container of this id is there already; it was left alone."""

    def __init__(self, id: str) -> None:
        super().__init__(f"container {id} exists already")
        self.id = id


class ContainerNotFound(ContainerError):
    """There is no container of this id, or none any more."""

    def __init__(self, id: str) -> None:
        super().__init__(f"container {id} does not exist")
        self.id = id


class StateError(ContainerError):
    """What is written down of a container can't be used, or not be written."""

    def __init__(self, path: str, reason: str, *, is_foreign: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.is_foreign = is_foreign
        """Another program's, or a later version's: not ours to remove."""


class SetupError(ContainerError):
    """A step of the set-up failed; all before it has been undone.

    ``__cause__`` is the child's ``OSError`` where the kernel gave one.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"could not {step}: {reason}")
        self.step = step
        """What was being done, as ``mount proc on /proc``."""
        self.reason = reason


class ExecError(SetupError):
    """The program could not be executed: missing, not executable, or refused."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"execute {program}", reason)
        self.program = program


class HandshakeError(ContainerError):
    """The child ended or spoke out of turn before the program was running."""


class SpawnerError(ContainerError):
    """The fork server could not be started, or was lost during a request."""


class CgroupError(ContainerError):
    """A cgroup refused. ``__cause__`` is the ``OSError`` where there was one."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ControllerMissing(CgroupError):
    """A limit was asked for whose controller this machine or user doesn't have."""

    def __init__(self, path: str, controller: str, wanted: str | None = None) -> None:
        end = "" if wanted is None else f", which {wanted} needs"
        super().__init__(path, f"controller {controller} is not available{end}")
        self.controller = controller


class CgroupBusy(CgroupError):
    """The cgroup could not be removed in time: something is left in it."""


class NetworkError(ContainerError):
    """An interface, a route or a port could not be set up; all before it has been
    undone. ``__cause__`` is the ``OSError`` where there was one."""

    def __init__(self, interface: str, step: str, reason: str) -> None:
        subject = f"{interface}: " if interface else ""
        super().__init__(f"{subject}could not {step}: {reason}")
        self.interface = interface
        """The one meant; empty where it isn't about one."""
        self.step = step
        """What was being done, as ``add an address``."""
        self.reason = reason


class UnsupportedFeature(ContainerError):
    """This machine or user can't do what was asked."""

    def __init__(self, feature: str, reason: str, hint: str | None = None) -> None:
        super().__init__(f"{feature}: {reason}")
        self.feature = feature
        self.hint = hint
        if hint is not None:
            self.add_note(f"hint: {hint}")


class RequirementMissing(UnsupportedFeature):
    """Something that the config requires wouldn't be in force. No process was started.

    Cause and cure are those of the first one missing.
    """

    def __init__(self, missing: tuple[str, ...], cause: str, cure: str) -> None:
        super().__init__(", ".join(missing), f"not in force: {cause}", cure)
        self.missing = missing
        """Names as in `Config.require`, sorted."""
        self.cause = cause
        self.cure = cure


class ProcessFailed(ContainerError):
    """A run with ``check=True`` did not end with exit status 0."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.describe())
        self.result = result
