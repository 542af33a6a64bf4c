"""What a process in a container is: user, limits, privileges, environment."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Self, TypeAlias, TypedDict

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    model_validator,
)

from .base import (
    AbsolutePath,
    ConfigError,
    Environment,
    Flag,
    FrozenMap,
    Model,
    StrPath,
    Whole,
    as_map,
)
from .capabilities import DEFAULT_CAPABILITIES, Capabilities
from .kernel_names import RLIMITS
from .labels import ApparmorProfile, SelinuxLabel
from .landlock import Landlock
from .scheduling import (
    CpuNumbers,
    ExecCpuAffinity,
    IoPriority,
    MemoryPolicy,
    Personality,
    Scheduler,
    SignalNumber,
)
from .seccomp import Seccomp
from .seccomp_default import DEFAULT_SECCOMP

__all__ = (
    "DEFAULT_PATH",
    "RLIMITS",
    "ProcessChanges",
    "ProcessSettings",
    "Rlimit",
    "UserName",
    "override",
    "parse_user",
)

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""``PATH`` of a process whose environment isn't given."""

ID_LARGEST: Final = 4_294_967_294
"""The largest user or group id; the next means "none" to the kernel."""

# As useradd(8), and what directory services add to it; not with a sign first, which
# other tools would take for an offset.
_NAME: Final = r"[A-Za-z_.][A-Za-z0-9_.@\\-]{0,254}\$?"


@dataclass(frozen=True, slots=True)
class UserName:
    """The two halves of a ``user``. Text is looked up in the container's own files."""

    user: int | str
    group: int | str | None
    """``None`` is the user's own group in the container's passwd file, else 0."""


def _id_or_name(text: str) -> int | str:
    if text.isascii() and text.isdecimal():
        number = int(text) if len(text) <= 10 else ID_LARGEST + 1
        if number > ID_LARGEST:
            raise ConfigError("", f"the largest id is {ID_LARGEST}")
        return number
    if not re.fullmatch(_NAME, text):
        raise ConfigError("", f"{text[:40]!r} is neither an id nor a name")
    return text


def parse_user(text: str) -> UserName:
    """Take ``uid``, ``uid:gid``, ``name`` or ``name:group`` apart.

    A numeral is always an id, whatever names there are (CVE-2016-3697).

    Raises:
        ConfigError: none of these forms, or an id out of range.
    """
    user, colon, group = text.partition(":")
    return UserName(_id_or_name(user), _id_or_name(group) if colon else None)


def _user(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= ID_LARGEST:
            raise ConfigError("", f"an id is between 0 and {ID_LARGEST}")
        return str(value)
    if not isinstance(value, str):
        raise ConfigError("", "should be an id, a name, 'uid:gid' or 'name:group'")
    parse_user(value)
    return value


def _group(value: object) -> int | str:
    if not isinstance(value, str):
        return int(_user(value))
    return _id_or_name(value)


RlimitInput: TypeAlias = "Rlimit | int | tuple[int | None, int | None] | None"
"""A limit as a caller may give it."""

_RlimitValue: TypeAlias = Annotated[Whole, Field(ge=0, lt=2**64 - 1)] | None


class Rlimit(Model):
    """Soft and hard limit of one resource. ``None`` is unlimited."""

    soft: _RlimitValue
    hard: _RlimitValue

    @model_validator(mode="after")
    def _soft_is_within_hard(self) -> Self:
        if self.hard is not None and (self.soft is None or self.soft > self.hard):
            raise ConfigError("soft", "is more than the hard limit")
        return self


def _rlimit(value: object) -> object:
    """A number means both; a pair means soft and hard; None or a word, unlimited."""
    if value is None or value == "unlimited":
        return {"soft": None, "hard": None}
    if isinstance(value, int):
        return {"soft": value, "hard": value}
    if isinstance(value, tuple | list) and len(value) == 2:
        return {"soft": value[0], "hard": value[1]}
    return value


def _rlimit_names(value: object) -> object:
    """Names in the kernel's form, also from ``nofile``."""
    if not isinstance(value, Mapping):
        raise ConfigError("", "should be a mapping")
    named: dict[str, object] = {}
    for name, limit in value.items():
        word = name.upper() if isinstance(name, str) else ""
        full = word if word.startswith("RLIMIT_") else f"RLIMIT_{word}"
        if full not in RLIMITS:
            raise ConfigError(f"[{name!s:.40}]", "unknown resource limit")
        if full in named:
            raise ConfigError(f"[{name}]", f"{full} is there twice")
        named[full] = limit
    return named


class ProcessSettings(Model):
    """Settings of one process; those of a container hold for all that don't override.

    Raises:
        ConfigError: when built from wrong values.
    """

    user: Annotated[str, PlainValidator(_user)] = "0"
    """``uid``, ``uid:gid``, ``name`` or ``name:group``, as the container's own passwd
    and group files know them. A numeral is never looked up as a name."""
    groups: tuple[Annotated[str | int, PlainValidator(_group)], ...] = ()
    """Additional groups, ids or names; no others are kept."""
    umask: Annotated[Whole, Field(ge=0, le=0o777)] = 0o022
    cwd: AbsolutePath = "/"
    """Working directory; has to exist."""
    env: Environment = FrozenMap({"PATH": DEFAULT_PATH})
    """The whole environment, but that ``HOME`` is filled in from the container's
    passwd file when missing."""
    capabilities: Capabilities = DEFAULT_CAPABILITIES
    no_new_privs: Flag = True
    """No exec gives more privileges: set-user-id bits and file capabilities are
    ignored."""
    rlimits: Annotated[
        Mapping[str, Annotated[Rlimit, BeforeValidator(_rlimit)]],
        BeforeValidator(_rlimit_names),
        *as_map[1:],
    ] = FrozenMap()
    """By name, as ``RLIMIT_NOFILE`` (``nofile`` is taken too). A plain number means
    soft and hard limit. Others stay as the program has them."""
    oom_score_adj: Annotated[Whole, Field(ge=-1000, le=1000)] | None = None
    """Higher is killed sooner; ``None`` is the program's own."""
    seccomp: Seccomp | None = DEFAULT_SECCOMP
    """Which system calls may be made; ``None`` is all of them."""
    landlock: Landlock | None = None
    """Which files, ports and processes it may reach, beside all other rules."""
    apparmor_profile: ApparmorProfile | None = None
    """AppArmor profile that the program runs under; it has to be loaded. ``None`` is
    what the program's own profile says."""
    selinux_label: SelinuxLabel | None = None
    """SELinux context that the program runs in, and that its keys have. ``None`` is
    what the policy says."""
    scheduler: Scheduler | None = None
    """CPU scheduling policy; ``None`` is the program's own."""
    io_priority: IoPriority | None = None
    """Priority on block devices; ``None`` follows the nice value."""
    memory_policy: MemoryPolicy | None = None
    """Memory nodes to allocate from; ``None`` is the program's own."""
    personality: Personality | None = None
    """Execution domain; ``None`` is the program's own."""
    cpu_affinity: CpuNumbers | None = None
    """CPUs to run on, as ``0-3,7``. ``None``: those of the cpuset where the container
    has one (``resources.cpu.cpus``), else the program's own."""
    exec_cpu_affinity: ExecCpuAffinity | None = None
    """The same for processes that join a container, before and after they are in it."""
    parent_death_signal: SignalNumber | None = None
    """Sent to the process when the thread of the program that started the helper ends
    (prctl(2) ``PR_SET_PDEATHSIG``). What a program leaves is ended anyhow."""


class ProcessChanges(TypedDict, total=False):
    """Keywords for the fields of `ProcessSettings`, which says what they mean."""

    user: str | int
    groups: Iterable[str | int]
    umask: int
    cwd: StrPath
    env: Mapping[str, str]
    capabilities: Capabilities
    no_new_privs: bool
    rlimits: Mapping[str, Rlimit | int | tuple[int | None, int | None] | None]
    oom_score_adj: int | None
    seccomp: Seccomp | None
    landlock: Landlock | None
    apparmor_profile: str | None
    selinux_label: str | None
    scheduler: Scheduler | None
    io_priority: IoPriority | None
    memory_policy: MemoryPolicy | None
    personality: Personality | None
    cpu_affinity: str | None
    exec_cpu_affinity: ExecCpuAffinity | None
    parent_death_signal: int | str | None


def override(settings: ProcessSettings, **changes: object) -> ProcessSettings:
    """The settings of one process: those given, with some fields changed.

    Only the changes are validated: the rest has been.

    Raises:
        ConfigError: a change is wrong, or no field of `ProcessSettings`.
    """
    changed = ProcessSettings.model_validate(changes)
    sources = {
        name: changed if name in changed.model_fields_set else settings
        for name in ProcessSettings.model_fields
    }
    return ProcessSettings.model_construct(
        **{name: getattr(source, name) for name, source in sources.items()}
    )
