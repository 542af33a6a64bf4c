"""`anyio.abc`: the bases of our classes, which say nothing here."""

from __future__ import annotations

__all__ = (
    "AsyncResource",
    "ByteReceiveStream",
    "ByteSendStream",
    "ByteStream",
    "Process",
)


class AsyncResource:
    """What is closed at the end of a block."""

    async def __aenter__(self) -> AsyncResource:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """For who inherits it."""


class ByteReceiveStream(AsyncResource):
    """As anyio's."""


class ByteSendStream(AsyncResource):
    """As anyio's."""


class ByteStream(ByteReceiveStream, ByteSendStream):
    """As anyio's."""


class Process(AsyncResource):
    """As anyio's."""
