"""The leak check itself: a check that can't fail proves nothing."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support import leaks, procfs


@contextmanager
def descriptor() -> Iterator[None]:
    one, other = socket.socketpair()
    with one, other:
        yield


@contextmanager
def thread() -> Iterator[None]:
    done = threading.Event()
    worker = threading.Thread(target=done.wait)
    worker.start()
    yield
    done.set()
    worker.join()


@contextmanager
def process() -> Iterator[None]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield
        child.kill()


@contextmanager
def zombie() -> Iterator[None]:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    yield
    os.waitpid(child, 0)


@contextmanager
def orphan() -> Iterator[None]:
    script = "sleep 60 >/dev/null & echo $!"
    words = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True)
    pid = int(words.stdout)
    yield
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextmanager
def temporary_file() -> Iterator[None]:
    with tempfile.NamedTemporaryFile(prefix="aiocontainer"):
        yield


@contextmanager
def umask() -> Iterator[None]:
    before = os.umask(0o077)
    os.umask(0o007)
    yield
    os.umask(before)


@contextmanager
def working_directory() -> Iterator[None]:
    before = os.getcwd()
    os.chdir("/")
    yield
    os.chdir(before)


@contextmanager
def signal_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGUSR2, before)


@contextmanager
def cgroup() -> Iterator[None]:
    point = next(iter(procfs.cgroup_mounts()))
    folder = Path(tempfile.mkdtemp(prefix="aiocontainer-test-leak-", dir=point))
    yield
    folder.rmdir()


@pytest.mark.parametrize(
    ("leak", "kind"),
    [
        pytest.param(descriptor, "descriptor", id="descriptor"),
        pytest.param(thread, "thread", id="thread"),
        pytest.param(process, "process", id="process"),
        pytest.param(zombie, "zombie", id="zombie"),
        pytest.param(orphan, "process", id="orphan"),
        pytest.param(temporary_file, "temporary file", id="temporary-file"),
        pytest.param(umask, "caller", id="umask"),
        pytest.param(working_directory, "caller", id="working-directory"),
        pytest.param(signal_handler, "caller", id="signal-handler"),
        pytest.param(
            cgroup, "cgroup", id="cgroup", marks=pytest.mark.needs("root", "cgroup-v2")
        ),
    ],
)
def test_each_kind_of_leak_is_found_while_it_is_there(
    leak: Callable[[], AbstractContextManager[None]], kind: str
) -> None:
    before = leaks.take()
    with leak():
        found = leaks.find(before, patience_s=0.02)
    assert any(line.startswith(f"left behind: {kind}: ") for line in found), found
    assert leaks.find(before) == []


def test_a_descriptor_that_went_is_found_too() -> None:
    reader, writer = os.pipe()
    before = leaks.take()
    os.close(reader)
    found = leaks.find(before, patience_s=0.02)
    assert f"gone: descriptor: {reader}" in [line.split(" ->")[0] for line in found]
    os.close(writer)


def test_what_the_kernel_takes_away_a_little_later_is_no_leak() -> None:
    reader, writer = os.pipe()
    before = leaks.take()
    duplicate = os.dup(reader)
    timer = threading.Timer(0.05, os.close, [duplicate])
    timer.start()
    assert leaks.find(before) == []
    timer.join()
    os.close(reader)
    os.close(writer)


def test_the_check_is_cheap_enough_for_every_test() -> None:
    leaks.take()
    started = time.thread_time_ns()
    for _ in range(10):
        leaks.take()
    assert (time.thread_time_ns() - started) / 10 < 2_500_000
