"""`anyio.lowlevel`."""

from __future__ import annotations

import math

from .anyio_tasks import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("RunVar", "checkpoint", "checkpoint_if_cancelled")


async def checkpoint() -> None:
    """Let others have a turn."""
    await Wish(until=-math.inf)


async def checkpoint_if_cancelled() -> None:
    """The same: it is no more than a turn."""
    await checkpoint()


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
