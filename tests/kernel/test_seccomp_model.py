"""What a filter says, and what the kernel does: actions, operators, errnos, raw BPF."""

import errno
import json
import operator
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    ExecError,
    Return,
    Seccomp,
    SyscallRule,
    run,
)
from aiocontainer.config import ArgRule
from aiocontainer.plan import bpf
from aiocontainer.plan.filters import compile_filter
from tests.support.capabilities import needs
from tests.support.syscalls import always

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "seccomp"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64"),
]

PROBE = Path(__file__).parent.parent / "support/seccomp_probe.py"


@pytest.fixture
def anyio_backend() -> Any:
    """What is tested is the same on every event loop."""
    return "asyncio", {}


def probe(program: bytes, calls: list[tuple[Any, ...]]) -> list[int | None]:
    """The errno of each call under the filter, or 0."""
    done = subprocess.run(
        [sys.executable, "-I", str(PROBE)],
        input=json.dumps({"bpf": program.hex(), "calls": calls}),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[int | None] = json.loads(done.stdout)
    return answers


# -- operators -------------------------------------------------------------------------

# Calls without arguments, one for each operator: what is given is not looked at.
CALLS: dict[str, tuple[str, int, Callable[[int, int], bool]]] = {
    "EQ": ("getppid", 110, operator.eq),
    "NE": ("getuid", 102, operator.ne),
    "LT": ("getgid", 104, operator.lt),
    "LE": ("geteuid", 107, operator.le),
    "GT": ("getegid", 108, operator.gt),
    "GE": ("gettid", 186, operator.ge),
    "MASKED_EQ": ("getpgrp", 111, lambda given, value: given & value == value),
}
VALUES = (0, 1, 5, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**63, 2**64 - 1)


def near(value: int) -> list[int]:
    others = (0, value - 1, value, value + 1, value ^ 2**32, value ^ 2**63, 2**64 - 1)
    return sorted({number for number in others if 0 <= number < 2**64})


@pytest.mark.parametrize("index", [0, 5])
@pytest.mark.parametrize("value", VALUES)
async def test_operators_compare_unsigned_numbers_of_64_bits(
    value: int, index: int
) -> None:
    rules = [
        SyscallRule(
            names=[name],
            action="ERRNO",
            errno=99,
            args=[ArgRule(index=index, op=op, value=value, value_two=value * two)],  # type: ignore[arg-type]
        )
        for op, (name, _, _) in CALLS.items()
        for two in (op == "MASKED_EQ",)
    ]
    filter = compile_filter(
        Seccomp(default_action="ALLOW", syscalls=rules), frozenset()
    )
    given = near(value)
    calls = [
        ("x86_64", number, *([0] * index), argument)
        for _, number, _ in CALLS.values()
        for argument in given
    ]
    wanted = [
        99 if holds(argument, value) else 0
        for _, _, holds in CALLS.values()
        for argument in given
    ]
    assert probe(filter.bpf, calls) == wanted


# -- actions ---------------------------------------------------------------------------


def doing(action: str, **fields: Any) -> Seccomp:
    rule = SyscallRule(names=["mkdir", "mkdirat"], action=action, **fields)  # type: ignore[arg-type]
    return Seccomp(default_action="ALLOW", syscalls=[rule])


@pytest.mark.parametrize(
    ("seccomp", "status", "said"),
    [
        pytest.param(doing("ALLOW"), 0, "", id="allow"),
        pytest.param(doing("LOG"), 0, "", id="log"),
        pytest.param(doing("KILL_PROCESS"), -signal.SIGSYS, "", id="kill process"),
        pytest.param(doing("KILL_THREAD"), -signal.SIGSYS, "", id="kill thread"),
        pytest.param(doing("TRAP"), -signal.SIGSYS, "", id="trap"),
        pytest.param(doing("ERRNO"), 1, "not permitted", id="errno"),
        pytest.param(doing("ERRNO", errno=122), 1, "quota", id="errno of its own"),
        pytest.param(doing("ERRNO", errno=0), 0, "", id="errno of success"),
        pytest.param(doing("TRACE", errno=7), 1, "not implemented", id="no tracer"),
    ],
)
async def test_an_action_does_what_it_is_called(
    rootfs: Path, seccomp: Seccomp, status: int, said: str
) -> None:
    mounts = [{"destination": "/tmp", "type": "tmpfs"}]
    config = Config(rootfs=rootfs, mounts=mounts)  # type: ignore[list-item]
    async with Container(config) as container:
        result = await container.run(["mkdir", "/tmp/a"], seccomp=seccomp)
    assert result.returncode == status
    assert said in result.stderr.decode().lower()


OF_PROBE = """
brk clone close exit exit_group fork fstat futex getpid getrandom gettid ioctl lseek
madvise mmap mprotect munmap newfstatat pipe2 read rseq rt_sigaction rt_sigprocmask
set_robust_list wait4 write
"""


@pytest.mark.parametrize(
    ("action", "code", "answer"),
    [
        ("ERRNO", None, errno.EPERM),
        ("ERRNO", errno.EDQUOT, errno.EDQUOT),
        ("TRACE", None, errno.ENOSYS),
    ],
)
async def test_calls_that_no_rule_names_get_the_default(
    action: str, code: int | None, answer: int
) -> None:
    seccomp = Seccomp(
        default_action=action,  # type: ignore[arg-type]
        default_errno=code,
        syscalls=[SyscallRule(names=OF_PROBE.split())],
    )
    program = compile_filter(seccomp, frozenset()).bpf
    calls = [("x86_64", 83), ("x86_64", 110)]
    assert probe(program, calls) == [answer, answer]


@pytest.mark.parametrize("flags", [["LOG"], ["SPEC_ALLOW"], ["TSYNC", "LOG"]])
@pytest.mark.covers("linux.seccomp.flags")
async def test_the_kernel_takes_the_flags(rootfs: Path, flags: list[Any]) -> None:
    seccomp = Seccomp(default_action="ALLOW", flags=flags)
    result = await run(Config(rootfs=rootfs, seccomp=seccomp), ["true"])
    assert result.returncode == 0


# -- filters that were compiled elsewhere ----------------------------------------------

ALLOW, ERRNO, NOTIFY = 0x7FFF_0000, 0x0005_0000, 0x7FC0_0000


def on_mkdir(answer: int) -> bytes:
    """Load the number; mkdir (83) gets this answer, others are allowed."""
    lines = ((0x20, 0, 0, 0), (0x15, 0, 1, 83), (6, 0, 0, answer), (6, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


@pytest.mark.covers("raw BPF")
async def test_raw_bpf_is_loaded_as_it_is(rootfs: Path) -> None:
    seccomp = Seccomp(bpf=on_mkdir(ERRNO | errno.EDQUOT))
    assert compile_filter(seccomp, frozenset()).bpf == seccomp.bpf
    result = await run(Config(rootfs=rootfs, seccomp=seccomp), ["mkdir", "/a"])
    assert b"quota" in result.stderr.lower()


async def test_raw_bpf_can_ask_this_program(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, seccomp=Seccomp(bpf=on_mkdir(NOTIFY)))
    result = await run(config, ["mkdir", "/a"], on_syscall=always(Return(0)))
    assert result.returncode == 0


async def test_raw_bpf_that_the_kernel_refuses_is_an_error(rootfs: Path) -> None:
    jump_out = struct.pack("=HBBI", 0x05, 0, 0, 100) + struct.pack("=HBBI", 6, 0, 0, 0)
    with pytest.raises(ExecError, match="Invalid argument"):
        await run(Config(rootfs=rootfs, seccomp=Seccomp(bpf=jump_out)), ["true"])


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("bpf", {"bpf": b""}),
        ("bpf", {"bpf": on_mkdir(0)[:-1]}),
        ("bpf", {"bpf": on_mkdir(0) * 1025}),
        ("bpf", {"bpf": struct.pack("=HBBI", 0x20, 0, 0, 0)}),
        ("bpf", {"bpf": "text"}),
        ("default_action", {"bpf": on_mkdir(0), "default_action": "ALLOW"}),
        ("syscalls", {"bpf": on_mkdir(0), "syscalls": [{"names": ["read"]}]}),
        ("architectures", {"bpf": on_mkdir(0), "architectures": ["X86_64"]}),
    ],
)
async def test_what_is_no_filter_is_told_before(
    field: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as raised:
        Seccomp(**fields)
    assert raised.value.field == field


async def test_raw_bpf_survives_json() -> None:
    seccomp = Seccomp(bpf=bytes(range(248)) + struct.pack("=HBBI", 6, 0, 0, 0))
    assert Seccomp.model_validate_json(seccomp.model_dump_json()) == seccomp


@pytest.mark.parametrize(
    ("program", "asks"),
    [
        (on_mkdir(NOTIFY), True),
        (on_mkdir(NOTIFY | 5), True),
        (on_mkdir(ERRNO), False),
        (struct.pack("=HBBI", 0x16, 0, 0, 0), True),
    ],
)
async def test_a_program_that_may_ask_is_known(program: bytes, asks: bool) -> None:
    assert bpf.returns(program, NOTIFY) == asks
