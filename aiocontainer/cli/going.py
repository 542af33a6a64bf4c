"""From a command to the event loop, and from errors to words and exit statuses."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import click

from ..errors import ConfigError, ContainerError, ExecError

if TYPE_CHECKING:
    from ..runtime import Runtime

P = ParamSpec("P")

FAILED: Final = 1
"""Of commands that are about containers; those that run programs use these instead:"""
OURS: Final = 125
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
TIMED_OUT: Final = 124
"""As timeout(1) has it."""


def runtime() -> Runtime:
    """The runtime of the root that the command line names."""
    from ..runtime import Runtime

    return Runtime(click.get_current_context().obj)


def go(
    function: Callable[P, Coroutine[Any, Any, int | None]], *, failed: int = FAILED
) -> Callable[P, None]:
    """Make a command of a coroutine: its result is the exit status, ``None`` is 0.

    Args:
        function: the command.
        failed: the status where an error of ours ends it.
    """

    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        import anyio

        with told(failed):
            status = anyio.run(functools.partial(function, *args, **kwargs))
            leave(status or 0)

    return command


@contextlib.contextmanager
def told(failed: int = FAILED) -> Iterator[None]:
    """Say what went wrong in a line on stderr, and exit."""
    try:
        yield
    except ContainerError as error:
        tell(str(error))
        for note in getattr(error, "__notes__", ()):
            tell(note)
        leave(status_of(error, failed))
    except ChildProcessError as error:
        tell(str(error))
        leave(failed)
    except KeyboardInterrupt:
        leave(130)
    except BrokenPipeError:  # who read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        leave(0)


def status_of(error: ContainerError, failed: int) -> int:
    """The exit status for an error of ours."""
    if isinstance(error, ConfigError):
        return 2 if failed == FAILED else failed
    if isinstance(error, ExecError) and failed == OURS:
        cause = error.__cause__
        return NOT_FOUND if isinstance(cause, FileNotFoundError) else NOT_EXECUTABLE
    return failed


def tell(text: str) -> None:
    """One line on stderr. What isn't printable is escaped: a name may be anybody's."""
    clean = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    click.echo(f"aiocontainer: {clean}", err=True)
    for path in _logs:
        with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
            file.write(clean + "\n")


_logs: list[str] = []


def log_to(path: str) -> None:
    """Have all that `tell` says added to a file, too."""
    _logs.append(path)


def leave(status: int) -> None:
    """Exit with a status; click's own way would print a traceback of ours."""
    sys.exit(status)
