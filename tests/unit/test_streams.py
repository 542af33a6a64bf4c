"""Streams over pipes, on every event loop that anyio runs on."""

import contextlib
import fcntl
import os
import resource
import socket
import struct
import termios
import time
import tracemalloc
import warnings

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.proc.descriptor import BUSY_PIPE_BYTES, CHUNK_BYTES
from aiocontainer.proc.lines import LINES_PER_TURN
from aiocontainer.proc.streams import ReceiveStream, SendStream

pytestmark = pytest.mark.anyio


@pytest.fixture
def output():
    """A stream, and the descriptor that feeds it."""
    reader, writer = os.pipe()
    stream = ReceiveStream(reader)
    yield stream, writer
    stream.close()
    with contextlib.suppress(OSError):
        os.close(writer)


@pytest.fixture
def input_():
    """A descriptor that is fed by the stream, and the stream."""
    reader, writer = os.pipe()
    stream = SendStream(writer)
    yield reader, stream
    stream.close()
    with contextlib.suppress(OSError):
        os.close(reader)


async def until(condition):
    """Let other tasks run until they have come so far."""
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


def pending_bytes(descriptor):
    """What is in a pipe, asked at either end."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return struct.unpack("i", answer)[0]


async def test_data_that_is_there_is_received(output):
    stream, writer = output
    os.write(writer, b"hello")
    assert await stream.receive(2) == b"he"
    assert await stream.receive() == b"llo"


async def test_receiving_waits_for_data(output):
    stream, writer = output
    got = []

    async def receive():
        got.append(await stream.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await until(lambda: stream.is_busy)
        assert got == []
        os.write(writer, b"x")
    assert got == [b"x"]


async def test_a_stream_ends_when_the_last_writer_has_closed(output):
    stream, writer = output
    second = os.dup(writer)
    os.write(writer, b"last")
    os.close(writer)
    assert await stream.receive() == b"last"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_expect, anyio.EndOfStream, stream.receive)
        await until(lambda: stream.is_busy)
        os.close(second)
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()


async def _expect(error, call, *args):
    with pytest.raises(error):
        await call(*args)


async def test_iterating_gives_everything_and_ends(output):
    stream, writer = output
    os.write(writer, b"ab")
    os.close(writer)
    assert [chunk async for chunk in stream] == [b"ab"]


async def test_receiving_into_a_buffer_fills_its_start(output):
    stream, writer = output
    buffer = bytearray(b".....")
    os.write(writer, b"abc")
    assert await stream.receive_into(buffer) == 3
    assert buffer == b"abc.."
    os.close(writer)
    with pytest.raises(anyio.EndOfStream):
        await stream.receive_into(buffer)


async def test_receiving_without_waiting_tells_nothing_from_the_end(output):
    stream, writer = output
    with pytest.raises(anyio.WouldBlock):
        stream.receive_nowait()
    os.write(writer, b"abc")
    assert stream.pending_bytes_at_most() == 3
    assert stream.receive_nowait(2) == b"ab"
    assert stream.receive_nowait() == b"c"
    os.close(writer)
    with pytest.raises(anyio.EndOfStream):
        stream.receive_nowait()


@pytest.mark.parametrize("size", [0, -1])
async def test_a_size_that_is_not_positive_is_refused(output, size):
    stream, _ = output
    with pytest.raises(ValueError, match="max_bytes"):
        await stream.receive(size)


@pytest.mark.parametrize("call", ["receive", "receive_into", "lines"])
async def test_closing_wakes_the_task_that_waits(output, call):
    stream, _ = output
    number = stream.fileno()
    calls = {
        "receive": stream.receive,
        "receive_into": lambda: stream.receive_into(bytearray(1)),
        "lines": stream.lines().__anext__,
    }
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_expect, anyio.ClosedResourceError, calls[call])
            await until(lambda: stream.is_busy)
            await stream.aclose()
    with pytest.raises(OSError):
        os.fstat(number)


async def test_closing_wakes_the_task_that_sends(input_):
    reader, stream = input_
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                _expect, anyio.ClosedResourceError, stream.send, bytes(1 << 20)
            )
            await until(lambda: stream.is_busy)
            await stream.aclose()
    while os.read(reader, 1 << 16):  # ends: the descriptor itself is closed
        pass


async def test_closing_does_not_disturb_the_next_owner_of_the_number():
    """The task that waited cleans up by number, some time after it was woken."""
    reader, writer = os.pipe()
    old = ReceiveStream(reader)

    async def write_later():
        await until(lambda: new.is_busy)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        os.write(next_writer, b"x")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_expect, anyio.ClosedResourceError, old.receive)
        await until(lambda: old.is_busy)
        tasks.start_soon(write_later)
        # No other task runs from here until the new stream waits.
        old.close()
        next_reader, next_writer = os.pipe()  # the lowest free numbers
        new = ReceiveStream(next_reader)
        with anyio.fail_after(5):
            assert await new.receive() == b"x"
    new.close()
    os.close(writer)
    os.close(next_writer)


async def test_a_closed_stream_says_so(output, input_):
    for stream in (output[0], input_[1]):
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            stream.fileno()
    with pytest.raises(anyio.ClosedResourceError):
        await output[0].receive()
    with pytest.raises(anyio.ClosedResourceError):
        output[0].receive_nowait()
    with pytest.raises(anyio.ClosedResourceError):
        await output[0].lines().__anext__()
    with pytest.raises(anyio.ClosedResourceError):
        await input_[1].send(b"x")


async def test_closing_in_a_cancelled_scope_closes(output):
    stream, _ = output
    number = stream.fileno()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.aclose()
    with pytest.raises(OSError):
        os.fstat(number)


async def test_one_task_at_a_time_may_receive(output):
    stream, _ = output
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.receive)
        await until(lambda: stream.is_busy)
        for call in (stream.receive, stream.lines().__anext__):
            with pytest.raises(anyio.BusyResourceError):
                await call()
        with pytest.raises(anyio.BusyResourceError):
            stream.receive_nowait()
        tasks.cancel_scope.cancel()


async def test_one_task_at_a_time_may_send(input_):
    _, stream = input_
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.send, bytes(1 << 20))
        await until(lambda: stream.is_busy)
        with pytest.raises(anyio.BusyResourceError):
            await stream.send(b"x")
        tasks.cancel_scope.cancel()


async def test_cancelling_a_receive_loses_nothing(output):
    stream, writer = output
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.receive)
        await until(lambda: stream.is_busy)
        os.write(writer, b"kept")
        tasks.cancel_scope.cancel()
    assert not stream.is_busy
    assert await stream.receive() == b"kept"


async def test_cancelled_before_it_begins_a_receive_takes_nothing(output):
    stream, writer = output
    os.write(writer, b"kept")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.receive()
    assert await stream.receive() == b"kept"


async def test_all_of_a_large_item_is_sent_to_a_slow_reader(input_):
    reader, stream = input_
    data = os.urandom(1 << 20)
    got = bytearray()
    os.set_blocking(reader, False)

    async def read_slowly():
        while len(got) < len(data):
            await anyio.wait_readable(reader)
            got.extend(os.read(reader, 10_000))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_slowly)
        await stream.send(memoryview(data).cast("I"))
    assert got == data


async def test_sending_to_nobody_is_a_broken_stream(input_):
    reader, stream = input_
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            _expect, anyio.BrokenResourceError, stream.send, bytes(1 << 20)
        )
        await until(lambda: stream.is_busy)
        os.close(reader)
    with pytest.raises(anyio.BrokenResourceError):
        await stream.send(b"x")


async def test_sending_nothing_needs_no_reader(input_):
    reader, stream = input_
    os.close(reader)
    await stream.send(b"")


async def test_closing_the_input_is_its_end(input_):
    reader, stream = input_
    await stream.send(b"x")
    await stream.aclose()
    assert os.read(reader, 10) == b"x"
    assert os.read(reader, 10) == b""


async def test_only_our_end_is_non_blocking(output, input_):
    stream, writer = output
    reader, sender = input_
    assert not os.get_blocking(stream.fileno())
    assert not os.get_blocking(sender.fileno())
    assert os.get_blocking(writer)
    assert os.get_blocking(reader)


async def test_a_socket_works_both_ways():
    ours, theirs = socket.socketpair()
    with theirs:
        number = ours.detach()
        sender, receiver = SendStream(os.dup(number)), ReceiveStream(number)
        await sender.send(b"ping")
        assert theirs.recv(10) == b"ping"
        theirs.sendall(b"pong")
        assert await receiver.receive() == b"pong"
        theirs.close()
        with pytest.raises(anyio.EndOfStream):
            await receiver.receive()
        receiver.close()
        sender.close()


async def test_a_quiet_pipe_is_left_as_it_is_and_a_busy_one_grows(output):
    stream, writer = output
    size = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    os.write(writer, b"x")
    await stream.receive()
    assert fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) == size
    moved = 0
    while moved < BUSY_PIPE_BYTES:
        moved += os.write(writer, bytes(4096))
        await stream.receive()
    assert fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) == BUSY_PIPE_BYTES


@pytest.mark.parametrize("max_bytes", [1, CHUNK_BYTES])
async def test_a_flood_lets_other_tasks_run(max_bytes):
    """The source here is always readable, so a receive never has to wait."""
    stream = ReceiveStream(os.open("/dev/zero", os.O_RDONLY))
    turns = 0
    running = True

    async def other():
        nonlocal turns
        while running:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        for _ in range(2000):
            await stream.receive(max_bytes)
        running = False
    assert turns >= 10
    stream.close()


async def test_a_flood_can_be_cancelled():
    stream = ReceiveStream(os.open("/dev/zero", os.O_RDONLY))
    with anyio.move_on_after(0.01) as scope:
        async for _ in stream:
            pass
    assert scope.cancelled_caught
    stream.close()


async def test_a_stream_never_closed_is_reported():
    reader, writer = os.pipe()
    stream = ReceiveStream(reader)
    with pytest.warns(ResourceWarning, match="never closed"):
        del stream
    with pytest.raises(OSError):
        os.fstat(reader)
    os.close(writer)


async def test_a_bad_descriptor_is_refused_at_once():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError):
            ReceiveStream(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1)


# Lines


@pytest.mark.parametrize(
    ("writes", "lines"),
    [
        pytest.param([b""], [], id="nothing"),
        pytest.param([b"a\n"], [b"a\n"], id="one"),
        pytest.param([b"a"], [b"a"], id="no newline at the end"),
        pytest.param([b"a\nb\n\nc"], [b"a\n", b"b\n", b"\n", b"c"], id="empty line"),
        pytest.param([b"a", b"b\nc", b"\n"], [b"ab\n", b"c\n"], id="in parts"),
        pytest.param(
            [b"a\r\n\rb\x85\x0b\n"], [b"a\r\n", b"\rb\x85\x0b\n"], id="only NL"
        ),
    ],
)
async def test_lines_are_what_newlines_end(output, writes, lines):
    stream, writer = output
    got = []

    async def collect():
        got.extend([line async for line in stream.lines()])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect)
        for part in writes:
            os.write(writer, part)
            await until(lambda: pending_bytes(writer) == 0 and stream.is_busy)
        os.close(writer)
    assert got == lines


async def _produce(writer, data):
    os.set_blocking(writer, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(writer, view[: 1 << 16]) :]
        except BlockingIOError:
            await anyio.wait_writable(writer)
    os.close(writer)


async def test_a_line_may_be_longer_than_any_buffer(output):
    stream, writer = output
    long = b"x" * 5_000_000 + b"\n"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_produce, writer, b"a\n" + long + b"b\n")
        got = [line async for line in stream.lines()]
    assert [len(line) for line in got] == [2, len(long), 2]
    assert got[1] == long


@pytest.mark.parametrize(
    ("data", "limit", "lines"),
    [
        pytest.param(b"abcd\nef\n", 4, [b"abcd\n", b"ef\n"], id="just fits"),
        pytest.param(b"abcde\nef\n", 4, [b"abcd", b"ef\n"], id="one too long"),
        pytest.param(b"abcde", 4, [b"abcd"], id="too long and last"),
        pytest.param(b"abcd", 4, [b"abcd"], id="fits and last"),
        pytest.param(
            b"x" * 300_000 + b"\nef\n" + b"y" * 300_000,
            4,
            [b"xxxx", b"ef\n", b"yyyy"],
            id="longer than chunks",
        ),
        pytest.param(
            b"x" * 300_000 + b"\nef\n", 200_000, [b"x" * 200_000, b"ef\n"], id="large"
        ),
    ],
)
async def test_lines_over_the_limit_are_cut_or_refused(data, limit, lines):
    async def read(on_long):
        reader, writer = os.pipe()
        async with ReceiveStream(reader) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(_produce, writer, data)
            iterator = stream.lines(limit, on_long=on_long)
            while True:
                try:
                    yield await anext(iterator)
                except anyio.DelimiterNotFound:
                    yield None
                except StopAsyncIteration:
                    return

    assert [line async for line in read("truncate")] == lines
    refused = [
        line if line.endswith(b"\n") or len(line) < limit or data == line else None
        for line in lines
    ]
    assert [line async for line in read("raise")] == refused


async def test_a_limit_bounds_memory(output):
    stream, writer = output
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_produce, writer, bytes(20_000_000) + b"\nend\n")
        tracemalloc.start()
        try:
            got = [line async for line in stream.lines(1000, on_long="truncate")]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert got == [bytes(1000), b"end\n"]
    assert peak < 2_000_000


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_must_be_positive(output, limit):
    with pytest.raises(ValueError, match="limit_bytes"):
        output[0].lines(limit)


async def test_leaving_the_loop_early_loses_nothing(output):
    stream, writer = output
    os.write(writer, b"one\ntwo\nthree\nfour\nfi")
    async for line in stream.lines():
        assert line == b"one\n"
        break
    assert await anext(stream.lines()) == b"two\n"
    assert stream.has_read_ahead
    assert await stream.receive(3) == b"thr"
    buffer = bytearray(4)
    assert await stream.receive_into(buffer) == 4
    assert buffer == b"ee\nf"
    assert await stream.receive() == b"our\nfi"


async def test_a_cancelled_line_keeps_its_start(output):
    stream, writer = output
    os.write(writer, b"sta")
    lines = stream.lines()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lines.__anext__)
        await until(lambda: stream.has_read_ahead and stream.is_busy)
        tasks.cancel_scope.cancel()
    os.write(writer, b"rt\n")
    assert await anext(lines) == b"start\n"


async def test_closing_the_line_iterator_leaves_the_stream_open(output):
    stream, writer = output
    os.write(writer, b"a\nb\n")
    lines = stream.lines()
    await anext(lines)
    await lines.aclose()
    assert await stream.receive() == b"b\n"


async def test_lines_in_memory_let_other_tasks_run(output):
    stream, writer = output
    os.write(writer, b"\n" * (LINES_PER_TURN * 3))
    os.close(writer)
    turns = 0
    running = True

    async def other():
        nonlocal turns
        while running:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        count = len([line async for line in stream.lines()])
        running = False
    assert count == LINES_PER_TURN * 3
    assert turns >= 2


async def test_a_long_line_takes_no_more_than_a_few_times_as_long_as_its_bytes():
    """Joining or searching again for each chunk would take a hundred times as long."""
    size = 40_000_000

    async def take_line(stream):
        assert len(await anext(stream.lines())) == size

    async def take_chunks(stream):
        async for _ in stream:
            pass

    async def seconds(take):
        reader, writer = os.pipe()
        async with ReceiveStream(reader) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(_produce, writer, bytes(size))
            began = time.process_time()
            await take(stream)
            return time.process_time() - began

    assert await seconds(take_line) < 20 * await seconds(take_chunks) + 0.5
