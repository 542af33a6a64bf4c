"""Raw values for files of a cgroup2 directory: the ``unified`` map of the OCI."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from ..errors import ConfigError, ControllerMissing
from .writes import Write

__all__ = ("raw_controllers", "raw_writes")


def raw_controllers(values: Mapping[str, str]) -> list[str]:
    """The controllers that the files belong to; ``cgroup.`` files need none."""
    names = (file.partition(".")[0] for file in values)
    return [name for name in dict.fromkeys(names) if name != "cgroup"]


def raw_writes(
    directory: str, controllers: Collection[str], values: Mapping[str, str]
) -> list[Write]:
    """The writes, in the order given.

    Args:
        directory: of the cgroup, for the error.
        controllers: those that this directory has.
        values: file -> what is written to it.

    Raises:
        ConfigError: a name isn't that of a file in a cgroup.
        ControllerMissing: naming the file whose controller isn't there.
    """
    writes = []
    for file, value in values.items():
        if "/" in file:
            raise ConfigError(f"unified[{file}]", "should be a cgroup file's name")
        controller = file.partition(".")[0]
        if controller not in (*controllers, "cgroup"):
            raise ControllerMissing(directory, controller, f"unified[{file}]")
        writes.append(Write(file, value, undo=_keyed_or_whole(value)))
    return writes


def _keyed_or_whole(value: str) -> Callable[[str], str | None]:
    """How to go back from a raw value: by its line if the file is one of lines."""

    def undo(old: str) -> str | None:
        if "\n" not in old.strip():
            return old.strip() or "\n"
        key = value.split(" ", 1)[0]
        return next((x for x in old.splitlines() if x.startswith(key + " ")), None)

    return undo
