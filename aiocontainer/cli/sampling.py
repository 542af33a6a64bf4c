"""Samples of several containers at once, which come and go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from ..errors import (
    CgroupError,
    ContainerNotFound,
    StateError,
    StatusError,
    UnsupportedFeature,
)
from .showing import Figures

if TYPE_CHECKING:
    from ..runtime import KeptContainer, Runtime
    from ..statistics import ContainerStats


class Samples:
    """The containers named, or all that run, loaded as long as they do."""

    def __init__(self, runtime: Runtime, ids: Sequence[str] = ()) -> None:
        """Load nothing yet."""
        self._runtime = runtime
        self._ids = ids
        self._loaded: dict[str, KeptContainer] = {}
        self._last: dict[str, tuple[float, ContainerStats]] = {}
        self._before: dict[str, tuple[float, ContainerStats]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for container in self._loaded.values():
            container.let_go()

    async def take(self) -> dict[str, ContainerStats]:
        """A sample of each that is alive, by id.

        Raises:
            ContainerNotFound, StatusError: one that was named is not there, the first
                time.
        """
        self._before = self._last
        taken: dict[str, tuple[float, ContainerStats]] = {}
        for id in self._ids or self._alive():
            try:
                if id not in self._loaded:
                    self._loaded[id] = self._runtime.load(id)
                taken[id] = (time.monotonic(), await self._loaded[id].stats())
            except (CgroupError, ContainerNotFound, StatusError, StateError):
                if id in self._ids and id not in self._before:
                    raise
                self._drop(id)
            except UnsupportedFeature:  # it has no cgroup
                self._drop(id)
        self._last = taken
        return {id: stats for id, (_, stats) in taken.items()}

    def figures(self, id: str) -> Figures:
        """What the last sample says, and the one before for what is a rate."""
        at_s, stats = self._last[id]
        if id not in self._before:
            return Figures.of(stats)
        before_s, before = self._before[id]
        return Figures.of(stats, before, at_s - before_s)

    def _alive(self) -> list[str]:
        alive = ("created", "running", "paused")
        return [each.id for each in self._runtime.list() if each.status in alive]

    def _drop(self, id: str) -> None:
        with contextlib.suppress(KeyError):
            self._loaded.pop(id).let_go()
