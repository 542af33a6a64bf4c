"""What a caller may give as stdin, stdout and stderr, made into the program's three
descriptors and the caller's streams."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass, field
from typing import IO, Any, Final, Protocol, TypeAlias

from ..errors import ConfigError
from .streams import ReceiveStream, SendStream
from .terminal import Terminal

__all__ = (
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Stdio",
    "StdioSource",
    "is_inherited",
    "open_stdio",
)

# The values of subprocess, so that either module's names work; to load that takes 3 ms.
PIPE: Final[int] = -1
DEVNULL: Final[int] = -3
STDOUT: Final[int] = -2


class HasFileno(Protocol):
    """A file, socket, or stream of another process."""

    def fileno(self) -> int: ...


StdioSource: TypeAlias = "int | IO[Any] | HasFileno | None"
"""``PIPE``, ``DEVNULL``, ``STDOUT`` (stderr only), a descriptor, an open file, another
process's stream, or ``None`` for the caller's own."""

_FIRST_FREE: Final = 3
_NAMES: Final = ("stdin", "stdout", "stderr")


@dataclass(slots=True)
class Stdio:
    """A program's three descriptors, and the caller's ends of those that are pipes.

    Of the descriptors in ``child``, those opened here are closed by `close_child`;
    those that the caller gave stay the caller's.
    """

    child: tuple[int, int, int] | None = None
    """What the program gets as 0, 1 and 2; ``None`` if that is a terminal."""

    stdin: SendStream | None = None
    stdout: ReceiveStream | None = None
    stderr: ReceiveStream | None = None

    caller_terminals: tuple[str, ...] = ()
    """Which of the three are terminals of the caller's (``"stdin"`` and so on): the
    program can read what is typed there, and set its modes."""

    _opened: list[int] = field(default_factory=list)
    _handed_over: list[tuple[ReceiveStream | SendStream, int]] = field(
        default_factory=list
    )

    def is_pipe(self, number: int) -> bool:
        """Whether 0, 1 or 2 is a pipe that was made for the program."""
        return (self.stdin, self.stdout, self.stderr)[number] is not None

    def close_child(self) -> None:
        """Close the program's ends, once the program (or a message) holds them.

        Until this is done the streams can't end. Streams of other processes that were
        given are closed with them. May be called twice.
        """
        while self._handed_over:
            os.close(self._handed_over.pop()[1])
        while self._opened:
            os.close(self._opened.pop())

    def close(self) -> None:
        """Close everything that was opened here, for a start that failed.

        Streams of other processes that were given are theirs again. May be called
        twice.
        """
        while self._handed_over:
            stream, number = self._handed_over.pop()
            stream.take_back(number)
        self.close_child()
        for own in (self.stdin, self.stdout, self.stderr):
            if own is not None:
                own.close()


def open_stdio(
    stdin: StdioSource,
    stdout: StdioSource,
    stderr: StdioSource,
    terminal: bool = False,
) -> Stdio:
    """Make the program's descriptors and the caller's streams.

    All that is opened is close-on-exec and numbered 3 or higher. Only the caller's end
    of a pipe is non-blocking. ``/dev/null`` is opened anew for each use. ``None`` gives
    the caller's own descriptor, or ``/dev/null`` where the caller has it closed.

    A stream of another process is handed over: it is closed for the caller from now on,
    and `Stdio.close_child` closes the descriptor itself, so that the other process
    notices when this one stops reading.

    What is given reaches the container: its program can open ``/proc/self/fd/1`` anew,
    for reading too where the file's mode lets it. Directories and O_PATH descriptors,
    which lead further than to themselves, are refused.

    Args:
        terminal: the program gets a terminal for all three, which the helper opens;
            then none of them may be given otherwise.

    Raises:
        ConfigError: a source can't be used, named by its field. Nothing was opened.
        OSError: no descriptors are left. What had been opened is closed again.
    """
    sources = (stdin, stdout, stderr)
    if terminal:
        for name, source in zip(_NAMES, sources, strict=True):
            if source is not None:
                raise ConfigError(name, "is the terminal and can't be given as well")
        return Stdio()
    numbers = [
        _check(name, source) for name, source in zip(_NAMES, sources, strict=True)
    ]
    stdio = Stdio()
    try:
        ends = [
            _open_one(stdio, name, source, number)
            for name, source, number in zip(_NAMES, sources, numbers, strict=True)
        ]
    except BaseException:
        stdio.close()
        raise
    if numbers[2] == STDOUT:
        ends[2] = ends[1]
    stdio.child = (ends[0], ends[1], ends[2])
    stdio.caller_terminals = tuple(
        name
        for name, number in zip(_NAMES, ends, strict=True)
        if number not in stdio._opened and os.isatty(number)
    )
    return stdio


def _check(name: str, source: StdioSource) -> int:
    """The constant or descriptor that ``source`` means. Opens nothing."""
    if source is None:
        own = _NAMES.index(name)
        return own if is_inherited(own) else DEVNULL
    number = _number(name, source)
    if number in (PIPE, DEVNULL):
        return number
    if number == STDOUT:
        if name != "stderr":
            raise ConfigError(name, "STDOUT is for stderr only")
        return number
    if number < 0:
        raise ConfigError(name, f"{number} is not a descriptor")
    _check_descriptor(name, number)
    if isinstance(source, ReceiveStream | SendStream):
        _check_stream(name, source)
    return number


def _number(name: str, source: int | IO[Any] | HasFileno) -> int:
    if isinstance(source, bool):
        raise ConfigError(name, f"{source} is not a descriptor")
    if isinstance(source, int):
        return source
    if isinstance(source, bytes | bytearray | memoryview | str | os.PathLike):
        kind = type(source).__name__
        raise ConfigError(name, f"can't be a {kind}: give input= or an open file")
    if not hasattr(source, "fileno"):
        raise ConfigError(name, f"can't be a {type(source).__name__}")
    try:
        # Whatever a foreign object raises here (io.UnsupportedOperation of a StringIO,
        # ValueError of a closed file, anyio's ClosedResourceError): it has none.
        number = source.fileno()
    except Exception as error:
        raise ConfigError(name, f"has no descriptor: {error or 'closed'}") from error
    if not isinstance(number, int) or number < 0:
        raise ConfigError(name, "has no descriptor: closed")
    return number


def _check_descriptor(name: str, number: int) -> None:
    try:
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        mode = os.fstat(number).st_mode
    except (OSError, OverflowError) as error:
        raise ConfigError(name, f"descriptor {number} is not open") from error
    if flags & os.O_PATH or stat.S_ISDIR(mode):
        # A directory's descriptor is a way out of the container (openat(0, "..")).
        what = "a directory" if stat.S_ISDIR(mode) else "opened with O_PATH"
        raise ConfigError(name, f"descriptor {number} is {what}")
    refused = os.O_WRONLY if name == "stdin" else os.O_RDONLY
    if flags & os.O_ACCMODE == refused:
        verb = "reading" if name == "stdin" else "writing"
        raise ConfigError(name, f"descriptor {number} is not open for {verb}")


def _check_stream(name: str, source: ReceiveStream | SendStream) -> None:
    if isinstance(source, Terminal):
        raise ConfigError(name, "can't be the terminal of another process")
    if source.is_busy:
        raise ConfigError(name, "some task is waiting in this stream")
    if isinstance(source, ReceiveStream) and source.has_read_ahead:
        raise ConfigError(name, "some of this stream was already read, as lines")


def _open_one(stdio: Stdio, name: str, source: StdioSource, number: int) -> int:
    """The program's descriptor for one of the three; opens what has to be opened."""
    if number == PIPE:
        return _open_pipe(stdio, name)
    if number == DEVNULL:
        flags = os.O_RDONLY if name == "stdin" else os.O_WRONLY
        return _keep(stdio, os.open(os.devnull, flags | os.O_CLOEXEC))
    if isinstance(source, ReceiveStream | SendStream):
        if all(number != given for _, given in stdio._handed_over):
            stdio._handed_over.append((source, source.hand_over()))
        return number  # the same stream may be both stdout and stderr
    return number


def _open_pipe(stdio: Stdio, name: str) -> int:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child, ours = (reader, writer) if name == "stdin" else (writer, reader)
    try:
        child = _keep(stdio, child)
    except BaseException:
        os.close(ours)
        raise
    ours = _lift(ours)
    if name == "stdin":
        stdio.stdin = SendStream(ours)
    elif name == "stdout":
        stdio.stdout = ReceiveStream(ours)
    else:
        stdio.stderr = ReceiveStream(ours)
    return child


def _keep(stdio: Stdio, number: int) -> int:
    """Have ``number`` closed with the child's ends."""
    number = _lift(number)
    stdio._opened.append(number)
    return number


def _lift(number: int) -> int:
    """Move a new descriptor above 2; closes it if that fails.

    A caller that runs with its standard descriptors closed would else find our pipe in
    their place, and hand it to the next program that inherits them.
    """
    if number >= _FIRST_FREE:
        return number
    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    finally:
        os.close(number)


def is_inherited(number: int) -> bool:
    """Whether a program that we execute would have this descriptor, too: it is open,
    and not close-on-exec as all of ours are. Where what was given is closed, its number
    is taken by what we open next: by a socket of the spawner's, say."""
    with contextlib.suppress(OSError):
        return not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    return False
