"""Reading filter profiles as Docker, Podman and the OCI runtime-spec write them."""

import errno
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from aiocontainer.errors import ConfigError

from .kernel_names import SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES

__all__ = ("translate", "translate_traced")

_ARCHITECTURES: Final = SECCOMP_ARCHITECTURES

# What Go calls them, which conditions use.
_GO_NAMES: Final = {
    "amd64": "X86_64",
    "x86": "X86",
    "386": "X86",
    "x32": "X32",
    "arm64": "AARCH64",
    "arm": "ARM",
    "loong64": "LOONGARCH64",
    "mips": "MIPS",
    "mips64": "MIPS64",
    "mips64le": "MIPSEL64",
    "mips64n32": "MIPS64N32",
    "mips64p32": "MIPS64N32",
    "mips64p32le": "MIPSEL64N32",
    "mipsel64n32": "MIPSEL64N32",
    "mipsle": "MIPSEL",
    "ppc": "PPC",
    "ppc64": "PPC64",
    "ppc64le": "PPC64LE",
    "riscv64": "RISCV64",
    "s390": "S390",
    "s390x": "S390X",
}

_OLD_ACTIONS: Final = {"KILL": "KILL_THREAD"}
_PROFILE_FIELDS: Final = frozenset(
    {
        "architectures",
        "archMap",
        "defaultAction",
        "defaultErrno",
        "defaultErrnoRet",
        "flags",
        "listenerMetadata",
        "listenerPath",
        "syscalls",
    }
)


def translate(profile: object) -> dict[str, Any]:
    """The fields of a `Seccomp` that means the same.

    Raises:
        ConfigError: not a profile.
    """
    return translate_traced(profile)[0]


def translate_traced(profile: object) -> tuple[dict[str, Any], list[int]]:
    """As `translate`; and for each rule the index of the one that it was made from."""
    data = _mapping("", _parsed(profile))
    if unknown := data.keys() - _PROFILE_FIELDS:
        raise ConfigError(min(map(str, unknown)), "unknown field")
    default = _action("defaultAction", data.get("defaultAction"))
    default_errno = _errno("default", data, "defaultErrno", "defaultErrnoRet")
    fields: dict[str, Any] = {
        "default_action": default,
        "default_errno": default_errno if default in ("ERRNO", "TRACE") else None,
        "architectures": tuple(_architectures(data)),
        "flags": tuple(
            _word(f"flags[{index}]", flag).removeprefix("SECCOMP_FILTER_FLAG_")
            for index, flag in enumerate(_items(data, "flags"))
        ),
        "listener_path": data.get("listenerPath") or None,
        "listener_metadata": data.get("listenerMetadata") or None,
    }
    rules: list[tuple[int, dict[str, Any]]] = []
    for index, rule in enumerate(_items(data, "syscalls")):
        path = f"syscalls[{index}]"
        rules += ((index, made) for made in _rules(path, _mapping(path, rule)))
    # Such a rule has no effect in the common runtimes, but here it would hide others.
    usual = (default, fields["default_errno"] or errno.EPERM)
    kept = [
        (index, rule)
        for index, rule in rules
        if (rule["action"], rule["errno"] or errno.EPERM) != usual
    ]
    fields["syscalls"] = tuple(rule for _, rule in kept)
    return fields, [index for index, _ in kept]


def _parsed(profile: object) -> object:
    if not isinstance(profile, str | bytes):
        return profile
    try:
        return json.loads(profile)
    except (ValueError, RecursionError) as error:
        raise ConfigError("", f"isn't JSON: {error}") from None


def _mapping(path: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(path, "should be an object")
    return value


def _items(data: Mapping[str, Any], name: str, path: str = "") -> Iterable[Any]:
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path}.{name}".lstrip("."), "should be a list")
    return value


def _word(path: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(path, "should be a word")
    return value


def _action(path: str, value: object) -> str:
    word = _word(path, value).removeprefix("SCMP_ACT_")
    word = _OLD_ACTIONS.get(word, word)
    if word not in SECCOMP_ACTIONS:
        raise ConfigError(path, f"unknown action {value!r}")
    return word


def _errno(path: str, data: Mapping[str, Any], name: str, number: str) -> int | None:
    """Podman writes the name beside the number, and the name counts."""
    if word := data.get(name):
        code = getattr(errno, _word(f"{path}.{name}", word), None)
        if not isinstance(code, int):
            raise ConfigError(f"{path}.{name}", f"unknown errno {word!r}")
        return code
    value: int | None = data.get(number)
    return value


def _architectures(data: Mapping[str, Any]) -> Iterator[str]:
    """All that are named. Those of other machines have no effect."""
    for index, entry in enumerate(_items(data, "archMap")):
        path = f"archMap[{index}]"
        pair = _mapping(path, entry)
        yield _token(f"{path}.architecture", pair.get("architecture"))
        for sub in _items(pair, "subArchitectures", path):
            yield _token(f"{path}.subArchitectures", sub)
    for index, token in enumerate(_items(data, "architectures")):
        yield _token(f"architectures[{index}]", token)


def _token(path: str, value: object) -> str:
    word = _word(path, value).removeprefix("SCMP_ARCH_")
    if word not in _ARCHITECTURES:
        raise ConfigError(path, f"unknown architecture {value!r}")
    return word


def _rules(path: str, rule: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    action = _action(f"{path}.action", rule.get("action"))
    code = _errno(path, rule, "errno", "errnoRet")
    names = [*_items(rule, "names", path), *([rule["name"]] if "name" in rule else ())]
    fields: dict[str, Any] = {
        "names": tuple(names),
        "action": action,
        "errno": code if action in ("ERRNO", "TRACE") else None,
        **_conditions(path, rule),
    }
    args = [
        _arg(f"{path}.args[{index}]", arg)
        for index, arg in enumerate(_items(rule, "args", path))
    ]
    indexes = [arg["index"] for arg in args]
    if any(indexes.count(index) > 1 for index in indexes):
        # As in the common runtimes: then each condition stands alone.
        yield from ({**fields, "args": (arg,)} for arg in args)
    else:
        yield {**fields, "args": tuple(args)}


def _arg(path: str, value: object) -> dict[str, Any]:
    arg = _mapping(path, value)
    two = arg.get("valueTwo") or 0
    mask = arg.get("value")
    op = _word(f"{path}.op", arg.get("op")).removeprefix("SCMP_CMP_")
    return {"index": arg.get("index"), "op": op, "value": mask, "value_two": two}


def _conditions(path: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    includes = _mapping(f"{path}.includes", rule.get("includes") or {})
    excludes = _mapping(f"{path}.excludes", rule.get("excludes") or {})
    if excludes.get("minKernel"):
        raise ConfigError(f"{path}.excludes.minKernel", "isn't supported")
    wanted = _go_names(f"{path}.includes", includes)
    unwanted = _go_names(f"{path}.excludes", excludes)
    if unwanted:
        wanted = [name for name in wanted or _ARCHITECTURES if name not in unwanted]
    return {
        "when_capabilities": tuple(_items(includes, "caps", f"{path}.includes")),
        "unless_capabilities": tuple(_items(excludes, "caps", f"{path}.excludes")),
        "architectures": tuple(wanted),
        "min_kernel": _release(f"{path}.includes.minKernel", includes.get("minKernel")),
    }


def _go_names(path: str, conditions: Mapping[str, Any]) -> list[str]:
    names = []
    for index, name in enumerate(_items(conditions, "arches", path)):
        word = _word(f"{path}.arches[{index}]", name)
        if word not in _GO_NAMES:
            raise ConfigError(f"{path}.arches[{index}]", f"unknown machine {word!r}")
        names.append(_GO_NAMES[word])
    return names


def _release(path: str, value: object) -> tuple[int, int] | None:
    if not value:
        return None
    major, _, minor = _word(path, value).partition(".")
    if not (major.isdecimal() and minor.isdecimal() and len(f"{major}{minor}") < 9):
        raise ConfigError(path, "should be a kernel release, as '4.8'")
    return int(major), int(minor)
