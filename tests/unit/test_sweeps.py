"""The sweeps themselves: they must find what they are for."""

import errno
import os
import signal

import anyio
import pytest

from aiocontainer._sys import libc
from tests.support.programs import program
from tests.support.sweeps import cancel_sweep, fault, fault_sweep, task_cancel_sweep

pytestmark = pytest.mark.anyio


class Resource:
    """Opened in two steps; ``careful`` says whether the second undoes the first."""

    def __init__(self, *, careful: bool) -> None:
        self.careful = careful
        self.open = 0

    async def use(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.open += 1
        try:
            await anyio.sleep(0.001)
            await anyio.sleep(0.001)
        except BaseException:
            self.open -= self.careful
            raise
        self.open -= 1


@pytest.mark.parametrize("sweep", [cancel_sweep, task_cancel_sweep])
async def test_careful_code_survives_a_cancellation_at_each_await(sweep, anyio_backend):
    if sweep is task_cancel_sweep and anyio_backend[0] == "trio":
        pytest.skip("trio has no Task.cancel")
    resource = Resource(careful=True)

    def nothing_is_open(point: int) -> None:
        assert resource.open == 0

    seen = await sweep(resource.use, nothing_is_open)
    assert seen.points >= 3
    assert seen.completed == 0


@pytest.mark.parametrize("sweep", [cancel_sweep, task_cancel_sweep])
async def test_a_leak_on_cancellation_is_found(sweep, anyio_backend) -> None:
    if sweep is task_cancel_sweep and anyio_backend[0] == "trio":
        pytest.skip("trio has no Task.cancel")
    resource = Resource(careful=False)

    def nothing_is_open(point: int) -> None:
        assert resource.open == 0, f"left open at {point}"

    with pytest.raises(AssertionError, match="left open at"):
        await sweep(resource.use, nothing_is_open)


async def test_a_swallowed_cancellation_is_found() -> None:
    async def deaf() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)

    seen = await cancel_sweep(deaf, lambda point: None)
    assert seen.completed >= 1


async def test_the_fault_sweep_lets_each_kernel_call_fail_once() -> None:
    async def two_calls() -> None:
        reader, writer = libc.call("pipe2", os.pipe2, os.O_CLOEXEC)
        try:
            libc.call("write", os.write, writer, b"x")
        finally:
            os.close(reader)
            os.close(writer)

    hits = await fault_sweep(
        two_calls, lambda point: None, allowed=OSError, code=errno.ENOMEM
    )
    assert hits == ["pipe2", "write"]


async def test_an_exception_of_another_type_ends_the_fault_sweep() -> None:
    async def careless() -> None:
        try:
            libc.call("getpid", os.getpid)
        except OSError as error:
            raise RuntimeError("untyped") from error

    with pytest.raises(RuntimeError):
        await fault_sweep(careless, lambda point: None, allowed=OSError)


async def test_the_hook_is_gone_after_the_block() -> None:
    with fault(0), pytest.raises(OSError, match="Input/output error"):
        libc.call("getpid", os.getpid)
    assert libc.call("getpid", os.getpid) == os.getpid()


async def test_what_a_killed_program_leaves_is_seen() -> None:
    source = (
        "import subprocess; subprocess.Popen(['sleep', '60']); print('ready'); input()"
    )
    with program(source) as child:
        assert child.line() == "ready"
        child.kill()
        assert child.returncode == -signal.SIGKILL
        (left,) = child.left_behind(timeout_s=0.01)
        assert left.endswith(" sleep")
