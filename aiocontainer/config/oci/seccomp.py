"""``linux.seccomp``, which Docker's profiles are a superset of."""

from typing import Any, Final

from aiocontainer.errors import ConfigError

from ..document import Node
from ..kernel_names import SECCOMP_ACTIONS

__all__ = ("read_seccomp",)

_KNOWN: Final = (
    *("defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath"),
    *("listenerMetadata", "syscalls"),
)


def read_seccomp(linux: Node) -> tuple[dict[str, Any] | None, list[int]]:
    """Keywords of `Seccomp`, and for each rule the index of that of the document;
    ``None`` if the document has no filter."""
    node = linux.node("seccomp")
    if node is None:
        return None, []
    from ..seccomp_docker import translate_traced

    node.only(*_KNOWN)
    node.need("defaultAction")
    node.word("listenerPath")
    node.text("listenerMetadata")
    try:
        fields, sources = translate_traced(
            {name: node.raw(name) for name in _KNOWN if name in node}
        )
    except ConfigError as error:
        raise node.wrong(error.field, error.reason) from None
    return _without_order(fields, sources)


def _without_order(
    fields: dict[str, Any], sources: list[int]
) -> tuple[dict[str, Any], list[int]]:
    """Rules of which the first that holds may count, as it does here.

    In the common runtimes a rule without conditions wins over those with some, wherever
    it is. So one with conditions that permits more is left out; one that permits less
    stays, though there it has no effect.
    """
    strictness = {name: number for number, name in enumerate(SECCOMP_ACTIONS)}
    least: dict[str, int] = {}
    for rule in fields["syscalls"]:
        if not rule["args"]:
            for name in filter(_is_name, rule["names"]):
                least.setdefault(name, strictness[rule["action"]])
    kept, places = [], []
    for rule, place in zip(fields["syscalls"], sources, strict=True):
        if rule["args"]:
            allowed = strictness[rule["action"]]
            names = tuple(
                name
                for name in rule["names"]
                if not _is_name(name) or allowed <= least.get(name, allowed)
            )
            if rule["names"] and not names:
                continue
            rule = {**rule, "names": names}
        kept.append(rule)
        places.append(place)
    return {**fields, "syscalls": tuple(kept)}, places


def _is_name(name: object) -> bool:
    return isinstance(name, str)
