"""Hooks that the program runs on the host, as attachments of a container.

Each is a process that the spawner makes: no child watcher, thread or fork of the
program's own has a part in it, and the janitor ends it if the program is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Final

from ._sys import pidfd as sys_pidfd
from .config import Config, Hook
from .errors import ContainerError, SetupError
from .plan import hooks as plans
from .proc import handshake, spawner
from .proc.process import Process
from .proc.result import ExitReason, Result, Usage
from .proc.run import finish
from .proc.stdio import PIPE, STDOUT, Stdio, open_stdio

__all__ = ("PoststopHooks", "ProgramHooks", "run_hook")

_MAX_OUTPUT_BYTES: Final = 64 * 1024
_TOLD_BYTES: Final = 1024
_POSTSTOP_S: Final = 30.0
"""How long a poststop hook without a timeout of its own may hold up the clean-up."""


class ProgramHooks:
    """Those that run while the container is there: attach it last, so that they find
    all else made."""

    def __init__(self, config: Config, name: str) -> None:
        self._config = config
        self._name = name

    async def attach(self, pid: int, pidfd: int) -> None:
        """Run the prestart hooks, then those of createRuntime.

        Raises:
            SetupError: one failed.
        """
        hooks = self._config.hooks
        state = self._state("creating", pid)
        for hook in hooks.prestart:
            await run_hook("prestart", hook, state, plans.directory(self._config))
        for hook in hooks.create_runtime:
            await run_hook("createRuntime", hook, state, plans.directory(self._config))

    async def started(self, pid: int) -> None:
        """Run the poststart hooks.

        Raises:
            SetupError: one failed.
        """
        state = self._state("running", pid)
        for hook in self._config.hooks.poststart:
            await run_hook("poststart", hook, state, plans.directory(self._config))

    async def detach(self) -> None:
        """Nothing: what they made is for poststop hooks to remove."""

    def _state(self, status: str, pid: int) -> bytes:
        before, after = plans.state(self._config, self._name, status)
        return before + b"%d" % pid + after


class PoststopHooks:
    """Those that run once all is gone: attach it first, it is then detached last."""

    def __init__(self, config: Config, name: str) -> None:
        self._state = plans.state_without_pid(config, name, "stopped")
        self._directory = plans.directory(config)
        self._left = list(config.hooks.poststop)

    async def attach(self, pid: int, pidfd: int) -> None:
        """Nothing."""

    async def started(self, pid: int) -> None:
        """Nothing."""

    async def detach(self) -> None:
        """Run each to its end; a failure is logged only."""
        while self._left:
            hook = self._left[0]
            if hook.timeout is None:
                hook = hook.model_copy(update={"timeout": _POSTSTOP_S})
            try:
                await run_hook("poststop", hook, self._state, self._directory)
            except ContainerError as error:
                _log(error)
            self._left.pop(0)  # not before: cut short, it is run again


async def run_hook(kind: str, hook: Hook, state: bytes, directory: str) -> None:
    """Run a hook to its end.

    Cancelled, or after its timeout: it has been killed, with its process group. What it
    left running when it ended well lives on.

    Args:
        kind: as OCI names it, for the error.
        hook: what to run.
        state: its stdin.
        directory: where it starts.

    Raises:
        SetupError: it failed, with some of what it printed.
    """
    with _named(kind, hook):
        result = await _run(hook, state, directory)
    if result.returncode == 0:
        return
    if result.reason is ExitReason.TIMED_OUT:
        how = f"took longer than {hook.timeout:g} s"
    elif result.returncode is None:
        how = "its status is unknown"
    elif result.returncode < 0:
        how = f"ended by signal {-result.returncode}"
    else:
        how = f"exit status {result.returncode}"
    told = result.stdout[-_TOLD_BYTES:].decode("utf-8", "replace").strip()
    raise SetupError(f"run hook {kind} {hook.path}", f"{how}: {told}" if told else how)


async def _run(hook: Hook, state: bytes, directory: str) -> Result:
    plan = plans.on_host(hook, directory)
    key = next(spawner.keys)
    started = time.monotonic()
    memfd = _state_file(state)
    stdio: Stdio | None = None
    try:
        stdio = open_stdio(memfd, PIPE, STDOUT)
        child = await handshake.start(key, plan, list(stdio.child or ()))
    except BaseException:
        if stdio is not None:
            stdio.close()
        spawner.forget(key, at_once=True)
        raise
    finally:
        os.close(memfd)
    stdio.close_child()

    def kill() -> None:
        # Its number is its own, and its group's, until it is reaped.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def usage(ended: sys_pidfd.Exit, wall_s: float) -> tuple[Usage, int]:
        return Usage(wall_s, ended.user_s, ended.system_s), 0

    names = hook.args or (hook.path,)
    process = Process(names, child, stdio, key, started, kill, usage)
    return await finish(
        process, None, hook.timeout, _MAX_OUTPUT_BYTES, "truncate", check=False
    )


def _state_file(state: bytes) -> int:
    """The state as a file and not as a pipe: who doesn't read it holds nobody up, and
    who does finds it whole, however long it is."""
    memfd = os.memfd_create("aiocontainer-state", os.MFD_CLOEXEC)
    try:
        while state:
            state = state[os.write(memfd, state) :]
        os.lseek(memfd, 0, os.SEEK_SET)
    except BaseException:
        os.close(memfd)
        raise
    return memfd


@contextlib.contextmanager
def _named(kind: str, hook: Hook) -> Iterator[None]:
    """Say of which hook a failure is."""
    try:
        yield
    except SetupError as error:
        step = f"run hook {kind} {hook.path}"
        raise SetupError(step, error.reason) from (error.__cause__ or error)
    except OSError as error:
        raise SetupError(f"run hook {kind} {hook.path}", str(error)) from error


def _log(error: ContainerError) -> None:
    import logging

    logging.getLogger("aiocontainer").warning("%s", error)
