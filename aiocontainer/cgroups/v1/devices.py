"""Device rules, reduced to what a v1 devices cgroup can hold.

The kernel holds a default and exceptions from it (security/device_cgroup.c). Our rules
are a list of which the last that matches counts; most lists, but not all, can be
reduced to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from ...errors import UnsupportedFeature
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import DeviceRule

__all__ = ("DeviceState", "limits", "parse_devices_list", "reduce_rules")

Key: TypeAlias = tuple[str, int | None, int | None]
"""Type (``c`` or ``b``), major, minor; ``None`` is any."""

_ALL: Final = frozenset("rwm")


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a devices cgroup allows."""

    allow: bool
    """Whether devices without an exception may be used."""
    exceptions: Mapping[Key, frozenset[str]] = field(default_factory=dict)
    """Device -> the accesses for which it is the other way round."""


def reduce_rules(rules: Iterable[DeviceRule]) -> DeviceState:
    """What a list of rules comes down to.

    Raises:
        UnsupportedFeature: v1 can't hold it: an exception from an exception.
    """
    allow, exceptions = True, dict[Key, frozenset[str]]()
    for rule in rules:
        access = frozenset(rule.access)
        if rule.type == "a" and access == _ALL:
            allow, exceptions = rule.allow, {}
            continue
        for kind in "cb" if rule.type == "a" else rule.type:
            key = (kind, rule.major, rule.minor)
            if rule.allow == allow:
                exceptions = _without(exceptions, key, access)
            else:
                exceptions[key] = exceptions.get(key, frozenset()) | access
    return DeviceState(allow, exceptions)


def _without(
    exceptions: Mapping[Key, frozenset[str]], key: Key, access: frozenset[str]
) -> dict[Key, frozenset[str]]:
    """Take away those exceptions that a later rule covers."""
    left = {}
    for other, letters in exceptions.items():
        if _covers(key, other):
            letters -= access
        elif _meets(key, other) and letters & access:
            raise UnsupportedFeature(
                "device rules",
                f"cgroup v1 can't hold {_text(key, access)} as an exception from "
                f"{_text(other, letters)}",
            )
        if letters:
            left[other] = letters
    return left


def _covers(wide: Key, narrow: Key) -> bool:
    return all(w is None or w == n for w, n in zip(wide, narrow, strict=True))


def _meets(one: Key, other: Key) -> bool:
    return all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def parse_devices_list(text: str) -> DeviceState:
    """Read ``devices.list``. Where the default is to allow, the kernel doesn't show
    the exceptions."""
    exceptions: dict[Key, frozenset[str]] = {}
    for line in text.splitlines():
        kind, numbers, letters = line.split()
        if kind == "a":
            return DeviceState(allow=True)
        major, minor = (None if n == "*" else int(n) for n in numbers.split(":"))
        exceptions[kind, major, minor] = frozenset(letters)
    return DeviceState(allow=False, exceptions=exceptions)


def limits(rules: Sequence[DeviceRule], read: Reader | None) -> list[Write]:
    """The writes that set the rules.

    Args:
        rules: all of them; none leaves everything alone.
        read: reads the present state, so that a running container isn't without its
            devices for a moment; ``None`` for a new cgroup.
    """
    if not rules:
        return []
    if read is None:
        return _first_limits(rules)
    wanted = reduce_rules(rules)
    text = read("devices.list")
    present = DeviceState(allow=True) if text is None else parse_devices_list(text)
    if present.allow or wanted.allow:
        return _from_nothing(wanted)
    return _difference(present, wanted)


def _first_limits(rules: Sequence[DeviceRule]) -> list[Write]:
    """The writes for a new cgroup, worked out once for the same rules: nearly always
    they are the default ones, and this is on the way of every start."""
    global _known
    rules_known, writes = _known
    if rules is not rules_known:
        writes = _from_nothing(reduce_rules(rules))
        _known = (rules, writes)
    return writes


_known: tuple[Sequence[DeviceRule], list[Write]] = ((), [])


def _from_nothing(wanted: DeviceState) -> list[Write]:
    first, other = _FILES[wanted.allow], _FILES[not wanted.allow]
    writes = [Write(first, "a", undo=None)]
    for key, letters in wanted.exceptions.items():
        writes.append(Write(other, _text(key, letters), undo=None))
    return writes


def _difference(present: DeviceState, wanted: DeviceState) -> list[Write]:
    """New permissions first, then those that are over, each with its way back."""
    allow, deny = _FILES[True], _FILES[False]
    writes = []
    for key, letters in wanted.exceptions.items():
        if more := letters - present.exceptions.get(key, frozenset()):
            text = _text(key, more)
            writes.append(Write(allow, text, undo=None, inverse=(deny, text)))
    for key, letters in present.exceptions.items():
        if less := letters - wanted.exceptions.get(key, frozenset()):
            text = _text(key, less)
            writes.append(Write(deny, text, undo=None, inverse=(allow, text)))
    return writes


_FILES: Final = {True: "devices.allow", False: "devices.deny"}


def _text(key: Key, access: frozenset[str]) -> str:
    kind, *numbers = key
    major, minor = ("*" if number is None else number for number in numbers)
    return f"{kind} {major}:{minor} " + "".join(c for c in "rwm" if c in access)
