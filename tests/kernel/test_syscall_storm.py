"""Callers that are killed and interrupted all the time, while their calls are read."""

import random
from typing import Any

import anyio
import pytest

from aiocontainer import AddFd, Continue, Errno, Return, SyscallCall, run
from aiocontainer.proc.syscall_call import Answer
from tests.support.capabilities import needs
from tests.support.inside import PYTHON
from tests.support.syscalls import listening, python

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "seccomp"),
]


@pytest.fixture
def anyio_backend() -> Any:
    """What is tested is the same on every event loop."""
    return "asyncio", {}


STORM = """
import os, random, signal, threading, time
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
end = time.monotonic() + 0.7
def work():
    while time.monotonic() < end:
        pid = os.fork()
        if pid == 0:
            for _ in range(20):
                try:
                    os.mkdir("/tmp/" + "x" * random.randrange(200))
                except OSError:
                    pass
            os._exit(0)
        time.sleep(random.random() * 0.004)
        if random.random() < 0.5:
            os.kill(pid, 9)
        os.waitpid(pid, 0)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
print("over")
"""


@pytest.mark.parametrize("flags", [[], ["WAIT_KILLABLE_RECV"]])
async def test_callers_may_go_at_any_moment(flags: list[Any]) -> None:
    chance = random.Random(4)
    calls = 0

    async def decide(call: SyscallCall) -> Answer:
        nonlocal calls
        calls += 1
        try:
            assert (await call.read_path(call.args[0])).startswith("/tmp/")
            if chance.random() < 0.2:
                await anyio.sleep(chance.random() * 0.003)
            assert await call.read(call.args[0], 1) == b"/"
        except ProcessLookupError:
            assert not call.is_waiting()
        if chance.random() < 0.02:
            return AddFd(0)
        return chance.choice([Continue(), Errno(1), Return(5)])

    config = python("mkdir")
    seccomp = listening("mkdir", flags=flags)
    args = [PYTHON, "-I", "-c", STORM]
    result = await run(config, args, seccomp=seccomp, on_syscall=decide, timeout=30)
    assert result.stdout == b"over\n", result
    assert calls > 50
