"""Hooks, run by a child in its container's namespaces, or on the host."""

from __future__ import annotations

import _signal
import errno
import os
import select
import time

from ..._sys import descriptors, namespaces, scheduling
from ..._sys.libc import call
from . import execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .child import Context

    Environment = tuple[tuple[bytes, bytes], ...]

_TAIL = 1024
"""The last bytes of a hook's output that its failure is told with."""
_UMASK = 0o022


def run_hook(
    _context: Context,
    kind: bytes,
    path: bytes,
    arguments: tuple[bytes, ...],
    environment: Environment,
    directory: bytes,
    timeout_ms: int | None,
    before: bytes,
    after: bytes,
) -> None:
    """Run a hook to its end, in the namespaces and with the rights that we have now."""
    parent = os.getpid()
    state = _state_file(before and before + b"%d" % parent + after)
    output, theirs = os.pipe2(os.O_CLOEXEC)
    refusal, refusing = os.pipe2(os.O_CLOEXEC)
    opened = [state, output, theirs, refusal, refusing]
    try:
        pid, pidfd = _fork()
        if pid == 0:
            targets = {0: state, 1: theirs, 2: theirs}
            program = (path, arguments, environment, directory)
            _be_hook(parent, targets, refusing, program)
        opened.append(pidfd)
        for number in (theirs, refusing):
            os.close(number)
            opened.remove(number)
        said, in_time = _watch(pid, pidfd, output, timeout_ms)
        _judge(os.read(refusal, 32), path, _status(pidfd), said, in_time, timeout_ms)
    finally:
        for number in opened:
            os.close(number)


def execute_hook(
    context: Context,
    path: bytes,
    arguments: tuple[bytes, ...],
    environment: Environment,
    directory: bytes,
    passed: tuple[tuple[int, int], ...],
) -> NoReturn:
    """Be a hook, in the namespaces of the program that asks for it."""
    call("chdir", os.chdir, directory, path=directory)
    env = dict(environment)
    execute.run(context, path, arguments, env, passed, _UMASK, (), None, 0)


def _state_file(state: bytes) -> int:
    """The state as a file and not a pipe: who doesn't read it holds nobody up."""
    memfd: int = call("memfd_create", os.memfd_create, "state", os.MFD_CLOEXEC)
    try:
        while state:
            state = state[call("write", os.write, memfd, state) :]
        os.lseek(memfd, 0, os.SEEK_SET)
    except BaseException:
        os.close(memfd)
        raise
    return memfd


def _fork() -> tuple[int, int]:
    try:
        return namespaces.clone(0)
    except OSError as error:
        # A filter that was loaded early may hide clone3.
        if error.errno != errno.ENOSYS or namespaces.clone3_refused:
            raise
    namespaces.clone3_refused = True
    return namespaces.clone(0)


def _be_hook(
    parent: int,
    targets: dict[int, int],
    refusing: int,
    program: tuple[bytes, tuple[bytes, ...], Environment, bytes],
) -> NoReturn:
    """Between fork and exec. Ends with its parent, and in a process group of its own
    that can be killed as a whole."""
    path, arguments, environment, directory = program
    try:
        os.setsid()
        scheduling.set_parent_death_signal(_signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        refusing = descriptors.move_above(refusing, targets)
        descriptors.place(targets)
        descriptors.close_others((*targets, refusing))
        os.umask(_UMASK)
        os.chdir(directory)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        os.execve(path, arguments, dict(environment))
    except OSError as error:
        os.write(refusing, b"%d" % (error.errno or errno.EIO))
    finally:
        os._exit(1)


def _watch(
    pid: int, pidfd: int, output: int, timeout_ms: int | None
) -> tuple[bytes, bool]:
    """Take in what it prints until it has ended: the last of that, and whether it ended
    in its time. What it leaves running may hold its output open."""
    deadline = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
    os.set_blocking(output, False)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(output, select.POLLIN)
    said, in_time = b"", True
    while True:
        left_ms = None if deadline is None else (deadline - time.monotonic()) * 1000
        ready = dict(poll.poll(None if left_ms is None else max(0, left_ms)))
        if output in ready:
            chunk = _read(output)
            said = (said + chunk)[-_TAIL:]
            if not chunk:
                poll.unregister(output)
        if pidfd in ready:
            while chunk := _read(output):
                said = (said + chunk)[-_TAIL:]
            return said, in_time
        if left_ms is not None and left_ms <= 0 and in_time:
            in_time = False
            deadline = None
            _kill_group(pid, pidfd)


def _read(output: int) -> bytes:
    try:
        return os.read(output, 65536)
    except BlockingIOError:
        return b""


def _kill_group(pid: int, pidfd: int) -> None:
    # Not reaped yet, so the number is still its own.
    for kill, target in ((os.killpg, pid), (_signal.pidfd_send_signal, pidfd)):
        try:
            kill(target, _signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended, or isn't in a group of its own yet


def _status(pidfd: int) -> int:
    """Exit status, negative for a signal, of a process that has ended."""
    found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if found is None:
        return 0
    exited = found.si_code == os.CLD_EXITED
    return found.si_status if exited else -found.si_status


def _judge(
    refused: bytes,
    path: bytes,
    status: int,
    said: bytes,
    in_time: bool,
    timeout_ms: int | None,
) -> None:
    if refused:
        code = int(refused)
        raise OSError(code, os.strerror(code), path)
    if in_time and status == 0:
        return
    if not in_time:
        how = f"took longer than {(timeout_ms or 0) / 1000:g} s"
    else:
        how = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
    # "; " sets the parts of a report apart.
    tail = said.decode("utf-8", "replace").strip().replace("; ", ";")
    raise OSError(f"{how}: {tail}" if tail else how)
