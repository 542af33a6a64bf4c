"""Messages of netlink: what the kernel's answers are taken for."""

import errno
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_interface

import anyio
import pytest

from aiocontainer.network import links, lock
from aiocontainer.network.netlink import NLM_F_ACK, Netlink, split
from tests.support.networks import own_network

HEADER = struct.Struct("=IHHII")


def message(kind: int, body: bytes, sequence: int = 1, flags: int = 0) -> bytes:
    data = HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body
    return data + bytes(-len(data) % 4)


def refusal(code: int, sequence: int = 1, text: str = "") -> bytes:
    body = struct.pack("=i", -code) + HEADER.pack(HEADER.size, 16, 0, sequence, 0)
    flags = 0x100  # NLM_F_CAPPED
    if text:
        words = text.encode() + b"\0"
        body += struct.pack("=HH", 4 + len(words), 1) + words + bytes(-len(words) % 4)
        flags |= 0x200  # NLM_F_ACK_TLVS
    return message(2, body, sequence, flags)


class Answering(Netlink):
    """A netlink socket whose kernel is a test."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        ours, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(_Unbound(ours))
        self._answer = answer

    async def exchange(self, flags: int = NLM_F_ACK) -> list[bytes]:
        for data in self._answer(b""):
            self.kernel.send(data)
        return await self.ask(links.upped(1), links.RTM_NEWLINK, flags)


class _Unbound(socket.socket):
    """A socket of another family that takes what a netlink socket takes."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(fileno=sock.detach())

    def bind(self, address: object) -> None:
        pass

    def setsockopt(self, *options: object) -> None:  # type: ignore[override]
        pass


def asked(answers: list[bytes], flags: int = NLM_F_ACK) -> list[bytes]:
    async def main() -> list[bytes]:
        with Answering(lambda _: answers) as net, net.kernel, anyio.fail_after(2):
            return await net.exchange(flags)

    return anyio.run(main)


def test_an_acknowledgement_ends_a_request() -> None:
    assert asked([refusal(0)]) == []


def test_answers_to_earlier_requests_are_passed_over() -> None:
    assert asked([refusal(0, sequence=99), refusal(0)]) == []


def test_a_dump_is_all_up_to_its_end_over_several_datagrams() -> None:
    one, two, three = (message(16, bytes([n]) * 4) for n in range(3))
    assert asked([one + two, three + message(3, bytes(4))], 0x300) == [one, two, three]


def test_a_get_is_one_message() -> None:
    one = message(16, b"1234")
    assert asked([one], 0) == [one]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EEXIST, FileExistsError),
        (errno.EPERM, PermissionError),
        (errno.ENODEV, OSError),
    ],
)
def test_a_refusal_is_the_os_error_of_its_number(code: int, kind: type) -> None:
    with pytest.raises(kind) as caught:
        asked([refusal(code)])
    assert caught.value.errno == code


def test_the_kernels_words_are_in_the_error() -> None:
    with pytest.raises(OSError, match="Invalid argument: mtu is too small"):
        asked([refusal(errno.EINVAL, text="mtu is too small")])


@pytest.mark.parametrize("data", [b"", b"123", bytes(16), bytes(40)])
def test_what_is_no_message_is_no_message(data: bytes) -> None:
    assert list(split(data)) == []


@pytest.mark.parametrize(
    ("address", "broadcast"),
    [
        ("10.0.0.2/24", "10.0.0.255"),
        ("10.0.0.2/30", "10.0.0.3"),
        ("10.0.0.2/31", None),
        ("10.0.0.2/32", None),
        ("fd00::2/64", None),
    ],
)
def test_networks_of_more_than_two_have_a_broadcast_address(
    address: str, broadcast: str | None
) -> None:
    assert links.Assigned.usual(ip_interface(address)).broadcast == broadcast


def test_no_two_network_namespaces_have_one_lock() -> None:
    before = lock.lock_path()
    with own_network():
        assert lock.lock_path() != before
    assert lock.lock_path() == before
