"""What is to be ended and removed when the program is gone.

PR_SET_PDEATHSIG is no substitute: it follows the thread that forked, and says nothing
about cgroups. What survives the loss of both program and spawner is for a later sweep.
"""

from __future__ import annotations

import _signal
import os
import select
import time

from . import network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_PATIENCE_S = 10.0
_SHARED = "/aiocontainer"  # cgroups.base.PARENT
_PROCESS_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, include/uapi/linux/pidfd.h


class Janitor:
    """Knows each container's cgroup directories and the processes started for it."""

    def __init__(self) -> None:
        self._directories: dict[int, tuple[str, ...]] = {}
        self._parents: dict[str, None] = {}
        self._pidfds: dict[int, list[int]] = {}
        self._wills: dict[int, tuple[tuple[tuple[Any, ...], ...], list[int]]] = {}

    def watch(self, key: int, directories: tuple[str, ...]) -> None:
        """Take note of directories, *before* they are made; of one with a slash at its
        end, and of the cgroup that all programs share, to remove it if it is empty."""
        parents = [d for d in directories if d[-1] == "/"]
        if parents:
            self._parents.update(dict.fromkeys(d[:-1] for d in parents))
            directories = tuple(d for d in directories if d[-1] != "/")
        for directory in directories:
            above = directory.rpartition("/")[0]
            if above.endswith(_SHARED):
                self._parents[above] = None
        self._directories[key] = self._directories.get(key, ()) + directories

    def adopt(self, key: int, pidfd: int) -> None:
        """End this process too."""
        self._pidfds.setdefault(key, []).append(pidfd)

    def inherit(
        self, key: int, will: tuple[tuple[Any, ...], ...], sockets: list[int]
    ) -> None:
        """Keep these sockets, and do this to the network (see `network`); takes the
        sockets from the list."""
        self._drop_will(key)
        self._wills[key] = (will, sockets[:])
        sockets.clear()

    def _drop_will(self, key: int) -> None:
        for sock in self._wills.pop(key, ((), []))[1]:
            os.close(sock)

    def forget(self, keys: tuple[int, ...]) -> None:
        """The program has seen to these by itself."""
        for key in keys:
            self._directories.pop(key, None)
            self._drop_will(key)
            for pidfd in self._pidfds.pop(key, ()):
                os.close(pidfd)

    def clean_up(self) -> None:
        """End every process and remove every directory noted; bounded in time."""
        deadline = time.monotonic() + _PATIENCE_S
        pidfds = [pidfd for noted in self._pidfds.values() for pidfd in noted]
        for pidfd in pidfds:
            # A hook on the host is no more than the process group that it leads.
            for flags in (_PROCESS_GROUP, 0):
                try:
                    _signal.pidfd_send_signal(pidfd, _signal.SIGKILL, None, flags)
                except OSError:
                    pass  # before Linux 6.9 there is no such flag
        directories = [d for noted in self._directories.values() for d in noted]
        _end_members(directories)
        _await_end(pidfds, deadline)
        for will, sockets in self._wills.values():
            network.execute(will, sockets)
        while directories and time.monotonic() < deadline:
            directories = [d for d in reversed(directories) if not _remove(d)][::-1]
            if directories:
                _end_members(directories)
                time.sleep(0.01)
        for parent in sorted(self._parents, key=len, reverse=True):
            try:
                os.rmdir(parent)
            except OSError:
                pass  # others are in it, or it is gone
        wills = [will for will, _ in self._wills.values()]
        for key in tuple(self._wills):
            self._drop_will(key)  # with its sockets the kernel removes their tables
        network.remove_bridges(wills, deadline)
        network.remove_locks(wills)


def _end_members(directories: Iterable[str]) -> None:
    """Kill what is in these cgroups: whole by cgroup.kill (v2), else one by one."""
    for directory in directories:
        try:
            _write(directory + "/cgroup.kill", b"1")
            continue
        except OSError:
            pass
        try:
            _write(directory + "/freezer.state", b"THAWED")
        except OSError:
            pass
        _kill_members(directory)


def _kill_members(directory: str) -> None:
    """Kill who is listed. A pid may be somebody else's by the time it is used: who is
    still listed after its pidfd was opened is the one meant."""
    opened = []
    for pid in _members(directory):
        try:
            opened.append((pid, os.pidfd_open(pid)))
        except OSError:
            pass
    listed = _members(directory)
    for pid, pidfd in opened:
        try:
            if pid in listed:
                _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        except OSError:
            pass
        os.close(pidfd)


def _members(directory: str) -> list[int]:
    try:
        descriptor = os.open(directory + "/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return [
            int(line) for line in os.read(descriptor, 1 << 20).split() if line != b"0"
        ]
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _await_end(pidfds: list[int], deadline: float) -> None:
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    left = len(pidfds)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for pidfd, _ in poll.poll(remaining * 1000):
            poll.unregister(pidfd)
            left -= 1


def _remove(directory: str) -> bool:
    """True when the cgroup is no more; its own sub-cgroups go first."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        try:
            for entry in os.scandir(directory):
                if entry.is_dir(follow_symlinks=False):
                    _end_members((entry.path,))
                    _remove(entry.path)
            os.rmdir(directory)
        except OSError:
            return False
    return True
