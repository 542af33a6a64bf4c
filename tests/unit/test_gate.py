"""What a starter hears of a process behind the gate that ends before its program."""

import _socket
import socket

import anyio
import pytest

from aiocontainer.errors import ExecError, HandshakeError, SetupError
from aiocontainer.oci import starting
from aiocontainer.proc import init_pipe
from aiocontainer.proc.gate import open_gate

WORDS = {
    "a step": (init_pipe.encode_failed(3, 0, b"", "exit status 3: why"), SetupError),
    "the exec": (init_pipe.encode_failed(9, 2, b"/x", "from execve(2)"), ExecError),
    "none": (b"", HandshakeError),
}


@pytest.fixture(params=WORDS)
def words(request):
    return WORDS[request.param]


def end(theirs, message):
    """End, as the kernel sees it, with the GO not taken."""
    if message:
        theirs.send(message)
    theirs.close()


@pytest.mark.anyio
async def test_its_last_words_are_heard_though_it_has_ended(words):
    message, error = words
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end_after_go, theirs, message)
        with pytest.raises(error):
            await open_gate(ours.detach(), "program")


async def end_after_go(theirs, message):
    theirs.setblocking(False)
    await anyio.wait_readable(theirs)
    end(theirs, message)  # both before the other side gets to run


def test_the_runtime_hears_them_too(words, monkeypatch):
    message, error = words
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    class Late(_socket.socket):
        """Comes to hear it only after the end."""

        def recv(self, size):
            if theirs.fileno() >= 0:
                end(theirs, message)
            return super().recv(size)

    monkeypatch.setattr(starting._socket, "socket", Late)
    with pytest.raises(error):
        starting.open_gate(ours.detach(), "program")
