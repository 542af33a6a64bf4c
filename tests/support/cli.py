"""Command lines, run in forked children: as real as a program, without its start-up.

done = run("ps", "--json", root=root)
assert (done.status, done.out) == (0, "[]\\n")

with started("run", "-t", "--", "sh", root=root, tty=True) as child: ...
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from aiocontainer._sys import constants, namespaces

from . import procfs, spawners

Prepare = Callable[[], None]

PATIENCE_S = 20.0
_running: set[int] = set()


@dataclass(frozen=True, slots=True)
class Done:
    """A command line that has ended."""

    status: int
    """As subprocess has it."""
    out: str
    err: str


class Command:
    """A command line that runs."""

    def __init__(self, pid: int, descriptors: dict[str, int]) -> None:
        self.pid = pid
        _running.add(pid)
        self.descriptors = descriptors
        """Ours: ``in``, ``out`` and ``err``; of a terminal all the same."""
        self.said = b""

    def until(self, word: str) -> str:
        """Read its output until it has said this; what came before."""
        deadline = time.monotonic() + PATIENCE_S
        while word.encode() not in self.said:
            left_s = deadline - time.monotonic()
            if not select.select([self.descriptors["out"]], [], [], max(left_s, 0))[0]:
                raise TimeoutError(f"no {word!r} in {self.said!r}")
            try:
                data = os.read(self.descriptors["out"], 65536)
            except OSError:  # the end of a terminal
                data = b""
            if not data:
                raise EOFError(self.said.decode())
            self.said += data
        before, _, self.said = self.said.partition(word.encode())
        return before.decode()

    def send(self, text: str) -> None:
        """Type this."""
        os.write(self.descriptors["in"], text.encode())

    def wait(self) -> int:
        """Its exit status, as subprocess has it."""
        deadline = time.monotonic() + PATIENCE_S
        pidfd = os.pidfd_open(self.pid)
        try:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([pidfd], [], [], left_s)[0]:
                raise TimeoutError("the command doesn't end")
        finally:
            os.close(pidfd)
        return self._reap()

    def kill(self) -> None:
        """SIGKILL, and reap it."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        _running.discard(self.pid)
        self.pid = 0
        reap()
        return os.waitstatus_to_exitcode(status)


def run(
    *args: str, root: str, input: bytes = b"", cwd: str = "/", own_net: bool = False
) -> Done:
    """Run a command line to its end."""
    with started(*args, root=root, cwd=cwd, own_net=own_net) as command:
        chunks: dict[str, list[bytes]] = {"out": [], "err": []}
        os.write(command.descriptors["in"], input)  # less than a pipe holds
        os.close(command.descriptors.pop("in"))
        names = {command.descriptors[name]: name for name in chunks}
        deadline = time.monotonic() + PATIENCE_S
        while names:
            left_s = max(0.0, deadline - time.monotonic())
            ready = select.select(list(names), [], [], left_s)[0]
            assert ready, f"{args} doesn't end: {chunks}"
            for number in ready:
                if data := os.read(number, 65536):
                    chunks[names[number]].append(data)
                else:
                    del names[number]
        out, err = (b"".join(chunks[name]).decode() for name in ("out", "err"))
        return Done(command.wait(), out, err)


def reap() -> None:
    """Reap what commands have left that has ended: their spawners, which are given the
    time to, and containers."""
    deadline = time.monotonic() + PATIENCE_S
    while _reap_once() and time.monotonic() < deadline:
        time.sleep(0.002)  # nothing tells when a stranger's child ends


def _reap_once() -> bool:
    """Whether a spawner of a command is still about to end."""
    is_busy = False
    own = spawners.find()
    for pid in procfs.children():
        facts = procfs.read_stat(pid)
        if facts is None or pid in _running or pid == own:
            continue
        if facts.state == "Z":
            os.waitpid(pid, 0)
        elif procfs.namespace("pid", pid) == procfs.namespace("pid"):
            is_busy = is_busy or (procfs.executable(pid) or "").startswith("/memfd:")
    return is_busy


@contextlib.contextmanager
def started(
    *args: str, root: str, tty: bool = False, cwd: str = "/", own_net: bool = False
) -> Iterator[Command]:
    """Start a command line, with pipes or a terminal; leaving the block kills it.

    Args:
        args: of the command.
        root: the state root.
        tty: a terminal for all three.
        cwd: working directory.
        own_net: in a network namespace of its own, which forwards packets.
    """

    def prepare() -> None:
        os.chdir(cwd)
        if own_net:
            namespaces.unshare(constants.CLONE_NEWNET)
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    command = (_on_terminal if tty else _on_pipes)(args, root, prepare)
    try:
        yield command
    finally:
        command.kill()
        for number in set(command.descriptors.values()):
            os.close(number)


def _on_pipes(args: tuple[str, ...], root: str, prepare: Prepare) -> Command:
    pipes = [os.pipe(), os.pipe(), os.pipe()]
    theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
    pid = os.fork()
    if pid == 0:
        prepare()
        _be(args, root, theirs)
    for number in theirs:
        os.close(number)
    ours = {"in": pipes[0][1], "out": pipes[1][0], "err": pipes[2][0]}
    return Command(pid, ours)


def _on_terminal(args: tuple[str, ...], root: str, prepare: Prepare) -> Command:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        prepare()
        _be(args, root, (slave, slave, slave))
    os.close(slave)
    return Command(pid, {"in": master, "out": master, "err": master})


def _be(args: tuple[str, ...], root: str, stdio: tuple[int, int, int]) -> NoReturn:
    """Be the command line, in a child that never comes back to the tests."""
    try:
        for number, descriptor in enumerate(stdio):
            os.dup2(descriptor, number)
        os.closerange(3, 4096)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        sys.argv = ["aiocontainer", "--root", root, *args]
        from aiocontainer.cli import main

        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(70)
