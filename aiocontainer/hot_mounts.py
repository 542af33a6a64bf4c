"""Mounts that come and go while a container runs."""

from __future__ import annotations

import contextlib
import os
from typing import Final

import anyio

from ._sys import pidfd as sys_pidfd
from .config import Config, Mount
from .config.base import absolute, without_nul
from .errors import (
    ConfigError,
    ContainerError,
    SetupError,
    StatusError,
    UnsupportedFeature,
)
from .plan import compile as plans
from .plan import hot
from .plan.parts import Plan
from .proc.errand import run_errand
from .proc.launch import start_slots
from .proc.process import Process
from .proc.uncancelled import uncancelled

__all__ = ("HotMounts",)

_PATIENCE_S: Final = 30.0
"""A file system of the host, or one that the container serves, may never answer."""


class HotMounts:
    """Changes the mounts of one container, and remembers which ones it made."""

    def __init__(self, config: Config) -> None:
        self._frame = plans.frame(config)
        self._made: dict[str, list[int]] = {}
        self._changing = anyio.Lock()

    async def mount(self, first: Process, wanted: Mount) -> None:
        """See `Container.mount`."""
        plan = hot.mount(self._frame, wanted)
        path = wanted.destination
        async with self._changing:
            told: list[int] = []
            try:
                await self._carry_out(first, plan, f"mount {path}", told)
            except BaseException:
                if told:
                    await uncancelled(lambda: self._undo(first, path, told[-1]))
                raise
            self._made.setdefault(path, []).extend(told)

    async def unmount(self, first: Process, destination: str) -> None:
        """See `Container.unmount`."""
        path = _checked_path(destination)
        async with self._changing:
            made = self._made.get(path, [])
            plan = hot.unmount(self._frame, path, made[-1] if made else 0)
            try:
                await self._carry_out(first, plan, f"unmount {path}", [])
            except anyio.get_cancelled_exc_class():
                if made:  # nobody could tell any more whether it is there
                    number = made.pop()
                    await uncancelled(lambda: self._undo(first, path, number))
                raise
            if made:
                made.pop()

    async def _undo(self, first: Process, path: str, number: int) -> None:
        """Unmount one of ours, if it is there; else all is well."""
        plan = hot.unmount(self._frame, path, number)
        with contextlib.suppress(ContainerError):
            await self._carry_out(first, plan, f"unmount {path}", [])

    async def _carry_out(
        self, first: Process, plan: Plan, what: str, told: list[int]
    ) -> None:
        """Do it within the time; into ``told`` go the numbers of mounts."""
        if self._frame.config.namespaces.mount != "new":
            raise UnsupportedFeature(what, "in a mount namespace of somebody else")
        if first.ended:
            raise StatusError("stopped", what)
        reader, writer = os.pipe()
        target = -1
        try:
            target = os.dup(first.pidfd)
            with anyio.move_on_after(_PATIENCE_S) as scope:
                async with start_slots():
                    await run_errand(plan, (target, writer))
            if scope.cancelled_caught:
                raise SetupError(what, f"not done in {_PATIENCE_S:g} seconds")
        except ContainerError as error:
            if first.ended or sys_pidfd.is_exiting(first.pid):
                raise StatusError("stopped", what) from error
            raise
        finally:
            os.set_blocking(reader, False)
            with contextlib.suppress(BlockingIOError):
                told += map(int, os.read(reader, 512).split())
            for descriptor in (reader, writer, target):
                if descriptor >= 0:
                    os.close(descriptor)


def _checked_path(destination: str) -> str:
    try:
        path = absolute(without_nul(os.fspath(destination)))
    except ConfigError as error:
        raise ConfigError("destination", error.reason) from None
    top = "/" + path.split("/")[1]
    if path == "/" or top in ("/proc", "/sys"):
        # Masks are mounts, too.
        raise ConfigError("destination", f"{path} can't be unmounted")
    return path
