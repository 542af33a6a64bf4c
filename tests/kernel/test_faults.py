"""Every kernel call of a life fails once, in each process that makes it, or ends it.
Each time: a typed error, nothing left, no hang, and the next life works.
"""

import contextlib
import errno
import itertools
import os
import random
import signal

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    ContainerError,
    ExecError,
    ExitReason,
    HandshakeError,
    SetupError,
    StatusError,
    run,
)
from aiocontainer.proc import handshake, spawner
from aiocontainer.proc.stdio import PIPE
from tests.support import leaks
from tests.support.capabilities import needs
from tests.support.sweeps import fault_sweep

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

FULL = os.environ.get("AIOCONTAINER_SWEEP") == "full"
CODES = (
    *(errno.EIO, errno.ENOMEM, errno.EPERM, errno.EAGAIN, errno.EINTR, errno.EMFILE),
    *(errno.ENOSPC, errno.EACCES, errno.EINVAL, errno.ENOENT, errno.ENOSYS),
)
# Not ENOENT: that a directory is gone already is what clean-up wants to hear.
PROGRAM_CODES = (errno.EIO, errno.EMFILE, errno.ENOMEM, errno.EPERM, errno.ENOSPC)


@pytest.fixture(scope="module")
def anyio_backend():
    """What is disturbed is the same on every event loop."""
    return ("asyncio", {})


@contextlib.contextmanager
def fault(at, code, name="*"):
    """Let the next children's kernel call number ``at`` (from 1) fail; 0 kills them."""
    handshake.fault = (name, at, code)
    try:
        yield
    finally:
        handshake.fault = None


# -- lives, each with all that a container can have ------------------------------------


async def plain(rootfs):
    await run(Config(rootfs=rootfs), ["true"])


async def rich(rootfs):
    config = Config(
        rootfs={"kind": "overlay", "lower": [str(rootfs)]},
        hostname="rich",
        domainname="test",
        mounts=[
            {"destination": "/mnt", "type": "tmpfs", "options": ["size=1m", "ro"]},
            {"destination": "/run/etc", "source": "/etc", "type": "bind"},
        ],
        sysctl={"net.ipv4.ip_forward": "1"},
        user="tester",
        groups=["audio"],
        rlimits={"nofile": 100, "core": 0},
        oom_score_adj=100,
        cwd="/tmp",
        no_new_privs=False,
        memory="64MiB",
    )
    await run(config, ["true"], input=b"x")


async def with_a_terminal(rootfs):
    async with Container(Config(rootfs=rootfs)) as container:
        process = await container.start(["true"], terminal=(24, 80))
        await process.wait()


async def in_a_user_namespace(rootfs):
    mapping = [{"container_id": 0, "host_id": 0, "size": 65536}]
    config = Config(
        rootfs=rootfs,
        namespaces={"user": "new"},
        uid_mappings=mapping,
        gid_mappings=mapping,
    )
    await run(config, ["true"])


async def with_the_init(rootfs):
    async with Container(Config(rootfs=rootfs)) as container:
        await container.run(["true"])


async def of_a_service(rootfs):
    config = Config(
        rootfs=rootfs,
        namespaces={"time": "new"},
        time_offsets={"boottime": 1000},
        scheduler={"policy": "batch", "nice": 1},
        io_priority={"io_class": "idle"},
        memory_policy={"mode": "local"},
        personality={"domain": "linux32"},
        cpu_affinity="0",
        parent_death_signal="SIGKILL",
    )
    async with Container(config) as container:
        process = await container.start(["true"], sd_notify=True, listen_fds=[0])
        await process.wait()


LIVES = [of_a_service, plain, rich, with_a_terminal, in_a_user_namespace, with_the_init]


async def typed(operation):
    """Where the kernel's word on a process's end is lost, that is no error of ours."""
    try:
        await operation
    except OSError as error:
        if "from waitid(2)" not in getattr(error, "__notes__", ()):
            raise
        raise ContainerError("waitid") from error


class NothingLeft:
    """That all is as it was when this was made."""

    def __init__(self):
        self.before = leaks.take()

    def __call__(self, point):
        left = leaks.find(self.before)
        assert left == [], f"disturbed at {point}"


async def killed_everywhere(operation, check):
    """Kill the child at its n-th kernel call, for all n; how many there were."""
    for at in itertools.count(1):
        with anyio.fail_after(10):
            with fault(at, 0):
                try:
                    await operation()
                except StatusError:  # the built-in init, after it took its GO
                    pass
                except HandshakeError as error:
                    assert str(error).endswith((" -9", " 137"))  # noqa: PT017
                else:
                    return at - 1
        check(at)
    raise AssertionError


async def failing_everywhere(operation, check, calls, codes_of):
    """Let the child's n-th kernel call fail, for all n; the errors."""
    errors = []
    for at in range(1, calls + 1):
        for code in codes_of(at):
            with anyio.fail_after(10), fault(at, code):
                try:
                    await operation()
                except (SetupError, HandshakeError) as error:
                    errors.append(error)
            check((at, errno.errorcode[code]))
    return errors


def some_codes(at):
    return CODES if FULL else (CODES[at % len(CODES)],)


@pytest.mark.parametrize("life", LIVES)
async def test_a_kernel_call_of_the_helper_that_fails_is_named(rootfs, life):
    await life(rootfs)
    check = NothingLeft()
    calls = await killed_everywhere(lambda: life(rootfs), check)
    assert calls > 30
    errors = await failing_everywhere(lambda: life(rootfs), check, calls, some_codes)
    assert len(errors) > calls * 0.6  # the others can be done without
    for error in errors:
        assert isinstance(error, SetupError)
        assert error.step
        if error.step.startswith("verify"):
            continue  # a path that seemed to be missing, and so wasn't made read-only
        assert isinstance(error.__cause__, OSError)
        assert any("from " in note for note in error.__cause__.__notes__)
    await life(rootfs)


async def test_a_kernel_call_of_a_joining_helper_that_fails_is_named(rootfs):
    async with Container(Config(rootfs=rootfs)) as container:
        await container.run(["true"])
        nothing_left = NothingLeft()

        async def join():
            await container.run(["true"], user="tester")

        def check(point):
            nothing_left(point)
            assert container.processes() == [container.pid]

        calls = await killed_everywhere(join, check)
        assert calls > 15
        errors = await failing_everywhere(join, check, calls, lambda at: CODES)
        assert len(errors) > calls * len(CODES) * 0.6
        await join()


async def test_an_exec_that_fails_is_an_exec_error(rootfs):
    for code in CODES:
        with fault(1, code, "execve"), pytest.raises(ExecError) as caught:
            await plain(rootfs)
        assert caught.value.__cause__.errno == code


# -- the program's own calls -----------------------------------------------------------


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize(
    "code", PROGRAM_CODES if FULL else PROGRAM_CODES[:2], ids=errno.errorcode.get
)
async def test_a_kernel_call_of_the_program_that_fails_is_a_typed_error(
    rootfs, life, code
):
    await life(rootfs)
    hits = await fault_sweep(
        lambda: typed(life(rootfs)), NothingLeft(), code=code, allowed=ContainerError
    )
    assert len(hits) > 5
    await life(rootfs)


async def test_a_kernel_call_of_the_program_that_fails_in_a_join(rootfs):
    async with Container(Config(rootfs=rootfs)) as container:
        await container.run(["true"])

        async def join():
            await container.run(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.01)

        async def check(point):
            with anyio.fail_after(5):
                while container.processes() != [container.pid]:  # noqa: ASYNC110
                    await anyio.sleep(0.002)

        await fault_sweep(lambda: typed(join()), check, allowed=ContainerError)
        assert (await container.run(["true"])).returncode == 0


# -- the spawner -----------------------------------------------------------------------


async def test_containers_outlive_the_spawner_and_the_next_start_works(rootfs):
    chance = random.Random(7)
    config = Config(rootfs=rootfs)
    reasons = set()
    async with Container(config) as container:
        await container.run(["true"])
        process = await container.start(["cat"], stdin=PIPE, stdout=PIPE)
        for _ in range(200 if FULL else 30):
            delay_s = chance.uniform(0, 0.06)
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(kill_spawner_after, delay_s)
                    for _ in range(3):
                        reasons.add((await run(config, ["true"])).reason)
            await process.stdin.send(b"alive")
            assert await process.stdout.receive() == b"alive"
            assert (await container.run(["true"])).returncode == 0
        await process.stdin.aclose()
        assert await process.wait() == 0
    assert reasons == {ExitReason.EXITED}


async def kill_spawner_after(delay_s):
    await anyio.sleep(delay_s)
    current = spawner.peek()
    if current is not None and current.pidfd >= 0:
        signal.pidfd_send_signal(current.pidfd, signal.SIGKILL)


async def test_a_spawner_that_is_stopped_only_makes_a_start_wait(rootfs):
    config = Config(rootfs=rootfs)
    await run(config, ["true"])
    current = spawner.current()
    os.kill(current.pid, signal.SIGSTOP)
    try:
        with anyio.move_on_after(0.2) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, config, ["true"])
                await anyio.sleep(0.05)
                os.kill(current.pid, signal.SIGCONT)
        assert not scope.cancelled_caught or scope.deadline
    finally:
        os.kill(current.pid, signal.SIGCONT)
    assert (await run(config, ["true"])).reason is ExitReason.EXITED


async def test_a_request_that_makes_no_sense_harms_nobody_else(rootfs):
    config = Config(rootfs=rootfs)
    async with Container(config) as container:
        await container.run(["true"])
        current = spawner.current()
        for request in (("start",), ("start", 1, 2), ("watch", 1), ("nonsense", 7), ()):
            current.send(request)
        assert (await container.run(["true"])).returncode == 0
        assert spawner.current() is current
