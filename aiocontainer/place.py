"""The place of a container among the cgroups: its own, and those of its runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .cgroups import Cgroup, detect, open_cgroup, within_reach
from .config import Config, Resources, device_rules
from .errors import ControllerMissing
from .isolation import check_requirements
from .proc import spawner
from .proc.uncancelled import uncancelled
from .runs import kill_and_remove

if TYPE_CHECKING:
    from .cgroups import CGroup


class Place:
    """Where the processes of one container are, for limits, figures and ends."""

    def __init__(
        self, config: Config, name: str, *, named_by_us: bool, group: CGroup | None
    ) -> None:
        """Touch nothing; see `Processes`."""
        self.cgroup: Cgroup | None = None
        """The container's own, while there is one."""
        self._left: list[Cgroup] = []
        self._config = config
        self._name = name
        self._named_by_us = named_by_us
        self._group = group
        self.key = next(spawner.keys)
        """What the janitor knows it by."""

    async def make(self, config: Config) -> Cgroup | None:
        """Make it, with the limits of the config.

        Args:
            config: with what this machine and user make of it.

        Returns:
            ``None`` where there is to be none, or this user may make none.

        Raises:
            CgroupError: it can't be made; others as `Container.start`.
        """
        cgroup = self._open()
        if cgroup.version == 0:
            self._check_without(config, cgroup)
            return None
        if self._config.require:
            check_requirements(config, cgroup, within_reach(cgroup))
        # Written down before it is made: whoever comes after a SIGKILL has to know.
        try:
            await spawner.watch_directories(self.key, cgroup.directories)
            limits = _limits(self._config)
            await cgroup.acreate(limits)
        except BaseException:
            # It may be another container's, which nobody is to remove or kill in.
            spawner.forget(self.key, at_once=True)
            raise
        if not cgroup.directories:  # this user may make none after all
            spawner.forget(self.key, at_once=True)
            self._check_without(config, cgroup)
            return None
        self.cgroup = cgroup
        if parents := cgroup.made_parents:  # shielded: nobody else knows of them
            await uncancelled(partial(spawner.remove_if_empty, parents))
        cgroup.apply(limits)
        check_requirements(config, cgroup)
        return cgroup

    async def remove(self) -> None:
        """End all in it, and remove it.

        Raises:
            CgroupBusy: something in it can't be ended.
        """
        cgroup = self.cgroup
        if cgroup is not None:
            await kill_and_remove(cgroup)
            self.cgroup = None
        # A name that we made up never comes again: the janitor may hear of it late.
        spawner.forget(self.key, at_once=not self._named_by_us)

    def left_over(self, cgroup: Cgroup) -> None:
        """A run is over whose cgroup may hold what it left: that is still dying, or
        lives on. Tried again with each later end."""
        self._left.append(cgroup)
        self.remove_left()

    def remove_left(self) -> None:
        """Remove the cgroups of runs that are over and empty by now."""
        self._left[:] = [left for left in self._left if not left.try_remove()]

    def _open(self) -> Cgroup:
        settings = self._config.cgroup
        if self._group is None:
            return open_cgroup(detect(), settings, self._name)
        return self._group.cgroup.child(settings.name or self._name, nested=True)

    def _check_without(self, config: Config, cgroup: Cgroup) -> None:
        """Raise if the config asks for what takes a cgroup: there is to be none."""
        check_requirements(config, None)
        try:
            cgroup.apply(self._config.resources)
        except ControllerMissing as error:
            error.add_note(
                "hint: `aiocontainer doctor` says why there is no cgroup here"
            )
            raise


def _limits(config: Config) -> Resources:
    """The limits, with the devices that the config adds also permitted."""
    if not config.devices:
        return config.resources
    return config.resources.model_copy(update={"devices": device_rules(config)})
