"""Small stand-ins for four libraries, for commands that are over at once.

To load pydantic, anyio with asyncio, and what `dataclasses` generates takes 0.25 s, ten
times as long as the rest of ``create``; `typing` takes 5 ms. A command does one thing
at a time, reads a document that nearly always is right, and prints no object. So in its
own process, and nowhere else, `attempt` puts modules in their places that do no more
than that.

The library isn't written for them: it knows only the real ones. They say yes or
nothing: whatever they don't know, or take to be wrong, raises `Unsuited`. All is undone
then as for any exception, and the command is executed again with the real libraries,
which do what is asked or say what is wrong.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from ...errors import ContainerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, TypeVar

    from ..report import Log

    T = TypeVar("T")

__all__ = ("Unsuited", "attempt", "install", "missing", "put_back", "settle")

_STAND_INS: Final = {
    "anyio": "anyio",
    "anyio.abc": "anyio_abc",
    "anyio.lowlevel": "anyio_lowlevel",
    "dataclasses": "dataclasses",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
}
"""Name -> the module here that takes its place."""

_REFUSED: Final = (
    "anyio.",
    "asyncio",
    "dbus_fast",
    "pydantic.",
    "pydantic_core.",
    "pyroute2",
    "sniffio",
    # Ours that do several things at a time, loaded before anything is made.
    "aiocontainer.cli.attach",
    "aiocontainer.network.attach",
    "aiocontainer.user_networking",
)
"""What is never loaded beside them; with a dot, all below."""

_AGAIN: Final = (
    "import sys; sys.path += [{package!r}]\n"
    "from aiocontainer.oci.main import main; main(lean=False, told={told})"
)


class Unsuited(BaseException):
    """This takes the real libraries."""


class _Refusing:
    """The first that is asked where a module is."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Nowhere, for what is refused."""
        if name in _REFUSED or name.startswith(_BELOW):
            raise Unsuited(name)


_BELOW: Final = tuple(name for name in _REFUSED if name.endswith("."))

_is_settled = False


def attempt(do: Callable[[], T], words: Sequence[str], log: Log) -> T:
    """Do something with the stand-ins; where they don't do, this process becomes one
    that does it without.

    Args:
        do: does it, loading what it needs. It may be ended by `Unsuited` anywhere up to
            `settle`, and leaves nothing then.
        words: the command line, for the second time.
        log: told, where debugging is wanted, if there is a second time.
    """
    install()
    try:
        return do()
    except (OSError, ContainerError):
        raise
    except (Unsuited, Exception) as error:
        # What isn't for want of the real libraries happens again with them.
        if _is_settled:
            if isinstance(error, Unsuited):
                raise RuntimeError(f"takes the real libraries: {error}") from error
            raise
        log.debug(f"begins again without stand-ins: {type(error).__name__}: {error}")
    if spawner := sys.modules.get("aiocontainer.proc.spawner"):
        spawner.stop()
    package = os.path.dirname(__file__)
    for _ in __name__.split("."):
        package = os.path.dirname(package)
    flags = ["-P"]
    if sys.flags.ignore_environment:
        flags.append("-E")
    if sys.flags.no_user_site:
        flags.append("-s")
    program = _AGAIN.format(package=package, told=log.warnings)
    os.execv(sys.executable, [sys.executable, *flags, "-c", program, *words])


def put_back(data: bytes) -> None:
    """Have what was read of stdin be there for a second time."""
    memfd = os.memfd_create("stdin")
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(memfd, rest) :]
        os.lseek(memfd, 0, os.SEEK_SET)
        os.dup2(memfd, 0)
    finally:
        os.close(memfd)


def settle() -> None:
    """What follows can't be undone: the command isn't begun again."""
    global _is_settled
    _is_settled = True


def install() -> None:
    """Put the stand-ins where they are imported from; the real ones aren't loaded yet.

    Raises:
        RuntimeError: one of them is.
    """
    loaded = [name for name in _STAND_INS if name in sys.modules]
    if loaded:
        raise RuntimeError(f"already loaded: {', '.join(loaded)}")
    sys.meta_path.insert(0, _Refusing)
    if "typing" not in sys.modules:  # else a file of `site` has paid for it
        sys.modules["typing"] = import_module(".typing", __package__)
    for name, here in _STAND_INS.items():
        sys.modules[name] = import_module(f".{here}", __package__)


def missing(module: str, name: str) -> BaseException:
    """What a stand-in raises where a name is asked of it that it doesn't have."""
    if name.startswith("_"):  # a question of the import system, or of a test runner
        return AttributeError(name)
    return Unsuited(f"{module}.{name}")
