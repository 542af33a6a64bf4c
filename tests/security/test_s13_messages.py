"""S13: what comes back from a helper is read as untrusted, in bounded pieces."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocontainer import ContainerError
from aiocontainer.proc import failures, handshake, init_pipe
from tests.support.plans import PLAN

FAILED = [
    pytest.param(b"F", id="nothing"),
    pytest.param(b"F\0\0\0", id="empty fields"),
    pytest.param(b"F1\0" + b"2", id="cut short"),
    pytest.param(b"Fx\x00y\x00\x00", id="no numbers"),
    pytest.param(b"F" + b"9" * 5000 + b"\x001\x00\x00", id="a step of 5000 digits"),
    pytest.param(b"F0\x00" + b"9" * 18 + b"\x00/x\x00y", id="a huge errno"),
    pytest.param(b"F-7\x00-1\x00\xff\xfe\x00\xff", id="negative, no text"),
    pytest.param(b"F999\x001\x00/x\x00y", id="a step that isn't there"),
]


@pytest.mark.parametrize("message", FAILED)
def test_odd_last_words_make_a_typed_error(message: bytes) -> None:
    assert isinstance(failures.failure_of(PLAN, message), ContainerError)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_last_words_make_a_typed_error(data: bytes) -> None:
    error = failures.failure_of(PLAN, b"F" + data)
    assert isinstance(error, ContainerError)
    assert str(error)


@given(
    st.integers(-1, 50),
    st.integers(0, 133),
    st.binary(max_size=9000),
    st.text(max_size=9000),
)
@settings(max_examples=100, deadline=None)
def test_what_a_helper_says_fits_and_is_understood(
    step: int, code: int, path: bytes, reason: str
) -> None:
    message = init_pipe.encode_failed(step, code, path, reason)
    assert len(message) <= init_pipe.MAX_MESSAGE
    decoded = init_pipe.decode_failed(message)
    assert decoded[:2] == (step, code)


def test_messages_are_bounded_and_ancillary_data_too() -> None:
    """Whatever is sent, what is received takes this much and no more."""
    ours, theirs = socket.socketpair(
        socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
    )
    with ours, theirs:
        theirs.send(b"F" + b"x" * 100_000)
        message, _, _, _ = ours.recvmsg(
            init_pipe.MAX_MESSAGE, handshake._ANCILLARY, socket.MSG_CMSG_CLOEXEC
        )
        assert len(message) == init_pipe.MAX_MESSAGE
    assert handshake._ANCILLARY < 256
