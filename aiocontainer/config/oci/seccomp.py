"""``linux.seccomp``, which Docker's profiles are a superset of."""

from typing import Any, Final

from aiocontainer.errors import ConfigError

from ..document import Node

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
        return translate_traced(
            {name: node.raw(name) for name in _KNOWN if name in node}
        )
    except ConfigError as error:
        raise node.wrong(error.field, error.reason) from None
