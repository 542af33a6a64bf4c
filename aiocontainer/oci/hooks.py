"""Hooks that are due after the program that made the container has gone."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..state import Record
    from .report import Log


def run_hooks(
    kind: str, record: Record, document: dict[str, Any], log: Log
) -> None:
    """Run the hooks of a kind ("poststart" or "poststop"), one after the other.

    Raises:
        ContainerError: a poststart hook failed. Of poststop hooks that is only logged,
            as the specification wants it.
    """
    hooks = record.extra.get("hooks", {}).get(kind)
    if not hooks:
        return
    raise NotImplementedError
