"""Look at a finished child from outside, before its program runs.

The helper did what the plan said, and each of its calls succeeded. This asks the
kernel what became of it: a mistake of ours in plan, helper or order, or a root file
system that got in between, then ends the start instead of being found out later (S8).
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Iterator
from typing import Final, TypeAlias

from .._sys import constants as c
from .._sys import paths
from .._sys import pidfd as sys_pidfd
from ..config import Config, ProcessSettings
from ..errors import SetupError
from ..plan.expected import Rights, Surroundings, rights, surroundings
from . import spawner

_STATUS_BYTES: Final = 1 << 16
_NULL: Final = os.makedev(1, 3)


Spaces: TypeAlias = dict[str, str]
"""Name of a namespace -> what its link in ``/proc/<pid>/ns`` says."""


class Verifier:
    """Verifies the processes of one container, at the stop called "ready"."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._spaces: Spaces | None = None

    async def first(self, settings: ProcessSettings, pid: int, pidfd: int) -> None:
        """Verify the first process: rights, namespaces, masked and read-only paths.

        Raises:
            SetupError: something is not as the config says.
        """
        expected = surroundings(self._config)
        with _of_living(pid, pidfd):
            _check_rights(pid, rights(self._config, settings))
            self._spaces = _spaces_of(pid)
            if self._spaces is not None:
                _check_namespaces(self._spaces, expected, _host_spaces())
            if expected.masked or expected.readonly:
                _check_paths(pid, expected)

    async def later(self, settings: ProcessSettings, pid: int, pidfd: int) -> None:
        """Verify a process that joined: its rights, and that it is where the first is.

        Raises:
            SetupError: something is not as the config says.
        """
        with _of_living(pid, pidfd):
            _check_rights(pid, rights(self._config, settings))
            spaces = self._spaces and _spaces_of(pid)
            for name, link in (spaces or {}).items():
                if self._spaces and link != self._spaces[name]:
                    raise _differs(f"it is not in the container's {name} namespace")


@contextlib.contextmanager
def _of_living(pid: int, pidfd: int) -> Iterator[None]:
    """Let a child that was killed meanwhile be: the handshake will find that out."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError):
        if not (sys_pidfd.is_exiting(pid) or sys_pidfd.has_ended(pidfd)):
            raise


def _check_rights(pid: int, expected: Rights) -> None:
    status = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.read(status, _STATUS_BYTES)
    finally:
        os.close(status)
    for lines in expected.lines:
        if lines not in found:
            raise _differs(_difference(lines, found))


def _spaces_of(pid: int) -> Spaces | None:
    """None where this program may not look: without privilege nobody may trace a
    helper, its maker neither."""
    try:
        return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in _names()}
    except PermissionError:
        return None


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(name for name in os.listdir("/proc/self/ns") if "_for_" not in name)


def _host_spaces() -> Spaces:
    """Those of the spawner, which children are born in; it took them from us."""
    server = spawner.peek()
    if server is not None:
        with contextlib.suppress(FileNotFoundError):  # it was killed since
            return _spaces_of_spawner(server.pid) or {}
    return _spaces_of(os.getpid()) or {}


@functools.lru_cache(maxsize=1)
def _spaces_of_spawner(pid: int) -> Spaces | None:
    return _spaces_of(pid)


def _check_namespaces(spaces: Spaces, expected: Surroundings, host: Spaces) -> None:
    for name, path in expected.namespaces:
        if name not in spaces or name not in host:
            continue  # a kernel without that kind
        if path is None:
            right = spaces[name] == host[name]
        elif path == "":
            right = spaces[name] != host[name]
        else:
            right = spaces[name].endswith(f":[{os.stat(path).st_ino}]")
        if not right:
            raise _differs(f"it is in the wrong {name} namespace, {spaces[name]}")


def _check_paths(pid: int, expected: Surroundings) -> None:
    try:
        root = os.open(f"/proc/{pid}/root", c.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        for path in expected.masked:
            if not _is_hidden(root, path):
                raise _differs(f"{os.fsdecode(path)} is not masked")
        for path in expected.readonly:
            if not _is_readonly(root, path):
                raise _differs(f"{os.fsdecode(path)} can be written to")
    finally:
        os.close(root)


def _is_hidden(root: int, path: bytes) -> bool:
    """Missing, the null device, or an empty directory that nobody can write to."""
    found = paths.try_open_in_root(root, path)
    if found < 0:
        return True
    try:
        status = os.fstat(found)
        if stat.S_ISDIR(status.st_mode):
            readonly = os.fstatvfs(found).f_flag & os.ST_RDONLY
            return bool(readonly) and status.st_nlink == 2
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL
    finally:
        os.close(found)


def _is_readonly(root: int, path: bytes) -> bool:
    found = paths.try_open_in_root(root, path)
    if found < 0:
        return True
    try:
        return bool(os.fstatvfs(found).f_flag & os.ST_RDONLY)
    finally:
        os.close(found)


def _difference(lines: bytes, found: bytes) -> str:
    there = {line.partition(b":")[0]: line for line in found.splitlines()}
    for line in lines.split(b"\n"):
        actual = there.get(line.partition(b":")[0], b"missing")
        if line and actual != line:
            wanted = line.decode().replace("\t", " ")
            return f"{actual.decode().replace(chr(9), ' ')}, and not {wanted}"
    return "its status is in another form"


def _differs(how: str) -> SetupError:
    return SetupError("verify the process before its program runs", how)
