"""Devices of a ``container.json``, whose types are numbers of letters."""

from typing import Any, Final

from ..document import Node

__all__ = ("read_devices", "read_rules")

_TYPE_BITS: Final = 0o170_000
_ID: Final = (0, 4_294_967_294)
_MAJORS: Final = (-1, (1 << 12) - 1)
_MINORS: Final = (-1, (1 << 20) - 1)
_KNOWN: Final = (
    *("type", "path", "major", "minor", "permissions", "file_mode", "uid", "gid"),
    # 2014
    *("major_number", "minor_number", "cgroup_permissions"),
    # runc's
    "allow",
)


def read_devices(node: Node, name: str) -> list[dict[str, Any]]:
    """Keywords of one `Device` for each entry: those named, and no others."""
    found: dict[str, dict[str, Any]] = {}
    for entry in node.nodes(name):
        entry.only(*_KNOWN)
        path = entry.need("path")
        if not path.startswith("/") or path.rstrip("/") in ("", "/dev"):
            raise entry.wrong("path", "should be an absolute path of a file")
        mode = entry.number("file_mode", 0, 2**32)
        device = {
            "path": path,
            "type": _kind(entry, "cbup"),
            "major": _number(entry, "major", (0, _MAJORS[1])) or 0,
            "minor": _number(entry, "minor", (0, _MINORS[1])) or 0,
            "file_mode": 0o666 if mode is None else mode & 0o7777,
            "uid": entry.number("uid", *_ID) or 0,
            "gid": entry.number("gid", *_ID) or 0,
        }
        if found.setdefault(path, device) != device:
            raise entry.wrong("path", f"{path[:80]} is there twice")
    return list(found.values())


def read_rules(node: Node) -> list[dict[str, Any]]:
    """Keywords of one `DeviceRule` for each; all that isn't allowed is refused."""
    everything = node.flag("allow_all_devices") or False
    rules: list[dict[str, Any]] = [{"allow": everything}]
    # Of the two lists only one counts, as in libcontainer.
    allowed, denied = node.nodes("allowed_devices"), node.nodes("denied_devices")
    rules += (
        _rule(entry, allow=not everything)
        for entry in (denied if everything else allowed)
    )
    for entry in node.nodes("devices"):
        rules.append(_rule(entry, allow=entry.flag("allow") or False))
    return rules


def _rule(entry: Node, *, allow: bool) -> dict[str, Any]:
    entry.only(*_KNOWN)
    access = entry.word("permissions") or entry.word("cgroup_permissions") or "rwm"
    if set(access) - set("rwm") or len(set(access)) != len(access):
        raise entry.wrong("permissions", "should be some of r, w and m")
    rule = {"allow": allow, "type": _kind(entry, "acb"), "access": access}
    for name, bounds in (("major", _MAJORS), ("minor", _MINORS)):
        number = _number(entry, name, bounds)
        if number >= 0 and rule["type"] != "a":
            rule[name] = number
    return rule


def _kind(entry: Node, letters: str) -> str:
    value = entry.raw("type")
    letter = value if isinstance(value, str) else ""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 128:
        letter = chr(value)  # a rune of Go
    if len(letter) != 1 or letter not in letters:
        raise entry.wrong(
            "type", f"should be the number of one of {', '.join(letters)}"
        )
    return letter


def _number(entry: Node, name: str, bounds: tuple[int, int]) -> int:
    old = f"{name}_number"
    return entry.number(old if old in entry else name, *bounds) or 0
