"""Later processes of a container in a cgroup that somebody made below its own."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from aiocontainer import (
    CgroupSettings,
    Config,
    ConfigError,
    Container,
    ContainerError,
    ExecError,
    ExitReason,
    Namespaces,
    Runtime,
    StatusError,
    UnsupportedFeature,
)
from tests.support.capabilities import needs
from tests.support.cgroups import LAYOUT, places, reap
from tests.support.shells import READY, started, until

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

SLEEP = ["sleep", "60"]
IS_V2 = LAYOUT.mode == "v2"
only_v1 = pytest.mark.skipif(IS_V2, reason="v2 has one hierarchy")
only_v2 = pytest.mark.skipif(not IS_V2, reason="needs the controllers on v2")


def make(pid: int, path: str) -> list[str]:
    """A cgroup below that of a first process, in each hierarchy."""
    made = [f"{top}/{path}" for top in places(pid).values()]
    for directory in made:
        os.makedirs(directory)
    for directory in made:
        if os.path.exists(f"{directory}/cpuset.mems"):
            inherit_cpuset(directory)
    return made


def inherit_cpuset(directory: str) -> None:
    above = os.path.dirname(directory)
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not Path(above, name).read_text().strip():
            inherit_cpuset(above)
        if not IS_V2:
            Path(directory, name).write_text(Path(above, name).read_text())


def inside(directories: Iterable[str]) -> set[int]:
    texts = (Path(one, "cgroup.procs").read_text() for one in directories)
    return {int(pid) for text in texts for pid in text.split()}


# -- where it is -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "", "./", "sub", "/sub/", "sub//inner/."])
async def test_a_process_is_where_it_was_asked_for(rootfs: Path, path: str) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        make(first.pid, "sub/inner")
        process = await container.start(SLEEP, cgroup=path)
        end = os.path.normpath("/" + path.strip("/")).rstrip("/")
        wanted = {name: top + end for name, top in places(first.pid).items()}
        assert places(process.pid) == wanted
        assert process.pid in container.processes()


@only_v1
async def test_on_v1_a_controller_can_have_a_place_of_its_own(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        own = places(first.pid)
        os.mkdir(own["memory"] + "/sub")
        wanted = own | {"memory": own["memory"] + "/sub"}
        process = await container.start(SLEEP, cgroup={"memory": "sub", "pids": "/"})
        assert places(process.pid) == wanted


async def test_what_the_container_made_is_found_by_the_name_it_has_there(
    rootfs: Path,
) -> None:
    config = Config(rootfs=rootfs, namespaces=Namespaces(cgroup="new"))
    async with Container(config) as container:
        first = await container.start(SLEEP)
        make(first.pid, "sub")
        process = await container.start(
            ["sh", "-c", f"cat /proc/self/cgroup; {READY}"],
            cgroup="sub",
            stdin=-1,
            stdout=-1,
        )
        assert process.stdout is not None
        seen = await process.stdout.receive()
        shown = [line.split(b":", 2)[2] for line in seen.splitlines() if b":" in line]
        assert shown.count(b"/sub") == len(places(first.pid))


async def test_a_loaded_container_takes_one_that_lives_on(
    rootfs: Path, tmp_path: Path
) -> None:
    runtime = Runtime(tmp_path / "state")
    made = await runtime.create(None, Config(rootfs=rootfs), SLEEP, detach=True)
    await made.start()
    await made.aclose()
    try:
        async with runtime.load(made.id) as container:
            assert container.pid is not None
            directories = make(container.pid, "sub")
            await container.start(SLEEP, cgroup="sub")
            left = await container.start(SLEEP, cgroup="sub", detach=True)
        assert inside(directories) == {left.pid}
        os.kill(left.pid, signal.SIGKILL)
        await until(lambda: inside(directories) == set())
    finally:
        await runtime.load(made.id).destroy()
    assert not any(map(os.path.exists, directories))
    assert runtime.list() == []


# -- what can't be ---------------------------------------------------------------------


NOT_BELOW = (
    *("..", "/..", "../..", "sub/..", "sub/../..", "./..//", "nope", "sub/nope"),
    *("cgroup.procs", "sub/cgroup.procs/x", "a\0b", "a\nb", "x" * 300, "a/" * 3000),
    *(7, b"sub", ["sub"], {"nobody": "/"}, {"": "sub"}, {"memory": "../sub"}),
    *({"memory": 7}, {7: "sub"}),
)


async def test_what_is_no_cgroup_below_is_refused_untouched(
    rootfs: Path, tmp_path: Path
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        make(first.pid, "sub")
        for path in NOT_BELOW:
            with pytest.raises(ConfigError) as caught:
                await container.start(
                    SLEEP,
                    cgroup=path,  # type: ignore[arg-type]
                    pidfd_socket=tmp_path / "nobody",
                )
            assert caught.value.field == "cgroup", path
            assert container.processes() == [first.pid], path


@only_v2
async def test_v2_has_no_places_by_controller(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(SLEEP)
        with pytest.raises(ConfigError, match="unknown controller 'memory'"):
            await container.start(SLEEP, cgroup={"memory": "/"})


async def test_what_is_mounted_over_a_cgroup_is_not_below(
    rootfs: Path, tmp_path: Path
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        directory = make(first.pid, "sub")[0]
        above = os.path.dirname(os.path.dirname(directory))
        await anyio.run_process(["mount", "--bind", above, directory])
        try:
            with pytest.raises(ConfigError, match="cgroup"):
                await container.start(SLEEP, cgroup="sub")
        finally:
            await anyio.run_process(["umount", directory])


async def test_a_cgroup_that_takes_no_process_is_told(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        make(first.pid, "sub")
        own = places(first.pid)
        if IS_V2:  # no internal processes: systemd in a container does this
            Path(own[""], "sub/cgroup.procs").write_text(str(first.pid))
            Path(own[""], "cgroup.subtree_control").write_text("+memory")
        else:
            Path(own["cpuset"], "sub/cpuset.mems").write_text("\n")
        with pytest.raises(ContainerError):
            await container.start(SLEEP, cgroup="/" if IS_V2 else "sub")
        assert container.processes() == [first.pid]
        assert (await container.run(["true"])).returncode == 0
        if IS_V2:
            process = await container.start(SLEEP, cgroup="sub")
            assert places(process.pid) == places(first.pid)


async def test_the_first_process_has_no_choice(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        with pytest.raises(ConfigError, match="the first process"):
            await container.start(SLEEP, cgroup="/")
        assert container.pid is None


async def test_without_cgroups_there_is_none_below(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, cgroup=CgroupSettings(mode="off"))
    async with Container(config) as container:
        await container.start(SLEEP)
        with pytest.raises(UnsupportedFeature):
            await container.start(SLEEP, cgroup="/")


async def test_nothing_is_put_below_what_has_ended(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        container.kill()
        await first.wait()
        with pytest.raises(StatusError):
            await container.start(SLEEP, cgroup="/")


# -- what is told of it, and done to it ------------------------------------------------


async def test_what_can_not_be_told_apart_is_not_told(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs, pids=50)) as container:
        await container.start(SLEEP)
        process = await container.start(["sh", "-c", "sleep 0; exit 3"], cgroup="/")
        assert await process.wait() == 3
        usage = process.usage
    assert usage is not None
    assert usage.cpu_s > 0  # its own, by wait4(2)
    assert (usage.memory_peak_bytes or 0) > 0
    assert (usage.oom_kills, usage.pids_peak, usage.io_read_bytes) == (None,) * 3


async def test_a_kill_for_memory_is_nobodys_where_it_could_be_anybodys(
    rootfs: Path,
) -> None:
    async with Container(Config(rootfs=rootfs, memory="24MiB")) as container:
        first = await started(container, READY + "; exit 7")
        bomb = ["sh", "-c", "x=x; while :; do x=$x$x; done"]
        process = await container.start(bomb, cgroup="/")
        assert await process.wait() == -signal.SIGKILL
        assert process.reason is ExitReason.SIGNALED
        await first.stdin.aclose()
        assert await first.wait() == 7
    assert first.reason is ExitReason.EXITED
    assert first.usage is not None
    assert first.usage.oom_kills == 1  # in the container as a whole


async def test_a_kill_reaches_its_group_and_nobody_else(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        directories = make(first.pid, "sub")
        neighbour = await container.start(SLEEP, cgroup="sub")
        process = await started(container, f"sleep 61 & {READY}", cgroup="sub")
        assert len(inside(directories)) == 3
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        await until(lambda: inside(directories) == {neighbour.pid})
        assert first.pid in container.processes()


@pytest.mark.parametrize("pid", ["new", "host"])
async def test_with_the_container_all_below_it_ends_and_goes(
    rootfs: Path, pid: str
) -> None:
    config = Config(rootfs=rootfs, namespaces=Namespaces(pid=pid))
    async with Container(config) as container:
        first = await container.start(SLEEP)
        directories = make(first.pid, "sub/inner")
        process = await container.start(
            ["sh", "-c", "setsid sleep 62 & exit 0"], cgroup="sub/inner"
        )
        await process.wait()
        left = inside(directories)
        assert len(left) == 1  # in a session of its own, nobody's child by now
        assert left < set(container.processes())
    assert not any(map(os.path.exists, directories))
    if pid == "host":
        reap(left)


async def test_what_was_chosen_stays_whatever_becomes_of_the_process(
    rootfs: Path,
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(SLEEP)
        directories = make(first.pid, "sub")
        with pytest.raises(ExecError):
            await container.start(["nope"], cgroup="sub")
        assert await (await container.start(["true"], cgroup="sub")).wait() == 0
        process = await container.start(SLEEP, cgroup="sub")
        await process.aclose()
        with anyio.move_on_after(0):
            await container.start(SLEEP, cgroup="sub")
        assert inside(directories) == set()
        assert container.status() == "running"
