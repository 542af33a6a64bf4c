"""Capabilities: the five sets of a process, and the library's small default."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeAlias

from pydantic import PlainSerializer, PlainValidator, model_validator

from .base import ConfigError, Model
from .kernel_names import CAPABILITIES

__all__ = (
    "CAPABILITIES",
    "DEFAULT_CAPABILITIES",
    "Capabilities",
    "CapabilitySet",
)


def _canonical(name: object) -> str:
    word = name.upper() if isinstance(name, str) else ""
    full = word if word.startswith("CAP_") else f"CAP_{word}"
    if full not in CAPABILITIES:
        raise ConfigError("", f"unknown capability {name!r}"[:80])
    return full


def _capability_set(names: object) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError("", "should be a set of capability names")
    return frozenset(map(_canonical, names))


CapabilitySet: TypeAlias = Annotated[
    frozenset[str],
    PlainValidator(_capability_set),
    PlainSerializer(sorted, return_type=list[str]),
]
"""Names as ``CAP_CHOWN``; taken in any case and without the prefix too."""


class Capabilities(Model):
    """The capability sets of a process. All are empty unless given.

    A program that is started as another user than root keeps only the ambient set;
    one started as root gets what the bounding set allows.
    """

    bounding: CapabilitySet = frozenset()
    """The most that the process and its descendants can ever have."""
    effective: CapabilitySet = frozenset()
    """What the kernel checks. A part of ``permitted``."""
    permitted: CapabilitySet = frozenset()
    """What the process may make effective."""
    inheritable: CapabilitySet = frozenset()
    """Kept over an exec, for files that ask. Empty unless ambient ones are wanted."""
    ambient: CapabilitySet = frozenset()
    """Kept over an exec by users other than root. Part of ``permitted`` and of
    ``inheritable``."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            bounding: Iterable[str] = (),
            effective: Iterable[str] = (),
            permitted: Iterable[str] = (),
            inheritable: Iterable[str] = (),
            ambient: Iterable[str] = (),
        ) -> None: ...

    @classmethod
    def of(cls, *names: str) -> Self:
        """These capabilities as bounding, effective and permitted set."""
        return cls(bounding=names, effective=names, permitted=names)

    @model_validator(mode="after")
    def _sets_fit(self) -> Self:
        _require_subset("effective", self.effective, "permitted", self.permitted)
        _require_subset("ambient", self.ambient, "permitted", self.permitted)
        _require_subset("ambient", self.ambient, "inheritable", self.inheritable)
        return self


def _require_subset(
    name: str, inner: frozenset[str], container: str, outer: frozenset[str]
) -> None:
    if missing := inner - outer:
        raise ConfigError(name, f"{', '.join(sorted(missing))} not in {container}")


# Without NET_RAW (spoofing on the container's network), MKNOD, AUDIT_WRITE and SETFCAP,
# which common runtimes grant and ordinary programs don't need.
DEFAULT_CAPABILITIES: Final = Capabilities.of(
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
"""Enough for a package manager or a server that drops its own privileges."""
