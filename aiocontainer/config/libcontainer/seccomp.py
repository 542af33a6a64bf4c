"""Filters of a ``container.json``: by number (2015), or by name (runc's)."""

import os
from typing import Any, Final

from aiocontainer.errors import UnsupportedFeature

from ..document import Node

__all__ = ("read_seccomp",)

# configs/config_linux.go: what isn't one of these is an errno.
_OLD_ACTIONS: Final = {-3: "KILL_THREAD", -2: "TRAP", -1: "ALLOW"}
_OLD_OPERATORS: Final = ("EQ", "NE", "GT", "LT")

_ACTIONS: Final = (
    *("KILL_THREAD", "ERRNO", "TRAP", "ALLOW", "TRACE", "LOG", "NOTIFY"),
    *("KILL_THREAD", "KILL_PROCESS"),
)
_OPERATORS: Final = ("EQ", "NE", "GT", "GE", "LT", "LE", "MASKED_EQ")
_ARCHITECTURES: Final = {
    "amd64": "X86_64",
    "x86": "X86",
    "x32": "X32",
    "arm": "ARM",
    "arm64": "AARCH64",
    "mips": "MIPS",
    "mips64": "MIPS64",
    "mips64n32": "MIPS64N32",
    "mipsel": "MIPSEL",
    "mipsel64": "MIPSEL64",
    "mipsel64n32": "MIPSEL64N32",
    "ppc": "PPC",
    "ppc64": "PPC64",
    "ppc64le": "PPC64LE",
    "riscv64": "RISCV64",
    "s390": "S390",
    "s390x": "S390X",
}
_AUDIT_ARCH: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_U64: Final = (0, 2**64 - 1)
_U32: Final = (0, 2**32 - 1)


def read_seccomp(node: Node | None) -> dict[str, Any] | None:
    """Keywords of `Seccomp`; ``None`` if there is no filter."""
    if node is None:
        return None
    if "default_action" in node:
        return _by_name(node)
    node.only("syscalls")
    # The 2015 filter allowed what it didn't name.
    rules = [_numbered(entry) for entry in node.nodes("syscalls")]
    return {"default_action": "ALLOW", "syscalls": rules} if rules else None


def _numbered(node: Node) -> dict[str, Any]:
    node.only("value", "action", "args")
    number = node.need_number("value", 0, 10_000)
    action = node.need_number("action", -3, 4095)
    rule: dict[str, Any] = {
        "names": (_name(node, number),),
        "action": _OLD_ACTIONS.get(action, "ERRNO"),
        "args": [_condition(arg) for arg in node.nodes("args")],
    }
    if action >= 0:
        rule["errno"] = action
    return rule


def _name(node: Node, number: int) -> str:
    from aiocontainer._sys import libseccomp

    arch = _AUDIT_ARCH.get(os.uname().machine)
    try:
        name = None if arch is None else libseccomp.name_of(number, arch)
    except OSError as error:
        raise UnsupportedFeature(node.at("value"), f"{error}") from None
    if name is None:
        raise node.wrong("value", f"no system call of this machine is number {number}")
    return name


def _condition(node: Node) -> dict[str, Any]:
    node.only("index", "value", "op")
    op = node.number("op", 0, 4) or 0
    if op >= len(_OLD_OPERATORS):
        raise UnsupportedFeature(node.at("op"), "a mask without a value")
    return {
        "index": node.number("index", 0, 5) or 0,
        "value": node.number("value", *_U64) or 0,
        "op": _OLD_OPERATORS[op],
    }


def _by_name(node: Node) -> dict[str, Any]:
    node.only(
        *("default_action", "default_errno_ret", "architectures", "flags", "syscalls"),
        *("listener_path", "listener_metadata"),
    )
    fields: dict[str, Any] = {
        "default_action": _action(node, "default_action"),
        "architectures": _architectures(node),
        "flags": [
            flag.removeprefix("SECCOMP_FILTER_FLAG_") for flag in node.words("flags")
        ],
        "syscalls": [_rule(entry) for entry in node.nodes("syscalls")],
        "listener_path": node.word("listener_path"),
        "listener_metadata": node.word("listener_metadata"),
    }
    if fields["default_action"] in ("ERRNO", "TRACE"):
        fields["default_errno"] = node.number("default_errno_ret", 0, 4095)
    return fields


def _architectures(node: Node) -> list[str]:
    found = []
    for index, name in enumerate(node.words("architectures")):
        if name not in _ARCHITECTURES:
            raise node.wrong(f"architectures[{index}]", f"unknown: {name[:40]!r}")
        found.append(_ARCHITECTURES[name])
    return found


def _action(node: Node, name: str) -> str:
    return _ACTIONS[node.need_number(name, 1, len(_ACTIONS)) - 1]


def _rule(node: Node) -> dict[str, Any]:
    node.only("name", "action", "errnoRet", "args")
    action = _action(node, "action")
    code = node.number("errnoRet", 0, 4095)
    return {
        "names": (node.need("name"),),
        "action": action,
        "errno": code if action in ("ERRNO", "TRACE") else None,
        "args": [_named_condition(arg) for arg in node.nodes("args")],
    }


def _named_condition(node: Node) -> dict[str, Any]:
    node.only("index", "value", "value_two", "op")
    op = _OPERATORS[node.need_number("op", 1, len(_OPERATORS)) - 1]
    return {
        "index": node.number("index", 0, 5) or 0,
        "value": node.number("value", *_U64) or 0,
        "value_two": node.number("value_two", *_U64) or 0,
        "op": op,
    }
