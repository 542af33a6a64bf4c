"""Properties of a systemd unit that a config may set besides what the library sets."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator

from .base import ConfigError, FrozenMap, as_map

__all__ = (
    "PROPERTY_SIGNATURES",
    "PropertyValue",
    "SystemdProperties",
    "systemd_property",
)

PropertyValue: TypeAlias = bool | int | str | tuple[str, ...]

_SIGNATURES: Final = {
    "b": """
        CPUAccounting DefaultDependencies IOAccounting IPAccounting MemoryAccounting
        SendSIGHUP SendSIGKILL TasksAccounting
    """,
    "i": "KillSignal RestartKillSignal FinalKillSignal",
    "s": """
        CollectMode Description KillMode ManagedOOMMemoryPressure ManagedOOMPreference
        ManagedOOMSwap OOMPolicy
    """,
    "t": """
        MemoryZSwapMax RuntimeMaxUSec RuntimeRandomizedExtraUSec StartupCPUWeight
        StartupIOWeight TimeoutStopUSec
    """,
    "u": "ManagedOOMMemoryPressureLimit",
    "as": """
        After Before BindsTo Conflicts Documentation PartOf PropagatesStopTo Requires
        Requisite StopPropagatedFrom Wants
    """,
}
PROPERTY_SIGNATURES: Final[Mapping[str, str]] = {
    name: signature
    for signature, names in _SIGNATURES.items()
    for name in names.split()
}
"""Property -> its D-Bus type (org.freedesktop.systemd1(5)).

A list of those that are harmless, since they may come from annotations that somebody
else wrote (CVE-2024-3154): none runs a program, loads a file or moves a process. Limits
are left to `Resources`, and what makes the scope ours to the library."""

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    **dict.fromkeys("itu", int),
    "b": bool,
    "s": str,
    "as": (tuple, list),
}
_RANGES: Final = {"i": (-(2**31), 2**31), "u": (0, 2**32), "t": (0, 2**64)}


def _checked(name: str, value: object) -> PropertyValue:
    signature = PROPERTY_SIGNATURES.get(name)
    if signature is None:
        raise ConfigError(f"[{name[:80]}]", "isn't a property that may be set")
    wrong = not isinstance(value, _TYPES[signature])
    if wrong or (isinstance(value, bool) and signature != "b"):
        raise ConfigError(f"[{name}]", f"should be of the D-Bus type {signature!r}")
    if isinstance(value, int) and signature in _RANGES:
        low, end = _RANGES[signature]
        if not low <= value < end:
            raise ConfigError(f"[{name}]", "is out of range")
    words = [value] if isinstance(value, str) else value
    if isinstance(words, tuple | list):
        if not all(isinstance(word, str) and word.isprintable() for word in words):
            raise ConfigError(f"[{name}]", "should be printable text")
        value = value if isinstance(value, str) else tuple(words)
    assert isinstance(value, bool | int | str | tuple)
    return value


def _properties(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ConfigError("", "should be a mapping")
    return FrozenMap({name: _checked(str(name), one) for name, one in value.items()})


SystemdProperties = Annotated[
    Mapping[str, PropertyValue], BeforeValidator(_properties), *as_map[1:]
]
"""The type of a field that holds such properties."""

_INTEGER: Final = r"(?:u?int(?:16|32|64)\s+)?([+-]?\d{1,20})"
_QUOTED: Final = r"""'([^'\\]*)'|"([^"\\]*)\""""


def systemd_property(name: str, text: str) -> tuple[str, PropertyValue]:
    """A property from the text of an OCI annotation ``org.systemd.property.<name>``.

    The text is that of a GVariant (``uint64 5000000``, ``'word'``, ``['a', 'b']``,
    ``true``), as runc takes it. A name that ends in ``Sec`` is in seconds, perhaps
    with a fraction, and becomes the one in microseconds.

    Raises:
        ConfigError: no such property may be set, or the text doesn't fit its type.
    """
    text = text.strip()
    if name.endswith("Sec") and not name.endswith("USec"):
        name = name.removesuffix("Sec") + "USec"
        text = _microseconds(name, text)
    signature = PROPERTY_SIGNATURES.get(name, "")
    value: object = None
    if signature == "b":
        value = {"true": True, "false": False}.get(text)
    elif signature == "s":
        value = _unquoted(text)
    elif signature == "as" and text.startswith("[") and text.endswith("]"):
        words = [_unquoted(part.strip()) for part in text[1:-1].split(",")]
        value = () if text[1:-1].strip() == "" else tuple(words)
    elif found := re.fullmatch(_INTEGER, text, re.ASCII):
        value = int(found[1])
    return name, _checked(name, value)


def _microseconds(name: str, text: str) -> str:
    try:
        return str(round(float(text.split()[-1]) * 1_000_000))
    except (ValueError, IndexError, OverflowError):
        raise ConfigError(f"[{name}]", "should be a number of seconds") from None


def _unquoted(text: str) -> str | None:
    found = re.fullmatch(_QUOTED, text)
    return None if found is None else found[1] or found[2] or ""
