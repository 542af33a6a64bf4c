"""How processes of containers are scheduled, asked of the kernel from outside."""

import ctypes
import errno
import os
import resource
import struct
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, Container, ExecError, IdMapping, Namespaces, SetupError
from aiocontainer._sys import constants, libc
from aiocontainer.config import (
    RLIMITS,
    CgroupSettings,
    ExecCpuAffinity,
    IoPriority,
    MemoryPolicy,
    Personality,
    Scheduler,
)
from aiocontainer.config.scheduling import IO_CLASSES, SCHEDULER_POLICIES
from tests.support.capabilities import needs
from tests.support.inside import shell
from tests.support.programs import program

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

NO_CGROUP = CgroupSettings(mode="off")
"""On v1, a cgroup without a real-time budget may not run real-time policies."""
USER = {
    "namespaces": Namespaces(user="new"),
    "uid_mappings": [IdMapping(container_id=0, host_id=100_000, size=65_536)],
    "gid_mappings": [IdMapping(container_id=0, host_id=100_000, size=65_536)],
}
SLEEP = ["sleep", "60"]

_getattr = libc.syscall(
    {"x86_64": 315}.get(constants.MACHINE, 275),
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint),
)
_ioprio_get = libc.syscall(
    {"x86_64": 252}.get(constants.MACHINE, 31), ctypes.c_int, ctypes.c_int
)


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def scheduler_of(pid: int) -> dict[str, int]:
    """The fields of ``struct sched_attr`` of a process."""
    data = ctypes.create_string_buffer(56)
    libc.call("sched_getattr", _getattr, pid, data, 56, 0)
    names = ("size", "policy", "flags", "nice", "priority", "runtime", "deadline")
    names += ("period", "low", "high")
    return dict(zip(names, struct.unpack("=IIQiIQQQII", data.raw), strict=True))


def io_priority_of(pid: int) -> int:
    found: int = libc.call("ioprio_get", _ioprio_get, 1, pid)
    return found


def personality_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/personality").read_text(), 16)


def memory_policies_of(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/numa_maps").read_text().splitlines()
    return {line.split()[1] for line in lines}


async def both(config: Config) -> Any:
    """Pids of a first process and of one that joins it."""
    async with Container(config) as container:
        first = await container.start(SLEEP)
        later = await container.start(SLEEP)
        yield first.pid
        yield later.pid


async def refusal(container: Container) -> SetupError | None:
    """Why a process can't be started, if it can't."""
    try:
        await container.start(SLEEP)
    except SetupError as error:
        return error
    return None


MS = 1_000_000
POLICIES = [
    pytest.param({"policy": "other", "nice": 7}, {"nice": 7}, id="other"),
    pytest.param({"policy": "SCHED_OTHER", "nice": -3}, {"nice": -3}, id="favoured"),
    pytest.param({"policy": "batch", "nice": 3}, {"nice": 3}, id="batch"),
    pytest.param({"policy": "idle"}, {}, id="idle"),
    pytest.param({"policy": "fifo", "priority": 10}, {"priority": 10}, id="fifo"),
    pytest.param(
        {"policy": "rr", "priority": 99, "flags": ("reset_on_fork",)},
        {"priority": 99, "flags": 1},
        id="rr, not inherited",
    ),
    pytest.param(
        {
            "policy": "deadline",
            "runtime_ns": 10 * MS,
            "deadline_ns": 20 * MS,
            "period_ns": 30 * MS,
        },
        {"runtime": 10 * MS, "deadline": 20 * MS, "period": 30 * MS},
        id="deadline",
    ),
]


@pytest.mark.parametrize(("wanted", "found"), POLICIES)
@pytest.mark.parametrize("space", [{}, USER], ids=["", "user namespace"])
@pytest.mark.covers(
    "scheduler and I/O priority",
    "process.scheduler.nice",
    "process.scheduler.priority",
    "process.scheduler.runtime",
    "process.scheduler.deadline",
    "process.scheduler.period",
)
async def test_a_process_has_the_policy_that_was_asked_for(
    rootfs: Path, wanted: dict[str, Any], found: dict[str, int], space: Any
) -> None:
    scheduler = Scheduler(**wanted)
    config = Config(rootfs=rootfs, cgroup=NO_CGROUP, scheduler=scheduler, **space)
    async for pid in both(config):
        present = scheduler_of(pid)
        assert present["policy"] == SCHEDULER_POLICIES[scheduler.policy]
        assert {name: present[name] for name in found} == found


@pytest.mark.covers("process.scheduler.flags")
@needs("user-namespace")
async def test_in_a_user_namespace_given_by_path_it_is_inherited(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs, **USER)) as owner:
        process = await owner.start(SLEEP)
        space = Namespaces(user=f"/proc/{process.pid}/ns/user")
        common: dict[str, Any] = {
            "rootfs": rootfs,
            "namespaces": space,
            "cgroup": NO_CGROUP,
        }
        fifo = Scheduler(policy="fifo", priority=7)
        async with Container(Config(scheduler=fifo, **common)) as container:
            inside = await container.start(SLEEP)
            assert scheduler_of(inside.pid)["policy"] == 1
            assert scheduler_of(inside.pid)["priority"] == 7
        deadline = Scheduler(policy="deadline", runtime_ns=MS, deadline_ns=2 * MS)
        reset = Scheduler(policy="batch", flags=["reset_on_fork"])
        for scheduler in (deadline, reset):
            async with Container(Config(scheduler=scheduler, **common)) as container:
                with pytest.raises(SetupError, match="isn't inherited"):
                    await container.start(SLEEP)


async def test_flags_are_kept(rootfs: Path) -> None:
    scheduler = Scheduler(policy="batch", flags=["SCHED_FLAG_RESET_ON_FORK"])
    async for pid in both(Config(rootfs=rootfs, scheduler=scheduler)):
        assert scheduler_of(pid)["flags"] == 1


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        # The kernel never had SCHED_ISO; clamps are an option of its build.
        pytest.param({"policy": "iso"}, {errno.EINVAL}, id="iso"),
        pytest.param(
            {"policy": "other", "util_min": 100, "util_max": 900},
            {0, errno.EOPNOTSUPP},
            id="clamps",
        ),
    ],
)
async def test_a_policy_that_the_kernel_lacks_is_named(
    rootfs: Path, wanted: dict[str, Any], codes: set[int]
) -> None:
    config = Config(rootfs=rootfs, scheduler=Scheduler(**wanted))
    async with Container(config) as container:
        error = await refusal(container)
        if error is None:
            assert 0 in codes
            return
        assert error.step == "set scheduler"
        assert isinstance(error.__cause__, OSError)
        assert error.__cause__.errno in codes


@needs("cgroup-v1-cpu")
async def test_a_realtime_policy_without_a_budget_says_what_is_missing(
    rootfs: Path,
) -> None:
    config = Config(rootfs=rootfs, scheduler=Scheduler(policy="fifo", priority=1))
    async with Container(config) as container:
        error = await refusal(container)
        if error is not None:  # else the kernel was built without RT_GROUP_SCHED
            assert "realtime_runtime_us" in error.reason
            assert isinstance(error.__cause__, PermissionError)


IO = [
    pytest.param("rt", 1, id="realtime"),
    pytest.param("BE", 6, id="best effort"),
    pytest.param("IOPRIO_CLASS_IDLE", 0, id="idle"),
]


@pytest.mark.parametrize(("kind", "level"), IO)
@pytest.mark.parametrize("space", [{}, USER], ids=["", "user namespace"])
@pytest.mark.covers(
    "scheduler and I/O priority",
    "process.ioPriority.class",
    "process.ioPriority.priority",
)
async def test_a_process_has_the_io_priority_that_was_asked_for(
    rootfs: Path, kind: str, level: int, space: Any
) -> None:
    wanted = IoPriority(io_class=kind, level=level)
    async for pid in both(Config(rootfs=rootfs, io_priority=wanted, **space)):
        assert io_priority_of(pid) == IO_CLASSES[wanted.io_class] << 13 | level


MEMORY = [
    pytest.param({"mode": "bind", "nodes": "0"}, "bind:0", id="bind"),
    pytest.param({"mode": "preferred", "nodes": "0"}, "prefer:0", id="preferred"),
    pytest.param({"mode": "preferred"}, "local", id="preferred, no node"),
    pytest.param({"mode": "interleave", "nodes": "0"}, "interleave:0", id="interleave"),
    pytest.param({"mode": "local"}, "local", id="local"),
    pytest.param({"mode": "default"}, "default", id="default"),
    pytest.param(
        {"mode": "bind", "nodes": "0", "flags": ["static_nodes"]},
        "bind=static:0",
        id="static nodes",
    ),
    pytest.param(
        {"mode": "interleave", "nodes": "0", "flags": ["relative_nodes"]},
        "interleave=relative:0",
        id="relative nodes",
    ),
    pytest.param(
        {"mode": "preferred_many", "nodes": "0"}, "prefer (many):0", id="many"
    ),
    pytest.param(
        {"mode": "weighted_interleave", "nodes": "0"},
        "weighted interleave:0",
        id="weighted",
    ),
]


@pytest.mark.skipif(
    not os.path.exists("/proc/self/numa_maps"), reason="the kernel has no NUMA"
)
@pytest.mark.parametrize(("wanted", "shown"), MEMORY)
@pytest.mark.covers(
    "NUMA memory policy and personality",
    "linux.memoryPolicy.mode",
    "linux.memoryPolicy.nodes",
    "linux.memoryPolicy.flags",
)
async def test_a_process_has_the_memory_policy_that_was_asked_for(
    rootfs: Path, wanted: dict[str, Any], shown: str
) -> None:
    config = Config(rootfs=rootfs, memory_policy=MemoryPolicy(**wanted))
    async for pid in both(config):
        assert shown.split()[0] in memory_policies_of(pid)


@pytest.mark.skipif(
    not os.path.exists("/proc/self/numa_maps"), reason="the kernel has no NUMA"
)
async def test_a_node_that_is_not_there_is_refused(rootfs: Path) -> None:
    policy = MemoryPolicy(mode="bind", nodes="1000")
    async with Container(Config(rootfs=rootfs, memory_policy=policy)) as container:
        with pytest.raises(SetupError, match="set memory policy"):
            await container.start(SLEEP)


async def test_the_execution_domain_is_what_uname_tells(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, personality=Personality(domain="LINUX32"))
    machine = await shell(config, "uname -m")
    assert machine.strip() in ("i686", "armv8l", "armv7l")
    assert machine.strip() != os.uname().machine


@pytest.mark.parametrize(
    ("flags", "value"),
    [((), 8), (("ADDR_NO_RANDOMIZE", "addr_limit_3gb"), 8 | 0x0040000 | 0x8000000)],
)
@pytest.mark.covers("linux.personality.flags")
async def test_flags_of_the_execution_domain(
    rootfs: Path, flags: tuple[str, ...], value: int
) -> None:
    personality = Personality(domain="PER_LINUX32", flags=flags)
    async for pid in both(Config(rootfs=rootfs, personality=personality)):
        assert personality_of(pid) == value


async def test_what_is_set_late_is_permitted_by_any_filter(rootfs: Path) -> None:
    """The default filter permits neither; without no_new_privs it is loaded early."""
    config = Config(
        rootfs=rootfs,
        no_new_privs=False,
        scheduler=Scheduler(policy="batch"),
        io_priority=IoPriority(io_class="idle"),
        memory_policy=MemoryPolicy(mode="local"),
        personality=Personality(flags=["ADDR_COMPAT_LAYOUT"]),
        cpu_affinity="0",
        parent_death_signal="SIGKILL",
    )
    async for pid in both(config):
        assert scheduler_of(pid)["policy"] == 3
        assert personality_of(pid) == 0x0200000


# -- CPUs ------------------------------------------------------------------------------

LAST = max(os.sched_getaffinity(0))


@needs("two-processors")
async def test_the_first_and_later_processes_run_on_the_cpus_asked_for(
    rootfs: Path,
) -> None:
    config = Config(rootfs=rootfs, cpu_affinity=f"{LAST}")
    async for pid in both(config):
        assert os.sched_getaffinity(pid) == {LAST}


@needs("two-processors")
@pytest.mark.covers("CPU affinity of who joins", "process.execCPUAffinity.final")
async def test_who_joins_has_cpus_of_its_own(rootfs: Path) -> None:
    wanted = ExecCpuAffinity(initial="0", final=f"{LAST}")
    config = Config(rootfs=rootfs, exec_cpu_affinity=wanted)
    async with Container(config) as container:
        first = await container.start(SLEEP)
        later = await container.start(SLEEP)
        other = await container.start(SLEEP, exec_cpu_affinity=None, cpu_affinity="0")
        assert os.sched_getaffinity(first.pid) == os.sched_getaffinity(0)
        assert os.sched_getaffinity(later.pid) == {LAST}
        assert os.sched_getaffinity(other.pid) == {0}


@needs("two-processors")
@pytest.mark.covers("process.execCPUAffinity.initial")
async def test_after_the_initial_cpus_come_all(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, exec_cpu_affinity=ExecCpuAffinity(initial="0"))
    async with Container(config) as container:
        await container.start(SLEEP)
        later = await container.start(SLEEP)
        assert os.sched_getaffinity(later.pid) == os.sched_getaffinity(0)


async def test_a_cpu_that_is_not_there_is_refused(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs, cpu_affinity="8191")) as container:
        with pytest.raises(SetupError, match="set affinity"):
            await container.start(SLEEP)


PINNED = """
import asyncio, os, sys
from aiocontainer import Config, Container, Resources
from aiocontainer.config import CpuLimits

async def main():
    os.sched_setaffinity(0, {0})  # and so the spawner's, and all children's
    resources = Resources(cpu=CpuLimits(cpus=sys.argv[2] or None))
    config = Config(rootfs=sys.argv[1], resources=resources)
    async with Container(config) as container:
        for _ in range(2):
            process = await container.start(["sleep", "60"])
            print(*sorted(os.sched_getaffinity(process.pid)))

asyncio.run(main())
"""


@needs("two-processors", "cgroup-v1-cpuset")
@pytest.mark.parametrize(
    ("cpus", "found"),
    [
        pytest.param("", "0", id="no cpuset: the program's choice is inherited"),
        pytest.param(f"0-{LAST}", " ".join(map(str, range(LAST + 1))), id="cpuset"),
    ],
)
def test_a_cpuset_is_not_narrowed_by_the_programs_own_choice(
    rootfs: Path, cpus: str, found: str
) -> None:
    with program(PINNED, str(rootfs), cpus) as child:
        assert [child.line(60), child.line(60)] == [found, found]
        assert child.wait(60) == 0


# -- limits ----------------------------------------------------------------------------


async def test_all_limits_are_set_on_first_and_later_processes(rootfs: Path) -> None:
    wanted = {}
    for name, number in RLIMITS.items():
        hard = resource.getrlimit(number)[1]
        hard = 1 << 30 if hard == resource.RLIM_INFINITY else hard
        wanted[name] = (hard // 2, hard)
    wanted["RLIMIT_AS"] = wanted["RLIMIT_DATA"] = (1 << 30, 1 << 31)
    assert len(wanted) == 16
    async for pid in both(Config(rootfs=rootfs, rlimits=wanted)):
        for name, limit in wanted.items():
            assert resource.prlimit(pid, RLIMITS[name]) == limit, name


@needs("user-namespace")
async def test_a_limit_is_raised_for_a_user_namespace_by_who_may(rootfs: Path) -> None:
    """Inside, nobody has the host's CAP_SYS_RESOURCE."""
    kind = resource.RLIMIT_CORE
    with program(LOWERED, str(rootfs)) as child:
        said = [child.line(60), child.line(60)]
        assert child.wait(60) == 0
    may = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    if may >> 24 & 1:
        assert said == ["5000 6000", "5000 6000"]
    else:
        assert all("prlimit" in line or "not permitted" in line for line in said)
    assert resource.getrlimit(kind)[1] != 4000


LOWERED = """
import asyncio, resource, sys
from aiocontainer import Config, ContainerError, Container, IdMapping, Namespaces

async def main():
    resource.setrlimit(resource.RLIMIT_CORE, (4000, 4000))
    ids = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
    config = Config(
        rootfs=sys.argv[1], namespaces=Namespaces(user="new"), uid_mappings=ids,
        gid_mappings=ids)
    limits = {"core": (5000, 6000)}
    async with Container(config) as container:
        try:
            process = await container.start(["sleep", "60"], rlimits=limits)
            print(*resource.prlimit(process.pid, resource.RLIMIT_CORE))
        except ContainerError as error:
            print(error, error.__cause__)
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        try:
            process = await container.start(["sleep", "60"], rlimits=limits)
            print(*resource.prlimit(process.pid, resource.RLIMIT_CORE))
        except ContainerError as error:
            print(error, error.__cause__)

asyncio.run(main())
"""


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
async def test_the_umask_is_the_programs(rootfs: Path, umask: int) -> None:
    async for pid in both(Config(rootfs=rootfs, umask=umask)):
        status = Path(f"/proc/{pid}/status").read_text()
        assert int(status.split("Umask:")[1].split()[0], 8) == umask


@pytest.mark.parametrize("score", [0, 500, 1000])
async def test_the_oom_score_is_set(rootfs: Path, score: int) -> None:
    async for pid in both(Config(rootfs=rootfs, oom_score_adj=score)):
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == score


# -- the end of the parent -------------------------------------------------------------

ORPHAN = """
import asyncio, ctypes, os, signal, sys
from aiocontainer import Config, Container
from aiocontainer.proc import spawner

async def main():
    # No cgroups: the janitor, who would remove them, is to be out of the way.
    config = Config(
        rootfs=sys.argv[1], user=sys.argv[2], parent_death_signal="SIGKILL",
        cgroup={"mode": "off"})
    async with Container(config) as container:
        first = await container.start(["sleep", "60"])
        later = await container.start(["sleep", "60"])
        print(first.pid, later.pid)
        os.kill(spawner.current().pid, signal.SIGSTOP)
        print("ready")
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("user", ["0", "tester"])
@pytest.mark.covers("parent death signal")
def test_the_end_of_the_program_is_signalled(rootfs: Path, user: str) -> None:
    """Kept over the change of user, which clears it."""
    with program(ORPHAN, str(rootfs), user) as child:
        pids = [int(word) for word in child.line(60).split()]
        watches = [os.pidfd_open(pid) for pid in pids]
        assert child.line(60) == "ready"
        child.kill()
        assert _ends_within(watches[1], 5)
        os.waitpid(pids[1], 0)  # pid 1 ends last, once all others have been reaped
        assert _ends_within(watches[0], 5)
        for watch in watches:
            os.close(watch)


def _ends_within(pidfd: int, timeout_s: float) -> bool:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


async def test_without_it_nothing_is_set(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, parent_death_signal=0 or None)
    async for pid in both(config):
        assert scheduler_of(pid)["policy"] == scheduler_of(0)["policy"]


async def test_wrong_settings_of_one_process_leave_the_container(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(SLEEP)
        with pytest.raises(SetupError, match="set scheduler"):
            await container.start(SLEEP, scheduler=Scheduler(policy="iso"))
        with pytest.raises(ExecError):
            await container.start(["/nothing"], scheduler=Scheduler(policy="batch"))
        result = await container.run(["true"])
        assert result.returncode == 0
