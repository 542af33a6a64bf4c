"""Id maps written by newuidmap(1) and newgidmap(1), for a user without privileges.

They are host programs with more rights than ours, so they get nothing of ours: no
descriptor but a null device, no environment, and a bounded time.
"""

from __future__ import annotations

import _signal
import errno
import os
import select

from ..._sys import namespaces
from ..._sys.descriptors import close_others
from ..._sys.libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

PATIENCE_MS = 10_000
_WORDS_BYTES = 512


def write(pid: int, commands: tuple[tuple[bytes, ...], ...]) -> None:
    """Run the commands for the child ``pid``, all at once; returns when all have ended.

    Raises:
        OSError: one failed (its own words are the reason), or took 10 seconds.
    """
    null = call("open", os.open, b"/dev/null", os.O_RDWR | os.O_CLOEXEC)
    running: list[tuple[bytes, int, int]] = []
    failed: OSError | None = None
    try:
        for path, *arguments in commands:
            words = call("memfd_create", os.memfd_create, "id-maps", os.MFD_CLOEXEC)
            running.append((path, -1, words))
            child, pidfd = namespaces.clone(0)
            if child == 0:
                _execute(path, [path, b"%d" % pid, *arguments], null, words)
            running[-1] = (path, pidfd, words)
    finally:
        for path, pidfd, words in running:
            try:
                if pidfd >= 0:
                    _await(path, pidfd, words)
                    os.close(pidfd)
            except OSError as error:
                os.close(pidfd)
                failed = failed or error
            os.close(words)
        os.close(null)
    if failed is not None:
        raise failed


def _execute(path: bytes, arguments: list[bytes], null: int, words: int) -> NoReturn:
    try:
        for number, target in ((null, 0), (null, 1), (words, 2)):
            os.dup2(number, target)
        close_others((0, 1, 2))
        for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_DFL)  # the ones that Python changed
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        os.umask(0o077)
        os.execve(path, arguments, {})
    except OSError as error:
        os.write(2, (error.strerror or "not executed").encode())
    finally:
        os._exit(127)


def _await(path: bytes, pidfd: int, words: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    in_time = poll.poll(PATIENCE_MS)
    if not in_time:
        # Its real user is still ours, so it may be killed (kill(2)).
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if not in_time:
        raise OSError(errno.ETIMEDOUT, f"not done in {PATIENCE_MS // 1000} s", path)
    if ended is None or (ended.si_code, ended.si_status) != (os.CLD_EXITED, 0):
        said = os.pread(words, _WORDS_BYTES, 0).decode("utf-8", "replace")
        reason = " ".join(said.split()) or "it failed without a word"
        raise OSError(errno.EPERM, reason, path)
