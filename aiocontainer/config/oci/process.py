"""``process`` of an OCI document: who runs, with which rights and limits."""

from collections.abc import Collection
from typing import Any, Final

from ..document import Node
from ..kernel_names import CAPABILITIES, RLIMITS
from .hooks import read_environment
from .scheduling import read_scheduling

__all__ = ("LABELS", "UNLIMITED", "read_process", "read_program")

UNLIMITED: Final = 2**64 - 1
"""``RLIM_INFINITY``, which OCI writes as a number."""

LABELS: Final = {"apparmorProfile": "apparmor_profile", "selinuxLabel": "selinux_label"}
"""Name in OCI -> our field."""

_ID: Final = (0, 4_294_967_294)
_SETS: Final = ("bounding", "effective", "permitted", "inheritable", "ambient")
_KNOWN: Final = (
    *("terminal", "consoleSize", "cwd", "env", "args", "commandLine", "user"),
    *("capabilities", "rlimits", "noNewPrivileges", "apparmorProfile", "selinuxLabel"),
    *("oomScoreAdj", "scheduler", "ioPriority", "execCPUAffinity"),
)


def read_process(
    process: Node, grantable: Collection[str] | None = None
) -> dict[str, Any]:
    """Keywords of `ProcessSettings` that mean the same. Absent means absent: no
    capabilities, an empty environment, no_new_privs off.

    Args:
        process: the object.
        grantable: capabilities that can be given at all; others are left out with a
            warning, as the spec wants it. ``None`` is all that are known.

    Raises:
        ConfigError: a value is wrong.
        UnsupportedFeature: a field that isn't acted on.
    """
    process.only(*_KNOWN)
    fields: dict[str, Any] = {
        **_user(process.part("user")),
        "cwd": process.need("cwd"),
        "env": read_environment(process),
        "capabilities": _capabilities(process.part("capabilities"), grantable),
        "no_new_privs": process.flag("noNewPrivileges") or False,
        "rlimits": _rlimits(process),
        **read_scheduling(process),
    }
    for name, field in LABELS.items():
        if (label := process.word(name)) is not None:
            fields[field] = label
    score = process.number("oomScoreAdj", -1000, 1000)
    if score is not None:
        fields["oom_score_adj"] = score
    return fields


def read_program(process: Node) -> dict[str, Any]:
    """What is executed: ``args`` (may be empty: not said) and ``terminal``, which is
    False, True, or (rows, columns)."""
    terminal: bool | tuple[int, int] = process.flag("terminal") or False
    size = process.node("consoleSize")
    if size is not None:
        rows = size.need_number("height", 0, 65_535)
        columns = size.need_number("width", 0, 65_535)
        if terminal and rows and columns:
            terminal = (rows, columns)
    return {"args": tuple(process.words("args")), "terminal": terminal}


def _user(user: Node) -> dict[str, Any]:
    user.only("uid", "gid", "umask", "additionalGids", "username")
    fields: dict[str, Any] = {
        "user": f"{user.number('uid', *_ID) or 0}:{user.number('gid', *_ID) or 0}",
        "groups": tuple(user.numbers("additionalGids", *_ID)),
    }
    umask = user.number("umask", 0, 0o777)
    if umask is not None:
        fields["umask"] = umask
    return fields


def _capabilities(
    node: Node, grantable: Collection[str] | None
) -> dict[str, list[str]]:
    """The five sets. What can't be given is left out with a warning, as the spec wants
    it: less is given, never more."""
    node.only(*_SETS)
    known = CAPABILITIES if grantable is None else grantable
    sets = {name: _capability_set(node, name, known) for name in _SETS}
    for index, name in enumerate(sets["ambient"]):
        if name not in sets["permitted"] or name not in sets["inheritable"]:
            node.warn(
                f"ambient[{index}]",
                f"{name} isn't permitted and inheritable, and can't be ambient",
            )
    allowed = set(sets["permitted"]) & set(sets["inheritable"])
    sets["ambient"] = [name for name in sets["ambient"] if name in allowed]
    return sets


def _capability_set(node: Node, field: str, known: Collection[str]) -> list[str]:
    names = []
    for index, name in enumerate(node.words(field)):
        if name in CAPABILITIES and name in known:
            names.append(name)
        elif name in CAPABILITIES:
            node.warn(f"{field}[{index}]", f"{name} can't be given, left out")
        else:
            node.warn(
                f"{field}[{index}]", f"unknown capability {name[:40]!r}, left out"
            )
    return names


def _rlimits(process: Node) -> dict[str, tuple[int | None, int | None]]:
    found: dict[str, tuple[int | None, int | None]] = {}
    for limit in process.nodes("rlimits"):
        limit.only("type", "soft", "hard")
        name = limit.need("type")
        if name not in RLIMITS:
            raise limit.wrong("type", f"unknown resource limit {name[:40]!r}")
        if name in found:
            raise limit.wrong("type", f"{name} is there twice")
        soft = limit.need_number("soft", 0, UNLIMITED)
        hard = limit.need_number("hard", 0, UNLIMITED)
        if soft > hard:
            raise limit.wrong("soft", "is more than the hard limit")
        found[name] = (_bounded(soft), _bounded(hard))
    return found


def _bounded(limit: int) -> int | None:
    return None if limit == UNLIMITED else limit
