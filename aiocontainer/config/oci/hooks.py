"""``hooks`` of an OCI document, both ways."""

from collections.abc import Mapping
from typing import Any, Final

from ..document import Node

__all__ = ("HOOKS", "read_environment", "read_hooks", "write_hooks")

HOOKS: Final = {
    "prestart": "prestart",
    "createRuntime": "create_runtime",
    "createContainer": "create_container",
    "startContainer": "start_container",
    "poststart": "poststart",
    "poststop": "poststop",
}
"""Name in OCI -> field of `Hooks`."""

_TIMEOUT_MAX_S: Final = 1_000_000


def read_hooks(node: Node | None) -> dict[str, Any]:
    """Keywords of `Hooks`."""
    if node is None:
        return {}
    node.only(*HOOKS)
    return {
        ours: tuple(map(_hook, node.nodes(name)))
        for name, ours in HOOKS.items()
        if name in node
    }


def _hook(node: Node) -> dict[str, Any]:
    node.only("path", "args", "env", "timeout")
    path = node.need("path")
    if not path.startswith("/"):
        raise node.wrong("path", "should be an absolute path")
    fields: dict[str, Any] = {
        "path": path,
        "args": tuple(node.words("args")),
        "env": read_environment(node),
    }
    timeout = node.number("timeout", 1, _TIMEOUT_MAX_S)
    if timeout is not None:
        fields["timeout"] = float(timeout)
    return fields


def read_environment(node: Node, field: str = "env") -> dict[str, str]:
    """``NAME=value`` words of a list; of two for one variable the last counts, as in
    runc."""
    found: dict[str, str] = {}
    for index, setting in enumerate(node.words(field)):
        name, equals, value = setting.partition("=")
        if not name or not equals:
            raise node.wrong(f"{field}[{index}]", "should be NAME=value")
        found[name] = value
    return found


def write_hooks(hooks: Mapping[str, Any]) -> dict[str, Any]:
    """The ``hooks`` that mean the same. Timeouts are whole seconds, rounded up."""
    return {
        name: [_written(hook) for hook in hooks[ours]]
        for name, ours in HOOKS.items()
        if hooks[ours]
    }


def _written(hook: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": hook["path"],
        "args": list(hook["args"]),
        "env": [f"{name}={value}" for name, value in hook["env"].items()],
    }
    if hook["timeout"] is not None:
        document["timeout"] = -int(-hook["timeout"] // 1)
    return document
