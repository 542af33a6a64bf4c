"""`pydantic_core`, as far as it is imported."""

from __future__ import annotations

from . import missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("PydanticSerializationError",)


class PydanticSerializationError(ValueError):
    """Never raised here."""


def __getattr__(name: str) -> Any:  # noqa: ANN401
    raise missing("pydantic_core", name)
