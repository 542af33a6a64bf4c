"""Small stand-ins for three libraries, for commands that are over at once.

To load pydantic, anyio with asyncio, and what `dataclasses` generates takes 0.25 s, ten
times as long as the rest of ``create``. A command does one thing at a time, reads a
document that nearly always is right, and prints no object. So in its own process, and
nowhere else, `install` puts modules in their places that do no more than that.

The library isn't written for them: it knows only the real ones. They say yes or nothing:
whatever they don't know, or take to be wrong, raises `Unsuited`. All is undone then as
for any exception, and the command is executed again with the real libraries, which do
what is asked or say what is wrong.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = ("Unsuited", "install", "missing")

_STAND_INS: Final = {
    "anyio": "anyio",
    "anyio.abc": "anyio_abc",
    "anyio.lowlevel": "anyio_lowlevel",
    "dataclasses": "dataclasses",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
}
"""Name -> the module here that takes its place."""


class Unsuited(BaseException):
    """This takes the real libraries."""


def install() -> None:
    """Put the stand-ins where they are imported from; the real ones aren't loaded yet.

    Raises:
        RuntimeError: one of them is.
    """
    loaded = [name for name in _STAND_INS if name in sys.modules]
    if loaded:
        raise RuntimeError(f"already loaded: {', '.join(loaded)}")
    for name, here in _STAND_INS.items():
        sys.modules[name] = import_module(f".{here}", __package__)


def missing(module: str, name: str) -> BaseException:
    """What a stand-in raises where a name is asked of it that it doesn't have."""
    if name.startswith("__"):  # a question of the import system
        return AttributeError(name)
    return Unsuited(f"{module}.{name}")
