"""The default filter, loaded: what the kernel answers, and what still works."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from aiocontainer.config import (
    DEFAULT_CAPABILITIES,
    DEFAULT_SECCOMP,
    Seccomp,
    SyscallRule,
)
from aiocontainer.plan.filters import compile_filter
from aiocontainer.plan.syscalls import ABIS, X32_BIT

from ..support.bpf import errno_of, run
from ..support.capabilities import needs

pytestmark = [
    needs("seccomp"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64"),
]

PROBE = Path(__file__).parent.parent / "support/seccomp_probe.py"
EPERM, EBADF, EINVAL, EFAULT, ENOSYS = 1, 9, 22, 14, 38
MINUS_ONE = 2**64 - 1

# Since 6.14 the kernel doesn't ask filters about them: only its own trampolines can
# make these calls.
URETPROBE, UPROBE = 335, 336

DEFAULT = compile_filter(DEFAULT_SECCOMP, DEFAULT_CAPABILITIES.bounding).bpf


def probe(program: bytes, calls: Sequence[tuple[object, ...]]) -> list[int | None]:
    """The errno of each call under the filter, or 0."""
    request = json.dumps({"bpf": program.hex(), "calls": calls})
    done = subprocess.run(
        [sys.executable, "-I", str(PROBE)],
        input=request,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: list[int | None] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize(
    ("entry", "arch", "base"),
    [
        pytest.param("x86_64", ABIS["X86_64"].audit_arch, 0, id="x86_64"),
        pytest.param("x86_64", ABIS["X86_64"].audit_arch, X32_BIT, id="x32"),
        pytest.param("x86", ABIS["X86"].audit_arch, 0, id="x86"),
    ],
)
@pytest.mark.covers("ENOSYS for calls newer than the filter")
def test_every_refused_number_gets_the_errno_of_the_profile(
    entry: str, arch: int, base: int
) -> None:
    numbers = set(range(base, base + 600))
    if entry == "x86_64":
        numbers -= {URETPROBE, UPROBE}
    answers = {n: errno_of(run(DEFAULT, arch, n)) for n in sorted(numbers)}
    refused = {number: code for number, code in answers.items() if code is not None}
    assert len(refused) > 100
    results = probe(DEFAULT, [(entry, number) for number in refused])
    if entry == "x86" and set(results) == {None}:
        pytest.skip("this kernel has no 32-bit entry")
    assert dict(zip(refused, results, strict=True)) == refused


@pytest.mark.parametrize(
    ("number", "args", "wanted"),
    [
        pytest.param(39, (), 0, id="getpid"),
        pytest.param(0, (MINUS_ONE,), EBADF, id="read"),
        pytest.param(257, (MINUS_ONE, 0), EFAULT, id="openat"),
        pytest.param(434, (0, 0), EINVAL, id="pidfd_open"),
        pytest.param(16, (MINUS_ONE, 0x5401), EBADF, id="ioctl"),
        pytest.param(16, (MINUS_ONE, 0x5412), EPERM, id="ioctl TIOCSTI"),
        pytest.param(16, (MINUS_ONE, 1 << 32 | 0x5412), EPERM, id="TIOCSTI, high bit"),
        pytest.param(16, (MINUS_ONE, 0x541C), EPERM, id="ioctl TIOCLINUX"),
        pytest.param(41, (1, 1, 0), 0, id="socket AF_UNIX"),
        pytest.param(41, (38, 5, 0), EPERM, id="socket AF_ALG"),
        pytest.param(41, (1 << 32 | 38, 5, 0), EPERM, id="AF_ALG, high bit"),
        pytest.param(41, (40, 1, 0), EPERM, id="socket AF_VSOCK"),
        pytest.param(56, (0x10000000 | 17,), EPERM, id="clone with a user namespace"),
        pytest.param(272, (0x10000000,), EPERM, id="unshare a user namespace"),
        pytest.param(435, (0, 0), ENOSYS, id="clone3"),
        pytest.param(135, (0xFFFFFFFF,), 0, id="personality, asked"),
        pytest.param(135, (0x0040000,), EPERM, id="personality without ASLR"),
        pytest.param(444, (0, 0, 1), 0, id="landlock, version asked"),
    ],
)
def test_the_kernel_judges_arguments_as_the_profile_says(
    number: int, args: tuple[int, ...], wanted: int
) -> None:
    assert probe(DEFAULT, [("x86_64", number, *args)]) == [wanted]


ASYNCIO_PROGRAM = """
import asyncio, socket, tempfile, threading, os, signal

async def main():
    child = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
    assert await child.communicate(b"through a pipe") == (b"through a pipe", None)
    async def serve(reader, writer):
        writer.write(await reader.readline())
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"over a socket\\n")
    assert await reader.read() == b"over a socket\\n"
    writer.close()
    server.close()
    loop = asyncio.get_running_loop()
    got = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, got.set_result, "a signal")
    os.kill(os.getpid(), signal.SIGUSR1)
    assert await got == "a signal"
    assert await asyncio.to_thread(threading.get_ident)
    with tempfile.TemporaryDirectory() as folder:
        os.symlink("x", folder + "/y")

asyncio.run(main())
print("all of it")
"""


def run_filtered(program: bytes, *argv: str, cwd: Path) -> str:
    """Output of a program that runs under the filter."""
    loader = (
        "import ctypes, os, sys\n"
        "class P(ctypes.Structure):\n"
        "    _fields_ = (('n', ctypes.c_ushort), ('f', ctypes.c_char_p))\n"
        "c = ctypes.CDLL(None)\n"
        "b = bytes.fromhex(sys.argv[1])\n"
        "p = P(len(b) // 8, b)\n"
        "assert c.prctl(38, 1, 0, 0, 0) == 0\n"
        "assert c.syscall(317, 1, 0, ctypes.byref(p)) == 0\n"
        "os.execvp(sys.argv[2], sys.argv[2:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", loader, program.hex(), *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_asyncio_works_under_the_default_filter(tmp_path: Path) -> None:
    output = run_filtered(
        DEFAULT, sys.executable, "-I", "-c", ASYNCIO_PROGRAM, cwd=tmp_path
    )
    assert output == "all of it\n"


@needs("compiler")
def test_a_compiler_works_under_the_default_filter(tmp_path: Path) -> None:
    (tmp_path / "hello.c").write_text(
        '#include <stdio.h>\nint main() { puts("compiled"); }\n'
    )
    run_filtered(DEFAULT, "cc", "-O1", "hello.c", "-o", "hello", cwd=tmp_path)
    assert run_filtered(DEFAULT, "./hello", cwd=tmp_path) == "compiled\n"


def test_a_rule_of_killing_kills() -> None:
    rule = SyscallRule(names=("getppid",), action="KILL_PROCESS")
    profile = Seccomp(default_action="ALLOW", syscalls=(rule,))
    program = compile_filter(profile, frozenset()).bpf
    assert probe(program, [("x86_64", 110), ("x86_64", 39)]) == [None, 0]


def test_the_longest_filter_that_we_let_pass_is_taken_by_the_kernel() -> None:
    rules = [
        {"names": ["getppid"], "args": [{"index": 0, "op": "EQ", "value": n}]}
        for n in range(2, 811)
    ]
    profile = Seccomp.model_validate(
        {
            "default_action": "ALLOW",
            "syscalls": [{**r, "action": "ERRNO"} for r in rules],
        }
    )
    program = compile_filter(profile, frozenset()).bpf
    assert 4040 < len(program) / struct.calcsize("=HBBI") <= 4096
    assert probe(program, [("x86_64", 110, 810), ("x86_64", 110, 811)]) == [EPERM, 0]
