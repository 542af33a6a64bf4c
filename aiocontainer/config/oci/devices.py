"""``linux.devices`` and the device rules of ``linux.resources``."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..document import Node
from ..kernel_names import DEVICE_NUMBERS

__all__ = ("read_device_rules", "read_devices")

_TYPE_BITS: Final = 0o170_000
_ID: Final = (0, 4_294_967_294)

_MAJORS: Final = (0, (1 << 12) - 1)
_MINORS: Final = (0, (1 << 20) - 1)


def _allow(
    access: str, kind: str, major: int | None, minor: int | None
) -> dict[str, Any]:
    return {
        "allow": True,
        "type": kind,
        "major": major,
        "minor": minor,
        "access": access,
    }


# The devices that a runtime has to supply, and nodes that give no access by themselves.
_SUPPLIED: Final = (
    _allow("m", "c", None, None),
    _allow("m", "b", None, None),
    *(_allow("rwm", "c", *number) for number in DEVICE_NUMBERS.values()),
    _allow("rwm", "c", 5, 1),  # console
    _allow("rwm", "c", 5, 2),  # ptmx
    _allow("rwm", "c", 136, None),  # pts
)
_DENY_ALL: Final = {"allow": False, "type": "a", "access": "rwm"}


def read_devices(linux: Node) -> list[dict[str, Any]]:
    """Keywords of one `Device` each: those of the document, then those that every
    container has. What may be done with them is for the rules to say."""
    usual = {
        path: _character(path, major, minor)
        for path, (major, minor) in DEVICE_NUMBERS.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for node in linux.nodes("devices"):
        device = _device(node)
        path = device["path"]
        if found.setdefault(path, device) != device:
            raise node.wrong("path", f"{path} is there twice")
    given = [device for path, device in found.items() if device != usual.get(path)]
    taken = {device["path"] for device in given}
    return given + [device for path, device in usual.items() if path not in taken]


def _character(path: str, major: int, minor: int) -> dict[str, Any]:
    fields = {"path": path, "type": "c", "major": major, "minor": minor}
    return fields | {"file_mode": 0o666, "uid": 0, "gid": 0}


def _device(node: Node) -> dict[str, Any]:
    node.only("type", "path", "major", "minor", "fileMode", "uid", "gid")
    kind, path = node.need("type"), node.need("path")
    if kind not in ("c", "b", "u", "p"):
        raise node.wrong("type", "should be one of c, b, u, p")
    path = f"/{posixpath.normpath(path).lstrip('/')}"
    if not node.need("path").startswith("/") or path in ("/", "/dev"):
        raise node.wrong("path", "should be an absolute path of a file")
    fields: dict[str, Any] = {"path": path, "type": kind}
    if kind != "p":
        fields["major"] = node.need_number("major", *_MAJORS)
        fields["minor"] = node.need_number("minor", *_MINORS)
    mode = node.number("fileMode", 0, 0o177_777)
    fields["file_mode"] = 0o666 if mode is None else mode & ~_TYPE_BITS
    for owner in ("uid", "gid"):
        fields[owner] = node.number(owner, *_ID) or 0
    return fields


def read_device_rules(resources: Node) -> list[dict[str, Any]]:
    """Keywords of one `DeviceRule` each: all is refused but what the document allows
    and what a runtime has to supply."""
    rules = [_rule(node) for node in resources.nodes("devices")]
    if not rules or not _covers(rules[0], _DENY_ALL):
        rules.insert(0, dict(_DENY_ALL))
    missing = [dict(rule) for rule in _SUPPLIED if not _is_allowed(rules, rule)]
    return rules + missing


def _rule(node: Node) -> dict[str, Any]:
    node.only("allow", "type", "major", "minor", "access")
    allow = node.flag("allow")
    if allow is None:
        raise node.wrong("allow", "is missing")
    kind = node.word("type") or "a"
    if kind not in ("a", "c", "b"):
        raise node.wrong("type", "should be one of a, c, b")
    access = node.word("access") or "rwm"
    if set(access) - set("rwm") or len(set(access)) != len(access):
        raise node.wrong("access", "should be some of r, w and m")
    fields: dict[str, Any] = {"allow": allow, "type": kind, "access": access}
    for name, bounds in (("major", _MAJORS), ("minor", _MINORS)):
        number = node.number(name, -1, bounds[1])
        if number is not None and number >= 0:
            if kind == "a":
                raise node.wrong(name, "all devices can't have a number")
            fields[name] = number
    return fields


def _is_allowed(rules: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> bool:
    """Whether ``rules``, of which the last that matches counts, allow all of it."""
    for rule in reversed(rules):
        if rule["allow"]:
            if _covers(rule, wanted):
                return True
        elif _meets(rule, wanted):
            return False
    return False


def _covers(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> bool:
    return set(wide["access"]) >= set(narrow["access"]) and all(
        one is None or one == other for one, other in _numbers(wide, narrow)
    )


def _meets(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(set(one["access"]) & set(other["access"])) and all(
        None in pair or pair[0] == pair[1] for pair in _numbers(one, other)
    )


def _numbers(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[tuple[Any, Any]]:
    for name in ("major", "minor"):
        yield one.get(name), other.get(name)
    yield tuple(None if r["type"] == "a" else r["type"] for r in (one, other))  # type: ignore[misc]
