"""The memory of a caller: read and written as far as it is there, and its own."""

import errno
import os
import signal
import struct
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    Container,
    Return,
    SyscallCall,
)
from aiocontainer.proc.syscall_call import Answer
from tests.support.capabilities import needs
from tests.support.shells import gone
from tests.support.syscalls import (
    TRY,
    asking,
    python,
    told,
)

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "seccomp"),
]


@pytest.fixture
def config(rootfs: Path) -> Config:
    return asking(rootfs)


@pytest.fixture
def anyio_backend() -> Any:
    """What is tested is the same on every event loop."""
    return "asyncio", {}


MEMORY = (
    TRY
    + """
import mmap
area = mmap.mmap(-1, 3 * 4096)
base = ctypes.addressof(ctypes.c_char.from_buffer(area))
libc.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t
libc.munmap(base + 8192, 4096)
area[:8192] = b"a" * 8192
"""
)


@pytest.mark.parametrize(
    ("where", "outcome"),
    [
        pytest.param("base + 8192 - 4", "aaa", id="ends at the end of a page"),
        pytest.param("base + 8192 - 5000", "a" * 4095, id="over two pages"),
        pytest.param("base", "ENAMETOOLONG", id="longer than a path may be"),
        pytest.param("base + 8192", "EFAULT", id="unmapped"),
        pytest.param("2**64 - 10", "EFAULT", id="kernel"),
        pytest.param("0", "EFAULT", id="null"),
    ],
)
async def test_strings_are_read_to_their_end_and_no_further(
    where: str, outcome: str
) -> None:
    heard: list[str] = []

    async def decide(call: SyscallCall) -> Answer:
        try:
            heard.append(await call.read_path(call.args[0]))
        except OSError as error:
            heard.append(errno.errorcode[error.errno or 0])
        return Return(0)

    source = (
        MEMORY
        + f"""
if {where} == base + 8192 - 4: area[8191:8192] = bytes(1)
if {where} == base + 8192 - 5000: area[8192 - 5000 + 4095:8192 - 5000 + 4096] = bytes(1)
call(83, ctypes.c_void_p({where}), 0)
print(0)
"""
    )
    await told(python("mkdir"), source, on_syscall=decide)
    assert heard == [outcome]


async def test_what_a_call_would_write_can_be_written() -> None:
    """uname(2), answered for another machine."""

    async def decide(call: SyscallCall) -> Answer:
        names = [b"Other", b"host", b"9.9", b"#1", b"pdp11", b"nowhere"]
        fields = [name.ljust(65, b"\0") for name in names]
        await call.write(call.args[0], b"".join(fields))
        return Return(0)

    source = "import json, os; print(json.dumps(os.uname()))"
    got = await told(python("uname"), source, on_syscall=decide)
    assert got == ["Other", "host", "9.9", "#1", "pdp11"]


async def test_bytes_are_read_all_or_not_at_all() -> None:
    async def decide(call: SyscallCall) -> Answer:
        first = struct.unpack("=Q", await call.read(call.args[0], 8))[0]
        with pytest.raises(OSError, match="Bad address"):
            await call.read(call.args[1], 8192)
        with pytest.raises(OSError, match="Bad address"):
            await call.write(call.args[1] + 4096, b"x")
        with pytest.raises(ValueError, match="size"):
            await call.read(call.args[0], 1 << 30)
        return Return(first)

    source = (
        MEMORY
        + """
number = ctypes.c_uint64(12345)
print(json.dumps(call(83, ctypes.byref(number), ctypes.c_void_p(base + 4096))))
"""
    )
    got = await told(python("mkdir"), source, on_syscall=decide)
    assert got == [12345, 0]


async def test_pids_that_were_reused_are_not_taken_for_the_caller(
    config: Config,
) -> None:
    """A call that is over reads nobody's memory, whoever has its pid by now."""
    async with Container(config) as container:
        await container.run(["true"])
        process = await container.start(["mkdir", "/tmp/a"])
        assert process.syscalls is not None
        call = await anext(process.syscalls)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await gone(call.pid)
        object.__setattr__(
            call, "_notification", call._notification._replace(pid=os.getpid())
        )
        with pytest.raises(ProcessLookupError):
            await call.read(call.args[0], 1)
        call.deny()
