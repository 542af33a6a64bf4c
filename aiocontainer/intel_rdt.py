"""Intel RDT: a container's group in the resctrl file system, as an attachment.

Everything here is a file of the kernel's that answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .config.intel_rdt import IntelRdt
from .errors import SetupError, UnsupportedFeature
from .proc import spawner

__all__ = (
    "IntelRdtGroup",
    "RdtStats",
    "Resctrl",
    "change",
    "find_resctrl",
    "read_rdt_stats",
    "task_files",
)

_MOUNTS: Final = "/proc/self/mountinfo"
_FEATURE: Final = "Intel RDT"


@dataclass(frozen=True, slots=True)
class RdtStats:
    """What one cache domain counts of a container; ``None``: it can't tell now."""

    llc_occupancy_bytes: int | None = None
    """How much of the last-level cache it has."""
    mbm_total_bytes: int | None = None
    """Moved to and from memory since the group was made."""
    mbm_local_bytes: int | None = None
    """The same, of memory of the processor's own node."""


class Resctrl:
    """The files of resctrl below ``root``."""

    def __init__(self, root: str) -> None:
        self.root = root

    def make(self, path: str) -> None:
        """Make a group; the kernel fills it with files.

        Raises:
            OSError: it is there already (EEXIST), or there are no more classes
                (ENOSPC).
        """
        os.mkdir(path, 0o755)

    def remove(self, path: str) -> None:
        """Remove a group with all below; its tasks fall back to the one above."""
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path)

    def write(self, path: str, text: str) -> None:
        """One write of a whole text; the kernel's reason is a note of the error."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        except OSError as error:
            with contextlib.suppress(OSError):
                error.add_note(self.read(f"{self.root}/info/last_cmd_status").strip())
            raise
        finally:
            os.close(descriptor)

    def read(self, path: str) -> str:
        """The text of a file."""
        with open(path) as file:
            return file.read()


def find_resctrl() -> Resctrl:
    """Where resctrl is mounted.

    Raises:
        UnsupportedFeature: nowhere.
    """
    with open(_MOUNTS) as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if after.startswith("resctrl "):
                return Resctrl(before.split()[4])
    raise UnsupportedFeature(
        _FEATURE,
        "resctrl is not mounted",
        "mount -t resctrl resctrl /sys/fs/resctrl, on a processor that has RDT",
    )


class IntelRdtGroup:
    """The group of one container, and its monitoring group if it wants one."""

    def __init__(self, config: IntelRdt, name: str) -> None:
        self._config = config
        self._name = name
        self._key = next(spawner.keys)
        self._made: list[str] | None = None
        """What we made, inner ones first; None: another program attached this."""

    async def attach(self, pid: int, pidfd: int) -> None:
        """Make the group, or check the one that is there, and put the process in.

        Raises:
            UnsupportedFeature: this machine has no resctrl.
            SetupError: the group can't be made, or isn't as the config says.
        """
        files = find_resctrl()
        group, monitor = _paths(files.root, self._config, self._name)
        self._made = []
        with _step(f"set up the RDT group {group}"):
            own = self._own(group, monitor)
            for path in own:
                if os.path.lexists(path):  # or the janitor would take it for ours
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            await spawner.watch_directories(self._key, own)
            if _set_up(files, group, self._config):
                self._made.append(group)
            if monitor is not None:
                files.make(monitor)
                self._made.insert(0, monitor)
            for path in _tasks(group, monitor):
                files.write(path, f"{pid}\n")

    async def started(self, pid: int) -> None:
        """Nothing."""

    async def detach(self) -> None:
        """Remove what is the container's own. A class with a name of its own stays as
        long as tasks are in it, or if it was there before.

        Raises:
            SetupError: the kernel refuses.
        """
        files = find_resctrl()
        group, monitor = _paths(files.root, self._config, self._name)
        own = self._own(group, monitor)
        with _step(f"remove the RDT group {group}"):
            for path in own if self._made is None else self._made:
                if path in own or _is_empty(files, path):
                    files.remove(path)
        self._made = []
        spawner.forget(self._key)

    def _own(self, group: str, monitor: str | None) -> tuple[str, ...]:
        """Directories that nobody else has a part in, inner ones first."""
        monitors = () if monitor is None else (monitor,)
        return (*monitors, group) if self._config.clos_id is None else monitors


def task_files(config: IntelRdt, name: str) -> tuple[str, ...]:
    """Files that a later process of the container writes "0" to, in this order."""
    return _tasks(*_paths(find_resctrl().root, config, name))


def change(
    config: IntelRdt | None, name: str, l3_cache: str | None, mem_bw: str | None
) -> None:
    """Change the schemata of a container's own class; lines that are ``None`` stay.

    Raises:
        ConfigError: a line that can't be one.
        UnsupportedFeature: this machine has no resctrl, or the container no class of
            its own: one that may be shared isn't changed under others.
        SetupError: the kernel refuses.
    """
    lines = IntelRdt(l3_cache_schema=l3_cache, mem_bw_schema=mem_bw).lines
    files = find_resctrl()
    if config is None or config.clos_id is not None:
        raise UnsupportedFeature(_FEATURE, "the container has no class of its own")
    group, _ = _paths(files.root, config, name)
    with _step(f"change the RDT group {group}"):
        files.write(f"{group}/schemata", "".join(f"{line}\n" for line in lines))


def read_rdt_stats(config: IntelRdt, name: str) -> dict[str, RdtStats]:
    """What is counted of the container: ``{"mon_L3_00": RdtStats(...), ...}``; empty
    where the processor can't, or where others share its group.

    Raises:
        UnsupportedFeature: this machine has no resctrl.
    """
    files = find_resctrl()
    group, monitor = _paths(files.root, config, name)
    if monitor is None and config.clos_id is not None:
        return {}
    folder = f"{monitor or group}/mon_data"
    try:
        domains = sorted(os.listdir(folder))
    except FileNotFoundError:
        return {}
    return {domain: _read_domain(files, f"{folder}/{domain}") for domain in domains}


def _read_domain(files: Resctrl, folder: str) -> RdtStats:
    def counter(name: str) -> int | None:
        # "Unavailable" and "Error" are said where a counter can't be read now.
        with contextlib.suppress(OSError, ValueError):
            return int(files.read(f"{folder}/{name}"))
        return None

    return RdtStats(
        counter("llc_occupancy"), counter("mbm_total_bytes"), counter("mbm_local_bytes")
    )


def _is_empty(files: Resctrl, group: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return not files.read(f"{group}/tasks").strip()
    return False


def _paths(root: str, config: IntelRdt, name: str) -> tuple[str, str | None]:
    clos = config.clos_id or name
    group = root if clos == "/" else f"{root}/{clos}"
    return group, f"{group}/mon_groups/{name}" if config.enable_monitoring else None


def _tasks(group: str, monitor: str | None) -> tuple[str, ...]:
    # A task can only be monitored in the class that it is in.
    both = (group,) if monitor is None else (group, monitor)
    return tuple(f"{path}/tasks" for path in both)


def _set_up(files: Resctrl, group: str, config: IntelRdt) -> bool:
    """Whether the group was made."""
    if config.clos_id == "/":
        return False
    try:
        if config.clos_id is None or config.lines:
            files.make(group)
        elif not os.path.isdir(group):
            raise SetupError(
                f"set up the RDT group {group}", "it isn't there, and has no schemata"
            )
        else:
            return False
    except FileExistsError:
        if config.clos_id is None:
            raise
        _check(files, group, config.lines)
        return False
    try:
        if config.lines:
            files.write(f"{group}/schemata", "".join(f"{c}\n" for c in config.lines))
    except BaseException:
        files.remove(group)
        raise
    return True


def _check(files: Resctrl, group: str, lines: tuple[str, ...]) -> None:
    """Refuse a group of others' that isn't as the config says."""
    present = _parsed(files.read(f"{group}/schemata").splitlines())
    for key, value in _parsed(lines).items():
        if present.get(key) != value:
            raise SetupError(
                f"set up the RDT group {group}",
                f"it is there, with {key[0]}:{key[1]}={present.get(key)}",
            )


def _parsed(lines: tuple[str, ...] | list[str]) -> dict[tuple[str, str], str]:
    """``{("L3", "0"): "ff"}``, numbers without leading zeros."""
    found = {}
    for line in lines:
        resource, _, domains = line.strip().partition(":")
        for part in domains.split(";"):
            domain, _, value = part.partition("=")
            number = value.strip().lower().lstrip("0") or "0"
            found[resource, domain.strip().lstrip("0") or "0"] = number
    return found


@contextlib.contextmanager
def _step(title: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        notes = getattr(error, "__notes__", ())
        reason = ": ".join((error.strerror or str(error), *filter(None, notes)))
        raise SetupError(title, reason) from error
