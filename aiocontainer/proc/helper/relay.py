"""A child that asks the kernel by netlink for the program, and waits for it.

There is one lock in the kernel for all changes of networks (RTNL), which some of them
hold for 30 ms: the removal of an interface, or of a namespace that has any. The event
loop of the program is not to wait for that inside a system call.
"""

from __future__ import annotations

import _socket
import os
import select

from ..._sys import constants as c
from ..._sys import identity
from ..._sys.descriptors import close_others
from ..._sys.libc import call
from ..._sys.namespaces import clone, setns
from .. import init_pipe
from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_SOL_NETLINK = 270
_OPTIONS = (10, 11, 12)  # NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK
_BUFFER_BYTES = 1 << 17


def start(descriptors: list[int], adopt: Callable[[int], None]) -> None:
    """Make one for a socket pair (for our network namespace), or for two and a pidfd
    (the second for that process's). It ends with the program's end of the first; its
    pidfd is the adopter's."""
    pid, pidfd = clone(c.CLONE_PARENT)
    if pid == 0:
        _serve(descriptors[:2], descriptors[2] if len(descriptors) > 2 else -1)
    adopt(pidfd)
    hello = init_pipe.encode_hello(init_pipe.INTERMEDIATE, pid)
    wire.send_descriptor(descriptors[0], hello, pidfd)


def _serve(pipes: list[int], pidfd: int) -> NoReturn:
    try:
        close_others((*pipes, pidfd) if pidfd >= 0 else pipes)
        identity.set_dumpable(False)
        pairs = {}
        poll = select.poll()
        for number, pipe in enumerate(pipes):
            if number:
                setns(pidfd, c.CLONE_NEWNET)
            kernel = _open()
            program = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, pipe)
            pairs[kernel.fileno()] = (kernel, program)
            pairs[program.fileno()] = (program, kernel)
            poll.register(kernel.fileno(), select.POLLIN)
            poll.register(program.fileno(), select.POLLIN)
        pairs[pipes[0]][0].send(init_pipe.READY, _socket.MSG_NOSIGNAL)
        while True:
            for number, _ in poll.poll():
                source, target = pairs[number]
                data = source.recv(_BUFFER_BYTES)
                if not data:
                    os._exit(0)
                target.send(data, _socket.MSG_NOSIGNAL)
    except OSError as error:
        wire.report(pipes[0], -1, error)
    finally:
        os._exit(0)


def _open() -> _socket.socket:
    kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
    sock: _socket.socket = call("socket", _socket.socket, _socket.AF_NETLINK, kind, 0)
    call("bind", sock.bind, (0, 0))
    for option in _OPTIONS:
        call("setsockopt", sock.setsockopt, _SOL_NETLINK, option, 1)
    return sock
