"""Bounded collection of output."""

import contextlib
import os
import signal
import subprocess
import tracemalloc

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.proc.capture import Sink, communicate, drain, drain_available, feed
from aiocontainer.proc.stdio import DEVNULL, PIPE, open_stdio
from aiocontainer.proc.streams import ReceiveStream, SendStream

pytestmark = pytest.mark.anyio


@pytest.fixture
def output():
    reader, writer = os.pipe()
    stream = ReceiveStream(reader)
    yield stream, writer
    stream.close()
    with contextlib.suppress(OSError):
        os.close(writer)


@pytest.fixture
def start():
    """Start a shell script; gives the process (a pidfd beside it) and its stdio."""
    with contextlib.ExitStack() as stack:

        def start(script, stdin=DEVNULL):
            stdio = open_stdio(stdin, PIPE, PIPE)
            child = subprocess.Popen(
                ["sh", "-c", script],
                stdin=stdio.child[0],
                stdout=stdio.child[1],
                stderr=stdio.child[2],
            )
            stack.callback(child.wait)
            stack.callback(stdio.close)
            stdio.close_child()
            return child, stdio

        yield start


def end_orphan(sink):
    """End the process whose pid was printed; it has become a child of the tests."""
    pid = int(sink.stdout.getvalue())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


async def ended(child):
    pidfd = os.pidfd_open(child.pid)
    try:
        await anyio.wait_readable(pidfd)
    finally:
        os.close(pidfd)
    return child.wait()


@pytest.mark.parametrize(
    ("max_bytes", "fed", "stdout", "stderr", "exceeded"),
    [
        pytest.param(None, ["oab", "ecd"], b"ab", b"cd", False, id="no limit"),
        pytest.param(4, ["oab", "ecd"], b"ab", b"cd", False, id="just full"),
        pytest.param(3, ["oab", "ecd"], b"ab", b"c", True, id="limit is on the sum"),
        pytest.param(2, ["oabc", "ecd"], b"ab", b"", True, id="cut in a chunk"),
        pytest.param(
            2, ["oab", "ecd", "oe"], b"ab", b"", True, id="the first are kept"
        ),
        pytest.param(0, ["oa"], b"", b"", True, id="nothing is kept"),
        pytest.param(0, [], b"", b"", False, id="nothing came"),
    ],
)
async def test_the_first_bytes_are_kept(max_bytes, fed, stdout, stderr, exceeded):
    calls = []
    sink = Sink(max_bytes, on_exceeded=lambda: calls.append(1))
    for item in fed:
        channel = sink.stdout if item[0] == "o" else sink.stderr
        channel.feed(item[1:].encode())
    assert (sink.stdout.getvalue(), sink.stderr.getvalue()) == (stdout, stderr)
    assert sink.exceeded == exceeded
    assert calls == [1] * exceeded
    assert (sink.stdout.truncated or sink.stderr.truncated) == exceeded


async def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="max_bytes"):
        Sink(-1)


async def test_draining_goes_on_behind_the_limit(start):
    child, stdio = start("head -c 1000000 /dev/zero")
    sink = Sink(10)
    with anyio.fail_after(10):
        await drain(stdio.stdout, sink.stdout)
    assert await ended(child) == 0
    assert sink.stdout.getvalue() == bytes(10)
    assert sink.stdout.received_bytes == 1_000_000


async def test_what_is_thrown_away_takes_no_memory(start):
    _, stdio = start("head -c 50000000 /dev/zero")
    sink = Sink(1000)
    tracemalloc.start()
    try:
        await drain(stdio.stdout, sink.stdout)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.stdout.received_bytes == 50_000_000
    assert peak < 2_000_000


async def test_a_program_can_be_killed_at_the_limit(start):
    child, stdio = start("exec cat /dev/zero")
    sink = Sink(1000, on_exceeded=child.kill)
    with anyio.fail_after(10):
        await drain(stdio.stdout, sink.stdout)
    assert await ended(child) < 0
    assert sink.exceeded


async def test_closing_the_stream_ends_draining(output):
    stream, _ = output
    sink = Sink(None)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain, stream, sink.stdout)
            while not stream.is_busy:
                await anyio.lowlevel.checkpoint()
            stream.close()


async def test_what_is_in_the_pipe_is_taken_without_waiting(output):
    stream, writer = output
    sink = Sink(None)
    drain_available(stream, sink.stdout)
    os.write(writer, b"x" * 60_000)
    drain_available(stream, sink.stdout)
    assert sink.stdout.getvalue() == b"x" * 60_000
    os.close(writer)
    drain_available(stream, sink.stdout)
    stream.close()
    drain_available(stream, sink.stdout)
    assert sink.stdout.received_bytes == 60_000


async def test_no_more_is_taken_than_was_there():
    """Whatever is taken is written again at once, as by a process that goes on."""
    reader, writer = os.pipe()

    class Refilled(ReceiveStream):
        def receive_nowait(self, max_bytes):
            data = super().receive_nowait(max_bytes)
            os.write(writer, data)
            return data

    sink = Sink(None)
    os.write(writer, b"x" * 1000)
    async with Refilled(reader) as stream:
        drain_available(stream, sink.stdout)
    os.close(writer)
    assert sink.stdout.received_bytes == 1000


async def test_lines_read_ahead_are_taken_too(output):
    stream, writer = output
    os.write(writer, b"a\nb\nc")
    assert await anext(stream.lines()) == b"a\n"
    os.write(writer, b"d")
    sink = Sink(None)
    drain_available(stream, sink.stdout)
    assert sink.stdout.getvalue() == b"b\ncd"


async def test_a_writer_that_never_stops_does_not_hold_up_the_end(start):
    """The program ends; what it left behind floods its stdout."""
    child, stdio = start("echo mine; cat /dev/zero & echo $! >&2")
    sink, errors = Sink(1000), Sink(None)
    try:
        with anyio.fail_after(10):
            outputs = [(stdio.stdout, sink.stdout), (stdio.stderr, errors.stdout)]
            assert await communicate(lambda: ended(child), outputs, grace_s=0.05) == 0
    finally:
        end_orphan(errors)
    assert sink.stdout.getvalue().startswith(b"mine\n")


async def test_a_grandchild_that_keeps_the_pipe_open_does_not_hold_up_the_end(start):
    child, stdio = start("sleep 100 & echo $!; head -c 60000 /dev/zero >&2")
    sink = Sink(None)
    try:
        began = anyio.current_time()
        outputs = [(stdio.stdout, sink.stdout), (stdio.stderr, sink.stderr)]
        assert await communicate(lambda: ended(child), outputs, grace_s=0) == 0
        assert anyio.current_time() - began < 5
    finally:
        end_orphan(sink)
    assert sink.stderr.received_bytes == 60_000


@pytest.mark.parametrize("grace_s", [0, 0.1])
async def test_nothing_that_the_program_wrote_is_lost(start, grace_s):
    size = 3_000_000
    child, stdio = start(f"head -c {size} /dev/zero; head -c 70000 /dev/zero >&2")
    sink = Sink(None)
    outputs = [(stdio.stdout, sink.stdout), (stdio.stderr, sink.stderr)]
    await communicate(lambda: ended(child), outputs, grace_s=grace_s)
    assert sink.stdout.received_bytes == size
    assert sink.stderr.received_bytes == 70_000


async def test_input_is_fed_while_output_is_drained(start):
    child, stdio = start("cat", stdin=PIPE)
    data = os.urandom(1_000_000)
    sink = Sink(None)
    code = await communicate(
        lambda: ended(child),
        [(stdio.stdout, sink.stdout), (stdio.stderr, sink.stderr)],
        stdin=stdio.stdin,
        data=data,
    )
    assert code == 0
    assert sink.stdout.getvalue() == data


async def test_a_program_need_not_read_its_input(start):
    child, stdio = start("exec <&-; exit 3", stdin=PIPE)
    code = await communicate(
        lambda: ended(child), [], stdin=stdio.stdin, data=bytes(1_000_000)
    )
    assert code == 3


async def test_an_error_of_the_wait_arrives_as_it_is(output):
    stream, _ = output

    async def fail():
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        await communicate(fail, [(stream, Sink(None).stdout)], grace_s=0)


async def test_a_stream_that_somebody_else_reads_is_an_error_after_the_end(start):
    child, stdio = start("read line", stdin=PIPE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drain, stdio.stdout, Sink(None).stdout)
        while not stdio.stdout.is_busy:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(anyio.BusyResourceError):
            await communicate(
                lambda: ended(child),
                [(stdio.stdout, Sink(None).stdout)],
                stdin=stdio.stdin,
                data=b"line\n",
            )
        assert child.returncode == 0


async def test_cancelled_communication_leaves_the_rest_in_the_pipe(output):
    stream, writer = output
    sink = Sink(None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(communicate, anyio.sleep_forever, [(stream, sink.stdout)])
        while not stream.is_busy:
            await anyio.lowlevel.checkpoint()
        os.write(writer, b"rest")
        tasks.cancel_scope.cancel()
    drain_available(stream, sink.stdout)
    assert sink.stdout.getvalue() == b"rest"


async def test_feeding_closes_the_input_however_it_ends():
    for leave in ("return", "broken", "cancel"):
        reader, writer = os.pipe()
        stream = SendStream(writer)
        if leave == "broken":
            os.close(reader)
        with anyio.CancelScope() as scope:
            if leave == "cancel":
                scope.cancel()
            await feed(stream, b"data")
        with pytest.raises(anyio.ClosedResourceError):
            stream.fileno()
        if leave != "broken":
            os.close(reader)
