"""A container's life: start, join, wait, signal, kill, end; and nothing stays."""

import os
import signal
import time

import anyio
import pytest

from aiocontainer import (
    CgroupError,
    Config,
    Container,
    ExitReason,
    StatusError,
)
from aiocontainer.proc.stdio import PIPE
from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.shells import READY, gone, started, until

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs)


# -- status and end --------------------------------------------------------------------


async def test_the_status_goes_from_created_to_running_to_stopped(config):
    container = Container(config)
    async with container:
        assert (container.status(), container.pid) == ("created", None)
        process = await container.start(["cat"], stdin=PIPE)
        assert (container.status(), container.pid) == ("running", process.pid)
        assert process.returncode is None
        assert process.reason is None
        assert process.usage is None
        await process.stdin.aclose()
        assert await container.wait() == 0
        assert container.status() == "stopped"
        assert process.reason is ExitReason.EXITED
    assert container.status() == "stopped"


@pytest.mark.parametrize("act", ["start", "run"])
@pytest.mark.parametrize("ended", ["by itself", "by destroy"])
async def test_a_stopped_container_starts_nothing(config, act, ended):
    async with Container(config) as container:
        process = await container.start(["true"])
        if ended == "by destroy":
            await container.destroy()
        else:
            await process.wait()
        with pytest.raises(StatusError) as caught:
            await getattr(container, act)(["true"])
        assert caught.value.status == "stopped"


async def call_signal(container):
    container.signal(signal.SIGHUP)


async def call_terminate(container):
    container.terminate()


@pytest.mark.parametrize("act", [Container.wait, call_signal, call_terminate])
async def test_what_needs_a_program_says_that_there_is_none(config, act):
    async with Container(config) as container:
        with pytest.raises(StatusError):
            await act(container)


@pytest.mark.parametrize("as_first", [True, False], ids=["first", "joined"])
@pytest.mark.parametrize("status", [0, 1, 3, 126, 137, 255])
async def test_the_exit_status_is_the_programs(config, status, as_first):
    async with Container(config) as container:
        result = await container.run(["sh", "-c", f"exit {status}"], init=not as_first)
    assert (result.returncode, result.reason) == (status, ExitReason.EXITED)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGRTMIN + 2]
)
async def test_a_signal_is_a_negative_status(config, number):
    async with Container(config) as container:
        result = await container.run(["sh", "-c", f"kill -{int(number)} $$"])
    assert (result.returncode, result.reason) == (-number, ExitReason.SIGNALED)


async def test_a_process_knows_its_end_without_being_waited_for(config):
    async with Container(config) as container:
        process = await container.start(["true"])
        await until(lambda: process.ended)
        assert process.returncode == 0


async def test_destroy_may_be_called_at_any_time_and_any_number_of_times(config):
    container = Container(config)
    await container.destroy()
    container = Container(config)
    await container.start(["sleep", "60"])
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(container.destroy)
    await container.aclose()
    assert container.status() == "stopped"


@pytest.mark.parametrize("leave", ["return", "raise", "cancel"])
async def test_however_a_block_is_left_its_processes_have_ended(config, leave):
    with anyio.CancelScope() as scope:
        try:
            async with Container(config) as container:
                first = await started(container, "trap '' TERM INT HUP; " + READY)
                later = await started(container, "trap '' TERM INT HUP; " + READY)
                if leave == "raise":
                    raise LookupError
                if leave == "cancel":
                    scope.cancel()
                    await anyio.sleep_forever()
        except LookupError:
            pass
    assert first.returncode == later.returncode == -signal.SIGKILL
    assert first.reason is ExitReason.CANCELLED
    assert not os.path.exists(f"/proc/{first.pid}")


async def test_leaving_the_block_of_a_process_ends_only_that_process(config):
    async with Container(config) as container:
        other = await started(container, READY)
        async with await started(container, READY) as process:
            pass
        assert process.returncode == -signal.SIGKILL
        assert other.returncode is None
        await other.stdin.aclose()
        assert await other.wait() == 1  # read got end-of-file


async def test_two_containers_of_one_id_dont_meet(config):
    async with Container(config, id="test-twice") as container:
        await container.start(["sleep", "60"])
        if not container.processes():
            pytest.skip("no cgroups")
        async with Container(config, id="test-twice") as second:
            with pytest.raises(CgroupError, match="exists"):
                await second.start(["true"])
        assert container.status() == "running"


# -- waiting ---------------------------------------------------------------------------


async def test_any_number_of_tasks_may_wait(config):
    statuses = []

    async def wait(process):
        statuses.append(await process.wait())

    async with Container(config) as container:
        process = await started(container, READY + "; exit 5")
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(wait, process)
            await anyio.wait_all_tasks_blocked()
            await process.stdin.aclose()
        assert await process.wait() == 5
    assert statuses == [5] * 20


async def test_a_cancelled_wait_leaves_the_process_and_the_other_waiters(config):
    statuses = []

    async def wait(process):
        statuses.append(await process.wait())

    async with Container(config) as container:
        process = await started(container, READY + "; exit 6")
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as impatient:
                impatient.start_soon(wait, process)  # this one watches the pidfd
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(wait, process)
                await anyio.wait_all_tasks_blocked()
                impatient.cancel_scope.cancel()
            assert process.returncode is None
            await process.stdin.aclose()
    assert statuses == [6]


async def test_a_grandchild_that_keeps_stdout_open_doesnt_hold_up_the_end(config):
    async with Container(config) as container:
        before = time.monotonic()
        result = await container.run(["sh", "-c", "echo hi; sleep 60 & exit 7"])
        assert (result.returncode, result.stdout) == (7, b"hi\n")
        process = await container.start(["sh", "-c", "sleep 60 & exit 8"], stdout=PIPE)
        assert await process.wait() == 8
        assert time.monotonic() - before < 5
        assert len(container.processes()) == 3  # the init and two daemons


# -- signals ---------------------------------------------------------------------------


async def test_signals_reach_the_process_they_are_for(config):
    script = "trap 'exit 11' TERM; trap 'exit 12' USR1; echo ready; sleep 60 & wait"
    async with Container(config) as container:
        first = await started(container, script)
        later = await started(container, script)
        later.terminate()
        assert await later.wait() == 11
        assert first.returncode is None
        container.signal(signal.SIGUSR1)
        assert await first.wait() == 12
        first.send_signal(signal.SIGTERM)  # of no consequence: it has ended
        first.kill()


async def test_terminate_is_ignored_by_a_pid_1_without_a_handler(config):
    async with Container(config) as container:
        process = await started(container, "echo ready; exec cat")
        container.terminate()
        await process.stdin.send(b"alive")
        assert await process.stdout.receive() == b"alive"
        container.kill()
        assert await container.wait() == -signal.SIGKILL


async def test_the_built_in_init_passes_signals_on_to_all(config):
    async with Container(config) as container:
        await container.run(["true"])
        two = [
            await started(container, "trap 'exit 13' TERM; echo ready; sleep 60 & wait")
            for _ in range(2)
        ]
        container.terminate()
        assert [await process.wait() for process in two] == [13, 13]
        assert container.status() == "running"


async def test_killing_the_container_kills_all_in_it(config):
    async with Container(config) as container:
        await container.run(["true"])
        later = [await started(container, "sleep 60 & " + READY) for _ in range(3)]
        pids = container.processes()
        container.kill()
        assert await container.wait() == -signal.SIGKILL
        for process in later:
            assert await process.wait() == -signal.SIGKILL
        for pid in pids:
            await gone(pid)


async def test_the_end_of_pid_1_is_the_end_of_all(config):
    async with Container(config) as container:
        first = await started(container, READY)
        later = await started(container, "sleep 60 & " + READY)
        await first.stdin.aclose()
        assert await first.wait() == 1
        assert await later.wait() == -signal.SIGKILL


async def test_who_waited_for_pid_1_before_another_joined_hears_of_its_end(config):
    """The kernel keeps pid 1 until its namespace is empty of zombies, also of ours."""
    async with Container(config) as container:
        first = await started(container, READY)
        statuses = []

        async def wait():
            statuses.append(await first.wait())

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                later = [await started(container, READY) for _ in range(3)]
                await later[0].stdin.aclose()
                await later[0].stdout.aclose()
                first.kill()
        assert statuses == [-signal.SIGKILL]
        assert container.status() == "stopped"
        assert {process.returncode for process in later} <= {1, -signal.SIGKILL}


async def test_the_status_of_a_container_that_was_killed_needs_no_waiting(config):
    async with Container(config) as container:
        await container.run(["true"])
        await started(container, READY)
        container.kill()
        await until(lambda: container.status() == "stopped")


async def test_kill_of_a_process_takes_its_descendants_and_nobody_else(config):
    async with Container(config) as container:
        await container.run(["true"])
        neighbour = await started(container, "sleep 60 & " + READY)
        init_and_two = set(container.processes())
        victim = await started(container, "(setsid sleep 61 &); sleep 62 & " + READY)
        descendants = set(container.processes()) - init_and_two
        assert len(descendants) >= 2
        victim.kill()
        assert await victim.wait() == -signal.SIGKILL
        for pid in descendants:
            await gone(pid)
        assert init_and_two <= set(container.processes())
        assert neighbour.returncode is None


# -- joining ---------------------------------------------------------------------------


async def test_a_joined_process_is_in_the_namespaces_and_root_of_the_first(config):
    kinds = "mnt pid uts ipc net cgroup"
    script = f"for k in {kinds}; do readlink /proc/self/ns/$k; done; stat -c %d:%i /"
    async with Container(config) as container:
        first = await started(container, f"echo ready; {script}; read -t 60 x")
        told = b""
        while told.count(b"\n") < 7:
            told += await first.stdout.receive()
        result = await container.run(["sh", "-c", script])
    ours, theirs = told.decode().split(), result.stdout.decode().split()
    same = slice(None) if ours[5] == theirs[5] else slice(5)
    assert ours[same] == theirs[same]
    assert ours[:5] != [procfs.namespace(kind) for kind in kinds.split()[:5]]


async def test_run_with_the_built_in_init_can_be_called_many_times(config):
    async with Container(config) as container:
        pids = {container.pid}
        for number in range(10):
            result = await container.run(["sh", "-c", f"echo {number}"])
            assert result.stdout == b"%d\n" % number
            pids.add(container.pid)
        assert len(pids) == 2  # none at first, then always the same


async def test_runs_side_by_side_dont_disturb_each_other(config):
    results = {}

    async with Container(config) as container:

        async def one(number):
            script = f"read x; echo $x; exit {number}"
            results[number] = await container.run(
                ["sh", "-c", script], input=b"%d\n" % number
            )

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(one, number)
        assert len(container.processes()) == 1
    for number, result in results.items():
        assert (result.returncode, result.stdout) == (number, b"%d\n" % number)


async def test_the_built_in_init_reaps_orphans(config):
    async with Container(config) as container:
        for _ in range(3):
            await container.run(["sh", "-c", "(true &); (true &); (exit 3 &)"])
        await until(lambda: container.processes() == [container.pid])  # zombies count
        result = await container.run(["sh", "-c", "ls -d /proc/[0-9]*"])
    assert len(result.stdout.split()) <= 3  # init, the shell, ls


async def test_runs_that_were_killed_leave_no_cgroups_in_a_living_container(config):
    async with Container(config) as container:
        await container.run(["true"])
        cgroup = container._processes.cgroup
        if cgroup is None:
            pytest.skip("no cgroups")
        for _ in range(5):
            script = "for i in 1 2 3 4; do sleep 60 & done; wait"
            await container.run(["sh", "-c", script], timeout=0.2)
        await container.run(["true"])
        await until(lambda: container.processes() == [container.pid])
        await container.run(["true"])
        left = [
            entry.path
            for directory in cgroup.directories
            for entry in os.scandir(directory)
            if entry.is_dir() and entry.path not in cgroup.directories
        ]
        assert left == []
