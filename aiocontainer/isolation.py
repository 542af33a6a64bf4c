"""`Isolation`: what keeps a container apart, and what does not."""

from __future__ import annotations

import dataclasses
import errno
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from .cgroups import Cgroup
from .config import REQUIREMENTS, Config, IdMapping
from .errors import RequirementMissing, SetupError
from .plan.landlock import enforced

__all__ = (
    "Isolation",
    "UserIds",
    "check_requirements",
    "hint_at_doctor",
    "isolation_of",
)

UserIds: TypeAlias = Literal["host", "own", "range", "joined"]

_NAMESPACES: Final = {"network": "netns"}


@dataclass(frozen=True, slots=True)
class Isolation:
    """What is in force for a container; said, so that nobody has to assume it."""

    namespaces: frozenset[str]
    """Kinds that aren't the host's: ``mount``, ``pid``, ``network``..."""
    user_ids: UserIds
    """``host``: ids are the program's own namespace's; ``own``: one id alone, the
    program's, with its groups; ``range``: more; ``joined``: as its maker chose."""
    root_uid: int | None
    """The host's id that root in the container is; ``None`` if unknown, or nobody."""
    cgroup: Literal["off", "v1", "v2"]
    """``off``: nothing is limited or counted, and only what was started from here can
    be killed as a whole."""
    controllers: frozenset[str]
    """cgroup controllers it has."""
    device_rules: bool
    """Devices that the config doesn't permit can't be used, whoever made a node. In a
    user namespace nobody can make one, and rules aren't needed."""
    network: Literal["host", "own", "joined"]
    """``own``: what its config lists, and nothing else."""
    seccomp: bool
    """System calls are filtered (for processes that don't override it)."""
    no_new_privs: bool
    capabilities: frozenset[str]
    """The most that a process in it can have; in a user namespace, over that only."""
    apparmor: str | None
    """The profile."""
    selinux: str | None
    """The process label."""
    landlock: bool
    """Landlock rules limit files."""
    readonly_root: bool

    @property
    def in_force(self) -> frozenset[str]:
        """The names of `Config.require` that hold."""
        names = {_NAMESPACES.get(kind, f"{kind}ns") for kind in self.namespaces}
        names |= {f"cgroup.{_controller(name)}" for name in self.controllers}
        facts = {
            "userns.range": self.user_ids == "range",
            "seccomp": self.seccomp,
            "no_new_privs": self.no_new_privs,
            "apparmor": self.apparmor is not None,
            "selinux": self.selinux is not None,
            "landlock": self.landlock,
            "readonly_root": self.readonly_root,
            "cgroup": self.cgroup != "off",
            "cgroup.devices": self.device_rules,
            "cgroup.freezer": self.cgroup == "v2" or "freezer" in self.controllers,
        }
        names |= {name for name, holds in facts.items() if holds}
        return frozenset(names & REQUIREMENTS.keys())

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON: sets are sorted lists."""
        fields = dataclasses.asdict(self)
        return {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in fields.items()
        }


def isolation_of(config: Config, cgroup: Cgroup | None) -> Isolation:
    """What holds for the container of a resolved ``config`` in ``cgroup``."""
    choices = config.namespaces.model_dump()
    controllers = frozenset() if cgroup is None else frozenset(cgroup.paths)
    v2 = cgroup is not None and cgroup.version == 2
    network = choices["network"]
    words: dict[str, Literal["host", "own"]] = {"host": "host", "new": "own"}
    profile = config.apparmor_profile
    return Isolation(
        namespaces=frozenset(kind for kind, at in choices.items() if at != "host"),
        user_ids=_user_ids(config),
        root_uid=_root(config),
        cgroup="off" if cgroup is None else "v2" if v2 else "v1",
        controllers=controllers,
        device_rules="devices" in controllers,
        network=words.get(network, "joined"),
        seccomp=config.seccomp is not None,
        no_new_privs=config.no_new_privs,
        capabilities=config.capabilities.bounding,
        apparmor=None if profile == "unconfined" else profile,
        selinux=config.selinux_label,
        landlock=config.landlock is not None and "files" in enforced(config.landlock),
        readonly_root=bool(getattr(config.rootfs, "readonly", False)),
    )


def _controller(name: str) -> str:
    return "io" if name == "blkio" else name


def _user_ids(config: Config) -> UserIds:
    user = config.namespaces.user
    if user == "host":
        return "host"
    if user != "new":
        return "joined"
    sizes = [sum(m.size for m in side) for side in _mappings(config)]
    return "own" if max(sizes) == 1 else "range"


def _mappings(config: Config) -> tuple[tuple[IdMapping, ...], ...]:
    return config.uid_mappings, config.gid_mappings


def _root(config: Config) -> int | None:
    if config.namespaces.user == "host":
        return 0
    for mapping in config.uid_mappings:
        if mapping.container_id == 0:
            return mapping.host_id
    return None


def hint_at_doctor(error: BaseException, config: Config) -> None:
    """Say on ``error`` where to look if the kernel makes no user namespace."""
    cause = error.__cause__
    if (
        isinstance(error, SetupError)
        and config.namespaces.user == "new"
        and error.step in _FIRST_STEPS
        and isinstance(cause, OSError)
        and cause.errno in _NO_NAMESPACE
    ):
        error.add_note(
            "hint: `aiocontainer doctor` says why there is no user namespace to be had"
        )


_NO_NAMESPACE: Final = (
    *(errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.EINVAL),
)
# AppArmor gives a user namespace, and then no rights in it.
_FIRST_STEPS: Final = (
    *("create the process", "be root of user namespace", "unshare"),
    "set propagation",
)


# -- requirements ----------------------------------------------------------------------


def check_requirements(
    config: Config, cgroup: Cgroup | None, within_reach: frozenset[str] | None = None
) -> None:
    """Raise if something that the config requires isn't (or won't be) in force.

    Args:
        config: the resolved one.
        cgroup: the container's.
        within_reach: controllers that it will have, where it isn't made yet.

    Raises:
        RequirementMissing: names all that lack, with the cause and cure of the first.
    """
    if not config.require:
        return
    found = isolation_of(config, cgroup)
    if within_reach is not None:
        devices = "devices" in within_reach
        found = replace(found, controllers=within_reach, device_rules=devices)
    missing = sorted(config.require - found.in_force)
    if missing:
        cause, cure = _explain(missing[0], config, cgroup)
        raise RequirementMissing(tuple(missing), cause, cure)


def _explain(name: str, config: Config, cgroup: Cgroup | None) -> tuple[str, str]:
    """Why something lacks, and what helps."""
    if name.startswith("cgroup"):
        return _explain_cgroup(name, config, cgroup)
    if name == "userns":
        return "the container shares the program's user namespace", (
            'set namespaces=Namespaces(user="auto")'
        )
    if name == "userns.range":
        return "one id is mapped, or none", (
            "give the user ranges in /etc/subuid and /etc/subgid, and install newuidmap"
        )
    if name.endswith("ns"):
        return "the config says that it is the host's", (
            'leave it at its default in namespaces, "new"'
        )
    return "the config doesn't ask for it", f"set the field of Config for {name}"


def _explain_cgroup(
    name: str, config: Config, cgroup: Cgroup | None
) -> tuple[str, str]:
    if config.cgroup.mode == "off":
        return "the config turns cgroups off", 'leave cgroup.mode at "auto"'
    if cgroup is None:
        return "this user has no cgroup of its own", (
            "run the program in a delegated one (systemd-run --user --scope), or as"
            " root; `aiocontainer doctor` says more"
        )
    return (
        f"it is not among those that can be had: {', '.join(sorted(cgroup.paths))}",
        ("have the controller delegated (Delegate= of systemd), or mounted"),
    )
