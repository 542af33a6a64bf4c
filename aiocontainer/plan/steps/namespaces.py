"""Steps that enter namespaces and name what is in them."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Step, text


@dataclass(frozen=True, slots=True)
class JoinCgroups(Step):
    """First of all: a cgroup namespace takes its creator's cgroup as its root."""


@dataclass(frozen=True, slots=True)
class BeRootOfUserNamespace(Step):
    """Take the ids that the mappings made root; all files made now are its."""


@dataclass(frozen=True, slots=True)
class Unshare(Step):
    """New namespaces that clone3 couldn't make: the cgroup one, after the join."""

    kinds: int


@dataclass(frozen=True, slots=True)
class NewTimeNamespace(Step):
    """A time namespace of the child's own making: its spawner may not make one."""

    offsets: bytes


@dataclass(frozen=True, slots=True)
class JoinNamespace(Step):
    """Join one namespace; ``number`` is its index among the descriptors."""

    path: bytes
    number: int
    kind: int

    def _subject(self) -> str:
        return text(self.path)


@dataclass(frozen=True, slots=True)
class JoinContainer(Step):
    """Join the namespaces of a running container's first process, by its pidfd."""

    pidfd: int
    kinds: int


@dataclass(frozen=True, slots=True)
class OpenRoot(Step):
    """Use the root directory as it is, for a container without one of its own."""


@dataclass(frozen=True, slots=True)
class SetHostname(Step):
    """Name of the machine, as seen in the UTS namespace."""

    name: bytes


@dataclass(frozen=True, slots=True)
class SetDomainname(Step):
    """NIS domain name, as seen in the UTS namespace."""

    name: bytes


@dataclass(frozen=True, slots=True)
class ForbidUserNamespaces(Step):
    """No user namespaces in ours: a second wall behind the system call filter."""


@dataclass(frozen=True, slots=True)
class BeTraceable(Step):
    """Let other programs of our user reach our namespaces by ``/proc``, or no more.

    Only for a process that is alone in a new user namespace: a container's processes
    can't trace what is outside of theirs.
    """

    traceable: bool


@dataclass(frozen=True, slots=True)
class BringUpLoopback(Step):
    """A new network namespace has its loopback interface down."""


@dataclass(frozen=True, slots=True)
class NewSessionKeyring(Step):
    """Leave the supervisor's keys behind."""
