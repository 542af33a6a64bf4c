"""S11: a container writes nothing into the input of somebody else's terminal."""

import fcntl
import json
import os
import struct
import termios
import tty
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, Container
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, python_config

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


INJECT = r"""
import ctypes, fcntl, json, os, termios
libc = ctypes.CDLL(None, use_errno=True)
said = []
def attempt(name, descriptor, request, argument):
    buffer = ctypes.create_string_buffer(argument)
    ctypes.set_errno(0)
    answer = libc.syscall(ctypes.c_long(16), ctypes.c_long(descriptor),
                          ctypes.c_ulong(request), buffer)
    said.append([name, answer, ctypes.get_errno()])
names = {0: "stdin", 1: "stdout", 2: "stderr"}
for path in ("/dev/tty", "/dev/console", "/dev/pts/0"):
    try:
        names[os.open(path, os.O_RDWR | os.O_NOCTTY)] = path
    except OSError:
        pass
for descriptor, name in names.items():
    for high in (0, 1 << 32, 0xFFFFFFFF << 32):
        attempt("TIOCSTI " + name, descriptor, 0x5412 | high, b"!")
        attempt("TIOCLINUX " + name, descriptor, 0x541C | high, b"\3")
os.write(3, json.dumps(said).encode())
"""


def unread(descriptor: int) -> int:
    """Bytes that wait in a terminal's input."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", answer)[0])


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="number of ioctl(2)")
@pytest.mark.parametrize("given", ["the caller's", "its own"])
async def test_nothing_can_be_typed_for_others(given: str) -> None:
    """By TIOCSTI or TIOCLINUX, with garbage in the half of the request that the kernel
    doesn't look at and a filter might (CVE-2019-7303)."""
    master, slave = os.openpty()
    tty.setraw(slave)
    reader, writer = os.pipe()
    report = os.dup2(writer, 100)
    config = python_config()
    try:
        async with Container(config) as container:
            code = INJECT.replace("os.write(3,", f"os.write({report},")
            args = [PYTHON, "-I", "-c", code]
            if given == "its own":
                process = await container.start(args, terminal=True, pass_fds=[report])
            else:
                process = await container.start(
                    args, stdin=slave, stdout=slave, stderr=slave, pass_fds=[report]
                )
            assert await process.wait() == 0
        said = json.loads(os.read(reader, 65536))
        assert len(said) > 17
        assert [entry for entry in said if entry[1] != -1 or entry[2] != 1] == []
        assert unread(slave) == 0
    finally:
        for descriptor in (master, slave, reader, writer, report):
            os.close(descriptor)


async def test_a_given_terminal_does_not_become_the_containers(rootfs: Path) -> None:
    """It would get the signals of the caller's keyboard, and could take it over."""
    master, slave = os.openpty()
    try:
        script = "cat /proc/self/stat; : < /dev/tty && echo opened; tty"
        async with Container(Config(rootfs=rootfs)) as container:
            result = await container.run(["sh", "-c", script], stdin=slave)
    finally:
        os.close(master)
        os.close(slave)
    said = result.stdout.decode()
    pid, _, rest = said.partition(" ")
    _, _, _, session, terminal, *_ = rest.rpartition(") ")[2].split()
    assert terminal == "0"
    assert session in (pid, str(int(pid) - 1))
    assert "opened" not in said
    assert "No such device or address" in result.stderr.decode()
