"""`anyio.lowlevel` where nobody else waits for a turn."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("RunVar", "checkpoint", "checkpoint_if_cancelled")


async def checkpoint() -> None:
    """Nobody else has anything to do."""


async def checkpoint_if_cancelled() -> None:
    """The same."""


class RunVar:
    """A variable of the one run that there is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __class_getitem__(cls, kind: object) -> type[RunVar]:
        return cls

    def get(self, *default: Any) -> Any:  # noqa: ANN401  as anyio's
        """Its value.

        Raises:
            LookupError: it has none.
        """
        found = (self.value, *default) if hasattr(self, "value") else default
        if not found:
            raise LookupError(self.name)
        return found[0]

    def set(self, value: object) -> None:
        """Give it a value."""
        self.value = value
