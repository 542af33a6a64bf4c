"""What may be given as stdin, stdout and stderr, and what becomes of it."""

import contextlib
import errno
import fcntl
import io
import os
import resource
import socket
import subprocess
import sys
import tempfile

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.errors import ConfigError
from aiocontainer.proc.stdio import DEVNULL, PIPE, STDOUT, open_stdio
from aiocontainer.proc.streams import ReceiveStream, SendStream
from aiocontainer.proc.terminal import Terminal

PARENT_ENDS = ("stdin", "stdout", "stderr")


def descriptors():
    """{number: what it is} of this process."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the directory's own
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


@pytest.fixture(autouse=True)
def nothing_left_open():
    before = descriptors()
    yield
    assert descriptors() == before


@pytest.fixture
def file():
    with tempfile.TemporaryFile() as opened:
        yield opened


def run(stdio, script):
    """Run a shell script on the descriptors, as the helper does."""
    stdin, stdout, stderr = stdio.child
    child = subprocess.Popen(
        ["sh", "-c", script], stdin=stdin, stdout=stdout, stderr=stderr
    )
    stdio.close_child()
    return child


def everything(stream):
    os.set_blocking(stream.fileno(), True)
    with open(stream.fileno(), "rb", closefd=False) as reader:
        return reader.read()


def test_the_constants_are_those_of_subprocess():
    assert (PIPE, DEVNULL, STDOUT) == (
        subprocess.PIPE,
        subprocess.DEVNULL,
        subprocess.STDOUT,
    )


def test_pipes_reach_the_program():
    stdio = open_stdio(PIPE, PIPE, PIPE)
    with run(stdio, "cat; echo error >&2"):
        os.write(stdio.stdin.fileno(), b"input")
        stdio.stdin.close()
        assert everything(stdio.stdout) == b"input"
        assert everything(stdio.stderr) == b"error\n"
    stdio.close()


def test_only_the_parent_ends_of_pipes_are_non_blocking():
    stdio = open_stdio(PIPE, PIPE, PIPE)
    assert all(os.get_blocking(number) for number in stdio.child)
    for name in PARENT_ENDS:
        assert not os.get_blocking(getattr(stdio, name).fileno())
    stdio.close()


@pytest.mark.parametrize("source", [PIPE, DEVNULL], ids=["PIPE", "DEVNULL"])
def test_all_that_is_opened_is_closed_on_exec(source):
    before = descriptors()
    stdio = open_stdio(source, source, source)
    opened = descriptors().keys() - before.keys()
    assert opened
    assert not any(os.get_inheritable(number) for number in opened)
    stdio.close()


def test_stderr_may_go_where_stdout_goes():
    stdio = open_stdio(DEVNULL, PIPE, STDOUT)
    assert stdio.child[1] == stdio.child[2]
    assert stdio.stderr is None
    with run(stdio, "echo out; echo error >&2"):
        assert everything(stdio.stdout) == b"out\nerror\n"
    stdio.close()


def test_stderr_follows_an_inherited_stdout():
    stdio = open_stdio(None, None, STDOUT)
    assert stdio.child == (0, 1, 1)
    stdio.close()


def test_nothing_given_is_the_callers_own():
    stdio = open_stdio(None, None, None)
    assert stdio.child == (0, 1, 2)
    assert (stdio.stdin, stdio.stdout, stdio.stderr) == (None, None, None)
    stdio.close_child()
    stdio.close()


def test_what_took_the_number_of_a_closed_stream_is_not_given():
    kept = os.dup(0)
    try:
        os.close(0)
        taken = os.open("/dev/zero", os.O_RDONLY)
        stdio = open_stdio(None, None, None)
        assert taken == 0
        with open(f"/proc/self/fd/{stdio.child[0]}") as given:
            assert os.path.realpath(f"/proc/self/fd/{given.fileno()}") == "/dev/null"
        assert stdio.child[1:] == (1, 2)
        stdio.close_child()
        stdio.close()
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_devnull_is_empty_and_swallows():
    stdio = open_stdio(DEVNULL, DEVNULL, DEVNULL)
    with run(stdio, "cat && echo x && echo y >&2") as child:
        assert child.wait() == 0


def test_a_descriptor_and_a_file_are_passed_and_stay_the_callers(file):
    stdio = open_stdio(DEVNULL, file.fileno(), file)
    assert stdio.child[1:] == (file.fileno(), file.fileno())
    with run(stdio, "echo out; echo error >&2"):
        pass
    stdio.close()
    file.seek(0)
    assert file.read() == b"out\nerror\n"


def test_a_socket_is_passed():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stdio = open_stdio(theirs, theirs, DEVNULL)
        ours.send(b"x")
        ours.shutdown(socket.SHUT_WR)
        with run(stdio, "cat"):
            assert ours.recv(10) == b"x"


def test_a_terminal_takes_the_place_of_all_three():
    stdio = open_stdio(None, None, None, terminal=True)
    assert stdio.child is None
    stdio.close()


@pytest.mark.parametrize("field", range(3), ids=PARENT_ENDS)
def test_with_a_terminal_nothing_else_may_be_given(field):
    sources = [None, None, None]
    sources[field] = PIPE
    with pytest.raises(ConfigError) as caught:
        open_stdio(*sources, terminal=True)
    assert caught.value.field == PARENT_ENDS[field]


def test_a_terminal_of_the_caller_is_told():
    master, slave = os.openpty()
    stdio = open_stdio(slave, DEVNULL, slave)
    assert stdio.caller_terminals == ("stdin", "stderr")
    stdio.close()
    os.close(master)
    os.close(slave)


class Raises:
    def fileno(self):
        raise RuntimeError("no")


def closed_file():
    with tempfile.TemporaryFile() as opened:
        return opened


def closed_stream():
    reader, writer = os.pipe()
    os.close(writer)
    stream = ReceiveStream(reader)
    stream.close()
    return stream


@pytest.mark.parametrize("field", range(3), ids=PARENT_ENDS)
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param(lambda: 100_000, "not open", id="closed descriptor"),
        pytest.param(lambda: 1 << 40, "not open", id="huge number"),
        pytest.param(lambda: -7, "not a descriptor", id="negative"),
        pytest.param(lambda: True, "not a descriptor", id="bool"),
        pytest.param(lambda: "out.txt", "str", id="path"),
        pytest.param(lambda: b"data", "input=", id="bytes"),
        pytest.param(lambda: 1.5, "float", id="float"),
        pytest.param(object, "object", id="object"),
        pytest.param(lambda: io.BytesIO(b""), "no descriptor", id="BytesIO"),
        pytest.param(Raises, "no descriptor", id="fileno that raises"),
        pytest.param(closed_file, "no descriptor", id="closed file"),
        pytest.param(socket.SocketType, "no descriptor", id="closed socket"),
        pytest.param(closed_stream, "no descriptor", id="closed stream"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(field, source, reason):
    given = source()
    if isinstance(given, socket.SocketType):
        given.close()
    sources = [PIPE, PIPE, PIPE]
    sources[field] = given
    before = descriptors()
    with pytest.raises(ConfigError, match=reason) as caught:
        open_stdio(*sources)
    assert caught.value.field == PARENT_ENDS[field]
    assert descriptors() == before


@pytest.mark.parametrize("field", ["stdin", "stdout"])
def test_only_stderr_may_be_joined_to_stdout(field):
    with pytest.raises(ConfigError, match="stderr only") as caught:
        open_stdio(*(STDOUT if name == field else None for name in PARENT_ENDS))
    assert caught.value.field == field


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH], ids=["open", "O_PATH"])
def test_a_directory_is_never_passed(flags):
    """It would be a way out of the container: openat(0, "..")."""
    directory = os.open("/", flags | os.O_DIRECTORY)
    with pytest.raises(ConfigError, match="a directory"):
        open_stdio(directory, None, None)
    os.close(directory)


@pytest.mark.parametrize(
    ("field", "flags"),
    [("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stdin", os.O_PATH)],
)
def test_a_descriptor_that_cannot_be_used_that_way_is_refused(field, flags):
    number = os.open("/dev/null", flags)
    with pytest.raises(ConfigError) as caught:
        open_stdio(*(number if name == field else None for name in PARENT_ENDS))
    assert caught.value.field == field
    os.close(number)


@pytest.mark.parametrize("room", range(6))
def test_without_descriptors_left_nothing_stays_open(room):
    """Three pipes take six descriptors; here are fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = descriptors()
    free = sorted(set(range(3, max(before) + 10)) - before.keys())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[room], hard))
        with pytest.raises(OSError) as caught:
            open_stdio(PIPE, PIPE, PIPE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
    assert descriptors() == before


def test_closing_twice_closes_nothing_else():
    stdio = open_stdio(PIPE, PIPE, DEVNULL)
    numbers = stdio.child
    stdio.close_child()
    taken = os.open("/dev/null", os.O_RDONLY)  # the lowest number of those
    assert taken in numbers
    stdio.close_child()
    stdio.close()
    stdio.close()
    os.fstat(taken)
    os.close(taken)


CLOSED_STDIO = """
import os, sys
sys.path[:0] = {path!r}
os.close(0); os.close(1)
from aiocontainer.proc.stdio import PIPE, open_stdio
piped = open_stdio(PIPE, PIPE, PIPE)
numbers = [*piped.child, *(s.fileno() for s in (piped.stdin, piped.stdout))]
own = open_stdio(None, None, None)
nulls = [os.readlink(f"/proc/self/fd/{{n}}") for n in own.child[:2]]
flags = [os.get_inheritable(n) for n in numbers]
piped.close(); own.close()
sys.exit(0 if min(numbers) > 2 and nulls == ["/dev/null"] * 2 and not any(flags) else
         f"{{numbers}} {{nulls}} {{flags}}")
"""


def test_a_caller_with_closed_descriptors_never_passes_pipes_in_their_place():
    script = CLOSED_STDIO.format(path=sys.path)
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE)
    assert done.stderr == b""
    assert done.returncode == 0


def test_a_stream_of_one_process_becomes_the_input_of_another():
    first = open_stdio(DEVNULL, PIPE, None)
    with run(first, "echo one; echo two"):
        second = open_stdio(first.stdout, PIPE, None)
        assert os.get_blocking(second.child[0])
        with pytest.raises(anyio.ClosedResourceError):
            first.stdout.fileno()
        with run(second, "read line; echo got $line"):
            assert everything(second.stdout) == b"got one\n"
    first.close()
    second.close()


def test_two_outputs_may_go_to_the_input_of_another():
    first = open_stdio(PIPE, PIPE, None)
    with run(first, "cat"):
        second = open_stdio(DEVNULL, first.stdin, first.stdin)
        with run(second, "echo out; echo error >&2"):
            pass
        assert everything(first.stdout) == b"out\nerror\n"
    first.close()
    second.close()


def test_a_stream_handed_over_to_a_start_that_failed_is_the_callers_again():
    reader, writer = os.pipe()
    stream = ReceiveStream(reader)
    stdio = open_stdio(stream, DEVNULL, DEVNULL)
    stdio.close()
    assert stream.fileno() == reader
    assert not os.get_blocking(reader)
    stream.close()
    os.close(writer)


def test_a_stream_partly_read_as_lines_is_refused():
    async def main():
        reader, writer = os.pipe()
        os.write(writer, b"a\nb\n")
        os.close(writer)
        async with ReceiveStream(reader) as stream:
            await anext(stream.lines())
            with pytest.raises(ConfigError, match="already read"):
                open_stdio(stream, None, None)

    anyio.run(main)


def test_a_stream_that_a_task_waits_in_is_refused():
    async def main():
        reader, writer = os.pipe()
        stream = SendStream(writer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.send, bytes(1 << 20))
            with anyio.fail_after(5):
                while not stream.is_busy:
                    await anyio.lowlevel.checkpoint()
            with pytest.raises(ConfigError, match="waiting"):
                open_stdio(None, stream, None)
            tasks.cancel_scope.cancel()
        stream.close()
        os.close(reader)

    anyio.run(main)


def test_the_terminal_of_another_process_is_refused():
    master, slave = os.openpty()
    terminal = Terminal(master)
    with pytest.raises(ConfigError, match="terminal"):
        open_stdio(terminal, None, None)
    terminal.close()
    os.close(slave)


def test_the_flags_of_a_given_descriptor_are_left_alone(file):
    before = fcntl.fcntl(file, fcntl.F_GETFL), fcntl.fcntl(file, fcntl.F_GETFD)
    open_stdio(file, file, STDOUT).close()
    assert (
        fcntl.fcntl(file, fcntl.F_GETFL),
        fcntl.fcntl(file, fcntl.F_GETFD),
    ) == before
