"""From our filter to that of an OCI document.

Here the first rule that holds counts. OCI runtimes have no order: their filter library
lets a rule without conditions win over those with some, and takes no rule that does
what is done anyway. So rules of one call that do different things are written such that
no two of them hold at once.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from aiocontainer.errors import UnsupportedFeature

__all__ = ("complement", "write_seccomp")

_EPERM: Final = 1
_ALL_BITS: Final = 2**64 - 1
_MACHINES: Final = {
    "x86_64": "X86_64",
    "i686": "X86",
    "aarch64": "AARCH64",
    "armv7l": "ARM",
}

_Rule: TypeAlias = Mapping[str, Any]
_Effect: TypeAlias = tuple[str, int | None]


def write_seccomp(seccomp: _Rule, bounding: frozenset[str]) -> dict[str, Any]:
    """The ``linux.seccomp`` that means the same on this machine.

    OCI knows no rule that holds for some capabilities, machines or kernels only: such
    rules are settled for this machine and this bounding set, as engines do it.

    Raises:
        UnsupportedFeature: OCI has no word for something.
    """
    if seccomp["bpf"] is not None:
        raise UnsupportedFeature("seccomp.bpf", "OCI has no word for it")
    document: dict[str, Any] = {
        "defaultAction": f"SCMP_ACT_{seccomp['default_action']}",
        "architectures": [f"SCMP_ARCH_{name}" for name in seccomp["architectures"]],
        "flags": [f"SECCOMP_FILTER_FLAG_{name}" for name in seccomp["flags"]],
        "syscalls": list(_rules(seccomp, bounding)),
    }
    for field, name in (
        ("default_errno", "defaultErrnoRet"),
        ("listener_path", "listenerPath"),
        ("listener_metadata", "listenerMetadata"),
    ):
        if seccomp[field] is not None:
            document[name] = seccomp[field]
    return document


def _rules(seccomp: _Rule, bounding: frozenset[str]) -> Iterator[dict[str, Any]]:
    rules = [rule for rule in seccomp["syscalls"] if _holds(rule, bounding)]
    usual = _effect(seccomp["default_action"], seccomp["default_errno"])
    by_name: dict[str, list[_Rule]] = {}
    for rule in rules:
        for name in rule["names"]:
            of_name = by_name.setdefault(name, [])
            # Behind one without conditions no other is reached.
            if not of_name or of_name[-1]["args"]:
                of_name.append(rule)
    mixed = {name for name, of_name in by_name.items() if len(_effects(of_name)) > 1}
    for rule in rules:
        reached = [n for n in rule["names"] if any(r is rule for r in by_name[n])]
        names = list(dict.fromkeys(n for n in reached if n not in mixed))
        if names and _effect_of(rule) != usual:
            yield _written(names, rule, rule["args"])
    for name in sorted(mixed):
        for rule, args in _apart(name, by_name[name]):
            if _effect_of(rule) != usual:
                yield _written([name], rule, args)


def _effect(action: str, errno: int | None) -> _Effect:
    return action, (errno or _EPERM) if action == "ERRNO" else errno


def _effect_of(rule: _Rule) -> _Effect:
    return _effect(rule["action"], rule["errno"])


def _effects(rules: Sequence[_Rule]) -> set[_Effect]:
    return set(map(_effect_of, rules))


def _apart(
    name: str, rules: Sequence[_Rule]
) -> Iterator[tuple[_Rule, Sequence[Mapping[str, Any]]]]:
    """The rules of one call with conditions of which no two hold at once."""
    seen: dict[int, _Rule] = {}
    places = set()
    for rule in rules:
        if not rule["args"]:
            break
        arg = rule["args"][0]
        mask, value = _masked(arg)
        if len(rule["args"]) > 1 or mask is None:
            raise UnsupportedFeature(
                "seccomp.syscalls",
                f"OCI can't tell in which order the rules of {name} count",
            )
        places.add((arg["index"], mask))
        seen.setdefault(value, rule)
    if len(places) > 1:
        raise UnsupportedFeature(
            "seccomp.syscalls", f"the rules of {name} look at different things"
        )
    index, mask = places.pop()
    for value, rule in seen.items():
        yield rule, [_condition(index, mask, value)]
    if not rules[-1]["args"]:
        for bits, value in complement(mask, seen):
            yield rules[-1], [_condition(index, bits, value)]


def _masked(arg: Mapping[str, Any]) -> tuple[int | None, int]:
    if arg["op"] == "EQ":
        return _ALL_BITS, arg["value"]
    return (arg["value"] if arg["op"] == "MASKED_EQ" else None), arg["value_two"]


def _condition(index: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": index, "op": "MASKED_EQ", "value": mask, "value_two": value}


def complement(mask: int, excluded: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(mask, value) pairs; any number but those that are one of ``excluded`` under
    ``mask`` fits exactly one of them."""
    bits = [1 << n for n in reversed(range(64)) if mask >> n & 1]
    pending = [(0, 0, 0, sorted(set(excluded)))]
    while pending:
        depth, fixed, value, inside = pending.pop()
        if not inside:
            yield fixed, value
        elif depth < len(bits):
            bit = bits[depth]
            for side in (0, bit):
                same = [number for number in inside if number & bit == side]
                pending.append((depth + 1, fixed | bit, value | side, same))


def _holds(rule: _Rule, bounding: frozenset[str]) -> bool:
    machine = os.uname()
    if not set(rule["when_capabilities"]) <= bounding:
        return False
    if not bounding.isdisjoint(rule["unless_capabilities"]):
        return False
    wanted: Sequence[str] = rule["architectures"]
    if wanted and _MACHINES.get(machine.machine, machine.machine.upper()) not in wanted:
        return False
    least = rule["min_kernel"]
    return least is None or _release(machine.release) >= tuple(least)


def _release(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    minor = rest.split(".")[0].split("-")[0]
    return int(major), int(minor) if minor.isdecimal() else 0


def _written(
    names: list[str], rule: _Rule, args: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    indexes = [arg["index"] for arg in args]
    if len(set(indexes)) != len(indexes):
        raise UnsupportedFeature(
            "seccomp.syscalls",
            f"two conditions on one argument of {names[0]} are alternatives in OCI",
        )
    document: dict[str, Any] = {
        "names": names,
        "action": f"SCMP_ACT_{rule['action']}",
    }
    if rule["errno"] is not None:
        document["errnoRet"] = rule["errno"]
    if args:
        document["args"] = [_arg(arg) for arg in args]
    return document


def _arg(arg: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "index": arg["index"],
        "value": arg["value"],
        "valueTwo": arg["value_two"],
        "op": f"SCMP_CMP_{arg['op']}",
    }
