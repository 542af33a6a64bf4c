"""`UserNetworking`: a program of the user is the other end of a container's network.

The spawner starts it, so no child watcher of the program's own has a part in it, and
the janitor ends it if the program is killed.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Final

import anyio

from ._sys import pidfd as sys_pidfd
from .config import Hook, UserNetwork
from .errors import ContainerError, NetworkError
from .network.pasta import command
from .plan.hooks import on_host
from .proc import handshake, spawner
from .proc.process import Process
from .proc.result import Usage
from .proc.stdio import DEVNULL, PIPE, STDOUT, open_stdio

__all__ = ("UserNetworking",)

_PATIENCE_S: Final = 10.0
_WORDS_BYTES: Final = 2048


class UserNetworking:
    """See `aiocontainer.attachments.Attachment`."""

    def __init__(self, network: UserNetwork) -> None:
        """Touch nothing."""
        self._network = network
        self._process: Process | None = None

    async def attach(self, pid: int, pidfd: int) -> None:
        """Start the program, and wait until the interface is up.

        Raises:
            NetworkError: it failed, with its own words.
            UnsupportedFeature: it isn't installed.
        """
        words = command(self._network, pid)
        try:
            process = self._process = await _start(words)
        except (ContainerError, OSError) as error:
            raise self._error(words[0], str(error)) from error
        assert process.stdout is not None
        said = b""
        with anyio.move_on_after(_PATIENCE_S), suppress(anyio.EndOfStream):
            while not _is_ready(process, said) and len(said) < _WORDS_BYTES:
                said += await process.stdout.receive(_WORDS_BYTES)
        if not _is_ready(process, said):
            await process.end()
            text = " ".join(said.decode("utf-8", "replace").split())
            raise self._error(words[0], text or "no word from it in 10 seconds")

    async def started(self, pid: int) -> None:
        """Nothing is left to do."""

    async def detach(self) -> None:
        """End the program."""
        process, self._process = self._process, None
        if process is not None:
            await process.end()
            process.close_streams()

    def _error(self, program: str, reason: str) -> NetworkError:
        step = f"start {os.path.basename(program)}"
        return NetworkError(self._network.name, step, reason)


def _is_ready(process: Process, said: bytes) -> bool:
    """pasta writes its pid, slirp4netns a "1", when the interface is up; after what
    else they have to say."""
    is_pasta = os.path.basename(process.args[0]) == "pasta"
    return said.split()[-1:] == [b"%d" % (process.pid if is_pasta else 1)]


async def _start(words: tuple[str, ...]) -> Process:
    plan = on_host(Hook(path=words[0], args=words, env={}), "/")
    key = next(spawner.keys)
    started = time.monotonic()
    stdio = open_stdio(DEVNULL, PIPE, STDOUT)
    try:
        assert stdio.child is not None
        # What it says later nobody reads: it isn't to be held up by that.
        os.set_blocking(stdio.child[1], False)
        child = await handshake.start(key, plan, list(stdio.child))
    except BaseException:
        stdio.close()
        spawner.forget(key, at_once=True)
        raise
    stdio.close_child()

    def kill() -> None:
        sys_pidfd.send_signal(child.pidfd, signal.SIGKILL)

    def usage(ended: sys_pidfd.Exit, wall_s: float) -> tuple[Usage, int]:
        return Usage(wall_s, ended.user_s, ended.system_s), 0

    return Process(words, child, stdio, key, started, kill, usage)
