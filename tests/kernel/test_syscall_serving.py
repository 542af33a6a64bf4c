"""Serving system calls: slow, failing and cancelled handlers, and ends of all kinds."""

import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import (
    PIPE,
    Config,
    Container,
    Continue,
    ExitReason,
    SyscallCall,
    run,
)
from aiocontainer.proc.syscall_call import Answer
from tests.support.capabilities import needs
from tests.support.shells import until
from tests.support.syscalls import always, asking, path_of

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "seccomp"),
]


@pytest.fixture
def config(rootfs: Path) -> Config:
    return asking(rootfs)


# -- handlers that are slow, fail, or are cancelled ------------------------------------


async def test_a_slow_handler_holds_up_nobody_else(config: Config) -> None:
    others = 0
    last = anyio.Event()

    async def decide(call: SyscallCall) -> Answer:
        nonlocal others
        if (await path_of(call)).endswith("slow"):
            await last.wait()
            return Continue()
        others += 1
        if others == 20:
            last.set()
        return Continue()

    others_made = "for i in $(seq 20); do mkdir /tmp/$i; done"
    script = f"mkdir /tmp/slow & {others_made}; wait; ls /tmp"
    result = await run(config, ["sh", "-c", script], on_syscall=decide, timeout=20)
    assert len(result.stdout.split()) == 21


async def test_more_calls_than_may_be_undecided_wait_in_the_kernel(
    config: Config,
) -> None:
    undecided = most = 0

    async def decide(call: SyscallCall) -> Answer:
        nonlocal undecided, most
        undecided += 1
        most = max(most, undecided)
        await anyio.sleep(0.002)
        undecided -= 1
        return Continue()

    script = "for i in $(seq 12); do mkdir /tmp/$i & done; wait; ls /tmp | wc -l"
    async with Container(config) as container:
        process = await container.start(["sh", "-c", script], stdout=PIPE)
        assert process.syscalls is not None
        await process.syscalls.serve(decide, at_once=3)
        assert await process.communicate() == (b"12\n", None)
    assert most == 3


class Broken(Exception):
    pass


async def test_a_handler_that_fails_ends_the_run_and_is_heard(config: Config) -> None:
    async def decide(_call: SyscallCall) -> Answer:
        raise Broken

    with pytest.raises(Broken):
        await run(config, ["sh", "-c", "mkdir /tmp/a; sleep 60"], on_syscall=decide)


@pytest.mark.parametrize("how", ["raise", "cancel", "nonsense"])
async def test_undecided_calls_fail_when_serving_ends(config: Config, how: str) -> None:
    both = anyio.Event()
    waiting = 0

    async def decide(_call: SyscallCall) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting < 2:
            await both.wait()
        both.set()
        if how == "raise":
            raise Broken
        if how == "nonsense":
            return "yes"
        scope.cancel()
        await anyio.sleep_forever()

    script = "mkdir /tmp/a & mkdir /tmp/b; wait; mkdir /tmp/c; ls /tmp"
    async with Container(config) as container:
        process = await container.start(["sh", "-c", script], stdout=PIPE, stderr=PIPE)
        assert process.syscalls is not None
        with anyio.CancelScope() as scope:
            try:
                await process.syscalls.serve(decide)
            except (Broken, TypeError) as error:
                assert how == {Broken: "raise", TypeError: "nonsense"}[type(error)]  # noqa: PT017
        assert scope.cancelled_caught == (how == "cancel")
        # What comes later waits, until somebody serves again.
        await process.syscalls.serve(always(Continue()))
        out, err = await process.communicate()
    assert out == b"c\n"
    assert err is not None
    assert err.count(b"not permitted") == 2


async def test_calls_can_be_read_one_by_one_too(config: Config) -> None:
    script = "mkdir /tmp/a; mkdir /tmp/b; mkdir /tmp/c; ls /tmp"
    async with Container(config) as container:
        process = await container.start(["sh", "-c", script], stdout=PIPE, stderr=PIPE)
        stream = process.syscalls
        assert stream is not None
        seen = []
        async for call in stream:
            seen.append(await path_of(call))
            if len(seen) == 1:
                call.allow()
            elif len(seen) == 2:
                call.deny()
            else:
                call.answer()
        out, _ = await process.communicate()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert seen == ["/tmp/a", "/tmp/b", "/tmp/c"]
    assert out == b"a\n"


async def test_a_cancelled_reader_loses_no_call(config: Config) -> None:
    async with Container(config) as container:
        process = await container.start(
            ["sh", "-c", "read line; mkdir /tmp/a; ls /tmp"], stdin=PIPE, stdout=PIPE
        )
        stream, stdin = process.syscalls, process.stdin
        assert stream is not None
        assert stdin is not None
        with anyio.move_on_after(0.01) as scope:
            await anext(stream)
        assert scope.cancelled_caught
        await stdin.send(b"\n")
        (await anext(stream)).allow()
        out, _ = await process.communicate()
    assert out == b"a\n"


async def test_a_dropped_call_is_denied_and_told_of(config: Config) -> None:
    async with Container(config) as container:
        process = await container.start(
            ["sh", "-c", "mkdir /tmp/a"], stdout=PIPE, stderr=PIPE
        )
        assert process.syscalls is not None
        with pytest.warns(ResourceWarning, match="never answered"):
            await anext(process.syscalls)
        _, err = await process.communicate()
    assert err is not None
    assert b"not permitted" in err


# -- ends ------------------------------------------------------------------------------


async def test_a_call_whose_process_was_killed_is_no_error(config: Config) -> None:
    async with Container(config) as container:
        await container.run(["true"])
        process = await container.start(["mkdir", "/tmp/a"])
        stream = process.syscalls
        assert stream is not None
        call = await anext(stream)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await until(lambda: not call.is_waiting())
        with pytest.raises(ProcessLookupError):
            await call.read(call.args[0], 1)
        with pytest.raises(ProcessLookupError):
            await call.write(call.args[0], b"x")
        with open("/dev/null") as null, pytest.raises(ProcessLookupError):
            await call.add_fd(null.fileno())
        call.allow()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_with_nobody_to_ask_a_call_is_not_there(config: Config) -> None:
    result = await run(config, ["mkdir", "/tmp/a"], timeout=20)
    assert b"not implemented" in result.stderr


async def test_closing_wakes_who_reads_and_answers_who_waits(config: Config) -> None:
    async with Container(config) as container:
        process = await container.start(
            ["sh", "-c", "mkdir /tmp/a; read x; mkdir /tmp/b"],
            stdin=PIPE,
            stderr=PIPE,
        )
        stream = process.syscalls
        assert stream is not None
        call = await anext(stream)

        async def read() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await anext(stream)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
        await stream.aclose()
        assert not call.is_waiting()
        call.allow()  # too late, and no error
        _, err = await process.communicate(b"\n")
    assert err is not None
    assert err.count(b"not implemented") == 2


async def test_closing_ends_who_serves(config: Config) -> None:
    async with Container(config) as container:
        process = await container.start(["sleep", "60"])
        stream = process.syscalls
        assert stream is not None
        ended = False

        async def serve() -> None:
            nonlocal ended
            with pytest.raises(anyio.ClosedResourceError):
                await stream.serve(always(Continue()))
            ended = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
    assert ended


async def test_two_readers_are_one_too_many(config: Config) -> None:
    async with Container(config) as container:
        process = await container.start(["sleep", "60"])
        stream = process.syscalls
        assert stream is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.__anext__)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await anext(stream)
            tasks.cancel_scope.cancel()


async def test_serving_goes_on_for_what_a_process_left_running(config: Config) -> None:
    script = "(read x < /tmp/wait; mkdir /tmp/late) & exit"
    async with Container(config) as container:
        await container.run(["mkfifo", "/tmp/wait"])
        process = await container.start(["sh", "-c", script])
        await process.wait()
        assert process.syscalls is not None
        go = await container.start(["sh", "-c", "echo > /tmp/wait"])
        await process.syscalls.serve(always(Continue()))
        await go.wait()
        result = await container.run(["ls", "/tmp"])
    assert b"late" in result.stdout


async def test_a_time_limit_ends_a_run_whose_handler_never_answers(
    config: Config,
) -> None:
    async def decide(_call: SyscallCall) -> Answer:
        await anyio.sleep_forever()
        raise AssertionError

    result = await run(config, ["mkdir", "/tmp/a"], on_syscall=decide, timeout=0.2)
    assert result.reason is ExitReason.TIMED_OUT
