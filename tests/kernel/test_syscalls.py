"""System calls that this program answers: answers, memory, who may be asked."""

import errno
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import (
    PIPE,
    AddFd,
    Config,
    ConfigError,
    Container,
    Continue,
    Errno,
    ExecError,
    Return,
    Seccomp,
    SetupError,
    SyscallCall,
    SyscallRule,
    run,
)
from aiocontainer.config import replace
from aiocontainer.proc.listener import Listener
from aiocontainer.proc.syscall_call import Answer
from tests.support.capabilities import needs
from tests.support.inside import PYTHON
from tests.support.syscalls import (
    MAKING,
    TRY,
    always,
    asking,
    listening,
    path_of,
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


# -- answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "is_made"),
    [
        pytest.param(Continue(), 0, True, id="continue"),
        pytest.param(Errno(errno.EDQUOT), 1, False, id="errno"),
        pytest.param(Return(0), 0, False, id="return"),
    ],
)
@pytest.mark.covers("seccomp notification")
async def test_a_call_ends_as_its_answer_says(
    config: Config, answer: Answer, status: int, is_made: bool
) -> None:
    script = "mkdir /tmp/made; echo $?; test -d /tmp/made; echo $?"
    result = await run(config, ["sh", "-c", script], on_syscall=always(answer))
    assert result.stdout.split() == [b"%d" % status, b"0" if is_made else b"1"]


@pytest.mark.parametrize(
    ("value", "returned"),
    [(5, 5), (-7, -7), (2**40, 2**40), (2**63, -(2**63)), (2**64 - 5000, -5000)],
)
async def test_a_value_is_returned_as_it_is(value: int, returned: int) -> None:
    source = TRY + "libc.syscall.restype = ctypes.c_long\n"
    source += "print(json.dumps(libc.syscall(83, b'/x', 0)))"  # mkdir
    got = await told(python("mkdir"), source, on_syscall=always(Return(value)))
    # The C library takes -1 to -4095 for errors, as it does with any call's value.
    assert got == (-1 if -4096 < returned < 0 else returned)


async def test_a_descriptor_is_returned_and_is_a_duplicate_of_ours(
    tmp_path: Path,
) -> None:
    (tmp_path / "secret").write_text("of the host")
    source = "print(open('/etc/asked').read()); print(open('/etc/passwd').read(4))"
    with open(tmp_path / "secret") as file:

        async def decide(call: SyscallCall) -> Answer:
            path = await call.read_path(call.args[1])
            return AddFd(file.fileno()) if path == "/etc/asked" else Continue()

        args = [PYTHON, "-I", "-c", source]
        result = await run(python("openat"), args, on_syscall=decide)
    assert result.stdout == b"of the host\nroot\n", result


async def test_a_descriptor_can_be_put_at_a_number_before_the_answer(
    config: Config, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the host\n")
    with open(tmp_path / "secret") as file:

        async def decide(call: SyscallCall) -> Answer:
            number = await call.add_fd(file.fileno(), number=7, close_on_exec=False)
            free = await call.add_fd(file.fileno())
            return Return(0) if number == 7 and free != 7 else Errno(errno.EIO)

        source = TRY + "print(json.dumps([call(83, b'/x', 0), open(7).read()]))"
        got = await told(python("mkdir"), source, on_syscall=decide)
    assert got == [[0, 0], "of the host\n"]


async def test_an_older_kernel_gives_a_descriptor_and_then_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newer = Listener.add_descriptor

    async def older(self: Listener, *args: Any, **options: Any) -> int | None:
        if options.get("answer"):
            raise OSError(errno.EINVAL, "Invalid argument")
        return await newer(self, *args, **options)

    monkeypatch.setattr(Listener, "add_descriptor", older)
    source = (
        TRY + "import os; print(json.dumps(os.fstat(call(83, b'/x', 0)[0]).st_rdev))"
    )
    with open("/dev/null") as file:
        got = await told(
            python("mkdir"), source, on_syscall=always(AddFd(file.fileno()))
        )
        assert got == os.fstat(file.fileno()).st_rdev


async def test_a_descriptor_that_is_not_ours_is_an_error(config: Config) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        await run(config, ["mkdir", "/tmp/a"], on_syscall=always(AddFd(999_999)))


async def test_who_can_have_no_more_descriptors_gets_emfile() -> None:
    source = (
        TRY
        + """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(json.dumps(call(83, b'/x', 0)))
"""
    )
    with open("/dev/null") as file:
        got = await told(
            python("mkdir"), source, on_syscall=always(AddFd(file.fileno()))
        )
    assert got == [-1, errno.EMFILE]


async def test_a_call_has_a_name_numbers_and_arguments() -> None:
    seen: list[SyscallCall] = []

    async def decide(call: SyscallCall) -> Answer:
        seen.append(call)
        assert call.is_waiting()
        assert not call.answered
        return Return(0)

    source = TRY + "print(json.dumps(call(83, 1, 2, 3, 4, 5, 2**64 - 1)))"
    await told(python("mkdir"), source, on_syscall=decide)
    (call,) = seen
    assert (call.name, call.number, call.architecture) == ("mkdir", 83, "X86_64")
    assert call.args[1:3] == (2, 3)
    assert call.pid > 0
    assert call.instruction_pointer > 0
    assert call.answered
    assert not call.is_waiting()
    assert f"mkdir({call.args[0]:#x}" in repr(call)


async def test_a_call_is_answered_once(config: Config) -> None:
    async def decide(call: SyscallCall) -> Answer:
        call.deny(errno.EDQUOT)
        with pytest.raises(RuntimeError, match="already"):
            call.allow()
        return Continue()  # not asked for

    result = await run(config, ["mkdir", "/tmp/x"], on_syscall=decide)
    assert b"quota" in result.stderr.lower()


# -- which processes -------------------------------------------------------------------


async def test_each_process_has_its_own_listener(rootfs: Path) -> None:
    config = Config(rootfs=rootfs)
    async with Container(config) as container:
        plain = await container.start(["sleep", "60"])
        assert plain.syscalls is None
        one = await container.start(
            ["mkdir", "/tmp/a"], seccomp=listening(*MAKING), stderr=PIPE
        )
        two = await container.start(
            ["mkdir", "/tmp/b"], seccomp=listening(*MAKING), stderr=PIPE
        )
        for process, name in ((two, "/tmp/b"), (one, "/tmp/a")):
            assert process.syscalls is not None
            call = await anext(process.syscalls)
            assert await path_of(call) == name
            assert call.pid == process.pid
            call.deny(errno.EDQUOT)
            assert await process.wait() == 1


async def test_the_built_in_init_asks_nobody(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, seccomp=listening("wait4", "kill"))
    async with Container(config) as container:
        result = await container.run(
            ["sh", "-c", "(true) & echo x"], on_syscall=always(Continue())
        )
        assert result.stdout == b"x\n"
        assert container.init is not None
        stream = container.init.syscalls
        assert stream is not None
        with pytest.raises(anyio.ClosedResourceError):
            await anext(stream)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"no_new_privs": False}, id="filter loaded early"),
        pytest.param({"user": "1000:1000"}, id="user"),
        pytest.param(
            {
                "namespaces": {"user": "new"},
                "uid_mappings": [{"container_id": 0, "host_id": 0, "size": 65536}],
                "gid_mappings": [{"container_id": 0, "host_id": 0, "size": 65536}],
            },
            id="user namespace",
        ),
        pytest.param({"oom_score_adj": 100}, id="files written for it"),
        pytest.param({"namespaces": {"pid": "host"}}, id="pids of the host"),
        pytest.param(
            {"seccomp": listening(*MAKING, flags=["WAIT_KILLABLE_RECV", "LOG"])},
            id="flags",
        ),
    ],
)
async def test_listeners_come_from_processes_of_all_kinds(
    config: Config, settings: dict[str, Any]
) -> None:
    config = replace(config, **settings)
    script = "ls -l /proc/self/fd | wc -l; mkdir /tmp/a; ls /tmp"
    async with Container(config) as container:
        process = await container.start(["sh", "-c", script], stdout=PIPE)
        assert process.syscalls is not None
        await process.syscalls.serve(always(Continue()))
        assert await process.communicate() == (b"5\na\n", None)
    async with Container(config) as container:
        for _ in range(2):
            result = await container.run(
                ["sh", "-c", script + "; rmdir /tmp/a"], on_syscall=always(Continue())
            )
            assert result.stdout == b"5\na\n", result


async def test_passed_descriptors_keep_their_numbers_beside_a_listener(
    config: Config,
) -> None:
    read, write = os.pipe()
    numbers = [os.dup2(write, 50 + n) for n in range(8)]
    try:
        result = await run(
            config,
            ["sh", "-c", "mkdir /tmp/a; echo x >&57; ls /proc/self/fd | wc -l"],
            pass_fds=numbers,
            on_syscall=always(Continue()),
        )
        assert result.stdout == b"12\n"
        assert os.read(read, 10) == b"x\n"
    finally:
        for number in (read, write, *numbers):
            os.close(number)


async def test_a_program_that_the_kernel_refuses_is_told_of(
    own_rootfs: Path, config: Config
) -> None:
    (own_rootfs / "bad").write_bytes(b"\x7fELF nothing")
    (own_rootfs / "bad").chmod(0o755)
    # Nothing may be called after the filter was loaded, not even to say so.
    rules = [
        SyscallRule(names=["mkdir", "sendto", "sendmsg", "write"], action="NOTIFY"),
        SyscallRule(names=["exit_group"], action="ERRNO"),
    ]
    seccomp = Seccomp(default_action="ALLOW", syscalls=rules)
    with pytest.raises(ExecError, match=r"/bad: Exec format error"):
        await run(Config(rootfs=own_rootfs, seccomp=seccomp), ["/bad"])


async def test_a_listener_that_is_lost_is_an_error_and_ends_the_process(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiocontainer.proc import handshake

    monkeypatch.setattr(handshake, "fault", ("seccomp", 1, errno.ENOMEM))
    with pytest.raises((SetupError, ExecError)):
        await run(config, ["true"])


@pytest.mark.parametrize("name", ["execve", "execveat", "exit_group"])
async def test_what_the_child_calls_itself_cannot_be_asked_about(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"syscalls\[0\].names: .*{name}"):
        listening(name)


async def test_without_no_new_privs_that_is_more(rootfs: Path) -> None:
    seccomp = listening("mkdir", "setgroups")
    reason = r"seccomp.syscalls\[0\].names: .* setgroups without no_new_privs"
    with pytest.raises(ConfigError, match=reason):
        Config(rootfs=rootfs, seccomp=seccomp, no_new_privs=False)
    async with Container(Config(rootfs=rootfs, seccomp=seccomp)) as container:
        with pytest.raises(ConfigError, match="setgroups without no_new_privs"):
            await container.start(["true"], no_new_privs=False)
