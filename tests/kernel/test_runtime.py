"""Containers of a `Runtime`: created, found by others, begun, watched and ended."""

import contextlib
import json
import os
import signal
from pathlib import Path

import anyio
import pytest

from aiocontainer import (
    CgroupSettings,
    Config,
    ConfigError,
    Container,
    ContainerError,
    ContainerExists,
    ContainerNotFound,
    ExecError,
    Exit,
    ExitReason,
    Mount,
    Network,
    Oom,
    Resources,
    Runtime,
    SetupError,
    StateError,
    StatusError,
    UnsupportedFeature,
)
from aiocontainer._sys import pidfd as sys_pidfd
from aiocontainer.proc.stdio import PIPE
from aiocontainer.state import Identity, Store
from tests.support import leaks, procfs
from tests.support.capabilities import needs
from tests.support.shells import READY, started, until
from tests.support.sweeps import cancel_sweep, fault_sweep, task_cancel_sweep

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

SLEEP = ["sleep", "60"]
WEB = f"web-{os.getpid()}"
"""Of this test run alone: cgroups are named after their containers."""


@pytest.fixture
def anyio_backend():
    """Nothing here is about the loop, but for the sweep below."""
    return "asyncio", {}


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs, memory="64MiB", pids=64)


@pytest.fixture
def runtime(tmp_path):
    """A runtime; all programs of a test share its root."""
    return Runtime(tmp_path / "state")


@pytest.fixture
def other(runtime):
    """The same containers, as another program sees them."""
    return Runtime(runtime.root)


@pytest.fixture(params=["tells all", "tells the parent"])
def kernel(request, monkeypatch):
    """As it is, and one before 6.15: of who was reaped it says nothing any more."""
    if request.param == "tells the parent":
        monkeypatch.setattr(sys_pidfd, "_status_of_reaped", lambda _pidfd: None)
    return request.param


# -- created, and begun ----------------------------------------------------------------


@pytest.mark.covers("created and started in two steps")
async def test_a_created_container_is_complete_but_for_its_program(runtime, config):
    async with await runtime.create(WEB, config, SLEEP) as container:
        assert (container.id, container.status()) == (WEB, "created")
        assert procfs.read_stat(container.pid).name != "sleep"
        assert container.processes() == [container.pid]
        assert (await container.stats()).memory.usage.limit_bytes == 64 << 20
        process = await container.start()
        assert process is container.init
        assert container.status() == "running"
        assert procfs.read_stat(container.pid).name == "sleep"
    assert container.status() == "stopped"
    assert os.listdir(runtime.root) == []


async def test_another_program_may_begin_it(runtime, other, config, kernel):
    async with (
        await runtime.create(WEB, config, ["cat"], stdin=PIPE) as container,
        other.load(WEB) as loaded,
    ):
        assert (loaded.status(), loaded.pid) == ("created", container.pid)
        await loaded.start()
        assert container.status() == loaded.status() == "running"
        await container.init.stdin.aclose()
        assert await loaded.wait() == await container.wait() == 0
        assert loaded.status() == "stopped"
        assert loaded.init.reason is ExitReason.EXITED


async def test_to_be_asked_for_its_status_does_not_begin_it(runtime, other, config):
    async with await runtime.create(WEB, config, SLEEP) as container:
        for _ in range(50):
            assert other.list()[0].status == "created"
        await container.start()
        assert other.list()[0].status == "running"


async def test_of_all_who_begin_it_at_once_one_does(runtime, other, config):
    outcomes = []

    async def begin(container):
        try:
            await container.start()
            outcomes.append("running")
        except StatusError as error:
            outcomes.append(error.wanted)

    async with (
        await runtime.create(WEB, config, SLEEP) as container,
        other.load(WEB) as loaded,
        anyio.create_task_group() as tasks,
    ):
        for each in (container, loaded, container, loaded):
            tasks.start_soon(begin, each)
    assert sorted(outcomes) == ["running", "start", "start", "start"]


@pytest.mark.parametrize("how", ["begun", "ended", "killed before"])
async def test_a_container_begins_once(runtime, config, how):
    async with await runtime.create(WEB, config, ["cat"], stdin=PIPE) as container:
        if how == "killed before":
            container.kill()
        else:
            await container.start()
            if how == "ended":
                await container.init.stdin.aclose()
        if how != "begun":
            await container.init.wait_for_end()
        with pytest.raises(StatusError) as caught:
            await container.start()
        assert caught.value.status == ("running" if how == "begun" else "stopped")


async def test_a_program_that_is_missing_is_told_by_create(runtime, config):
    with pytest.raises(ExecError, match="not found") as caught:
        await runtime.create(WEB, config, ["nonexistent"])
    assert caught.value.program == "nonexistent"
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert os.listdir(runtime.root) == []


async def test_a_program_that_cannot_be_executed_is_told_by_start(
    runtime, other, config, own_rootfs
):
    broken = own_rootfs / "bin/broken"
    broken.write_text("#!/nonexistent\n")
    broken.chmod(0o755)
    mine = Config(rootfs=own_rootfs)
    async with await runtime.create(WEB, mine, ["broken"]) as container:
        async with other.load(WEB) as loaded:
            with pytest.raises(ExecError, match="broken") as caught:
                await loaded.start()
            assert isinstance(caught.value.__cause__, FileNotFoundError)
        await container.init.wait_for_end()
        assert container.status() == "stopped"


async def test_a_created_container_can_be_joined_and_paused(runtime, config):
    async with await runtime.create(WEB, config, SLEEP) as container:
        assert (await container.run(["cat", "/proc/1/status"])).returncode == 0
        await container.pause()
        assert container.status() == "paused"
        await container.resume()
        assert container.status() == "created"
        await container.start()


async def test_without_a_program_it_has_the_built_in_init(runtime, config):
    async with await runtime.create(None, config) as container:
        await container.start()
        result = await container.run(["cat", "/proc/1/cmdline"])
        assert result.stdout == b"init\0"


async def test_the_settings_of_its_program_are_its_own(runtime, config):
    args = ["sh", "-c", "echo $X; id -u; read line"]
    options = {"stdin": PIPE, "stdout": PIPE, "env": {"X": "y", "PATH": "/bin"}}
    async with await runtime.create(WEB, config, args, user=1000, **options) as one:
        process = await one.start()
        assert await process.stdout.receive(2) == b"y\n"
        assert await process.stdout.receive(5) == b"1000\n"


async def test_a_terminal_is_there_from_the_beginning(runtime, config):
    args = ["sh", "-c", "stty size"]
    async with await runtime.create(WEB, config, args, terminal=(7, 70)) as container:
        process = await container.start()
        said = b""
        while b"\n" not in said:
            said += await process.terminal.receive()
        assert said.split() == [b"7", b"70"]


# -- found by others -------------------------------------------------------------------


async def test_a_loaded_container_has_the_whole_api(runtime, other, config):
    args = ["sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.02; done"]
    async with (
        await runtime.create(WEB, config, args) as container,
        other.load(WEB) as loaded,
    ):
        await loaded.start()
        assert loaded.config == config
        assert loaded.pid == container.pid
        assert loaded.pid in loaded.processes()
        assert loaded.isolation == container.isolation
        result = await loaded.run(["cat"], input=b"in", timeout=5)
        assert (result.stdout, result.reason) == (b"in", ExitReason.EXITED)
        await loaded.pause()
        assert container.status() == loaded.status() == "paused"
        with pytest.raises(StatusError):
            await loaded.start(["true"])
        await loaded.resume()
        await loaded.set(Resources(pids_limit=60))
        assert (await loaded.stats()).pids.limit == 60
        async with loaded.watch_stats(0.01) as samples:
            assert (await anext(samples)).value.pids.limit == 60
        async with loaded.events() as events:
            loaded.signal(signal.SIGTERM)
            async for event in events:
                if isinstance(event, Exit) and event.init:
                    assert event.returncode == 9
        assert await loaded.wait() == 9
        assert loaded.init.usage.memory_peak_bytes > 0


async def test_a_kill_for_memory_is_seen_by_who_only_watches(runtime, other, rootfs):
    config = Config(rootfs=rootfs, memory="8MiB")
    hungry = ["sh", "-c", "x=x; while :; do x=$x$x; done"]
    async with (
        await runtime.create(WEB, config, hungry) as container,
        other.load(WEB) as loaded,
        loaded.events() as events,
    ):
        await loaded.start()
        seen = [type(event) async for event in events]
        assert seen.index(Oom) < seen.index(Exit)
        await loaded.init.wait_for_end()
        assert loaded.init.reason is ExitReason.OOM_KILLED
        assert await container.wait() == -signal.SIGKILL


@needs("cgroup-v1-memory")
@pytest.mark.parametrize("who", ["owner", "other"])
@pytest.mark.parametrize(
    "watch",
    [
        pytest.param(lambda container: container.oom_events(), id="oom"),
        pytest.param(lambda container: container.pressure_events(), id="pressure"),
        pytest.param(lambda container: container.threshold_events(1), id="threshold"),
    ],
)
async def test_each_stream_ends_with_the_container_if_nobody_waits_for_that(
    runtime, other, config, watch, who
):
    async with (
        await runtime.create(WEB, config, ["cat"], stdin=PIPE) as container,
        other.load(WEB) as loaded,
        watch(container if who == "owner" else loaded) as events,
    ):
        await container.start()
        await container.init.stdin.aclose()
        with anyio.fail_after(5):
            async for _ in events:
                pass


async def test_what_was_started_through_it_ends_with_its_block(runtime, other, config):
    async with await runtime.create(WEB, config, SLEEP) as container:
        await container.start()
        async with other.load(WEB) as loaded:
            process = await started(loaded, f"sleep 50 & {READY}")
            inside = set(container.processes())
            assert {container.pid, process.pid} < inside
        assert process.ended
        await until(lambda: container.processes() == [container.pid])
        assert container.status() == "running"


async def test_runs_of_two_programs_do_not_meet(runtime, other, config):
    async with await runtime.create(WEB, config) as container:
        await container.start()
        async with other.load(WEB) as loaded:
            async with anyio.create_task_group() as tasks:
                for each in (container, loaded) * 4:
                    tasks.start_soon(each.run, ["true"])
            assert (await loaded.run(["true"])).returncode == 0


async def test_a_container_ends_while_others_have_joined_it(runtime, other, config):
    async with await runtime.create(WEB, config, ["cat"], stdin=PIPE) as container:
        await container.start()
        async with other.load(WEB) as loaded:
            process = await loaded.start(SLEEP)
            await container.init.stdin.aclose()
            assert await process.wait() == -signal.SIGKILL
            assert await loaded.wait() == 0


async def test_it_can_be_destroyed_by_another_program(runtime, other, config, kernel):
    container = await runtime.create(WEB, config, SLEEP)
    await container.start()
    async with other.load(WEB) as loaded:
        await loaded.destroy()
        assert loaded.status() == "stopped"
    assert other.list() == []
    assert await container.wait() == -signal.SIGKILL
    await container.destroy()
    with pytest.raises(ContainerNotFound):
        other.load(WEB)


async def test_an_id_is_taken_until_its_container_is_gone(runtime, other, config):
    async with await runtime.create(WEB, config, SLEEP):
        for again in (runtime, other):
            with pytest.raises(ContainerExists):
                await again.create(WEB, config, SLEEP)
        assert runtime.list()[0].status == "created"
    async with await other.create(WEB, config, SLEEP):
        pass


async def test_a_container_without_create_can_be_found_while_it_is_there(
    runtime, other, config
):
    async with runtime.container(config, id=WEB) as container:
        assert other.list() == []
        process = await container.start(["cat"], stdin=PIPE)
        assert other.list()[0].status == "running"
        async with other.load(WEB) as loaded:
            assert (await loaded.run(["true"])).returncode == 0
        await process.stdin.aclose()
        assert await container.wait() == 0
        assert [each.status for each in other.list()] == ["stopped"]
    assert other.list() == []


async def test_a_list_says_what_there_is(runtime, other, config):
    async with (
        await runtime.create(f"a-{WEB}", config, SLEEP) as first,
        await runtime.create(f"b-{WEB}", config, ["true"]) as second,
    ):
        await second.start()
        await second.wait()
        Path(runtime.root, "c").mkdir()
        Path(runtime.root, "c/state.json").write_text("{")
        one, two, three = other.list()
        assert (one.id, one.status, one.pid) == (f"a-{WEB}", "created", first.pid)
        assert (one.args, one.detached, one.owner) == (
            ("sleep", "60"),
            False,
            os.getpid(),
        )
        assert (two.id, two.status, two.pid) == (f"b-{WEB}", "stopped", None)
        assert (three.id, three.status) == ("c", "unknown")
        assert isinstance(three.error, StateError)
        with pytest.raises(StateError):
            other.load("c")


# -- that outlive their block ----------------------------------------------------------


async def test_a_detached_container_outlives_its_block(runtime, other, config, kernel):
    async with await runtime.create(WEB, config, SLEEP, detach=True) as container:
        await container.start()
        pid = container.pid
    assert container.status() == "stopped"
    with pytest.raises(StatusError, match="given back"):
        await container.destroy()
    assert other.list()[0].detached
    async with other.load(WEB) as loaded:
        assert (loaded.status(), loaded.pid) == ("running", pid)
        assert loaded.detached
        loaded.kill()
        assert await loaded.wait() == -signal.SIGKILL
    assert other.list()[0].status == "stopped"
    async with other.load(WEB) as loaded:
        assert loaded.status() == "stopped"
        assert await loaded.wait() == -signal.SIGKILL
        for use in (loaded.pause(), loaded.stats(), loaded.start(["true"])):
            with pytest.raises(StatusError):
                await use
        await loaded.destroy()
    assert other.list() == []


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
async def test_its_streams_do_not_depend_on_this_program(runtime, config, name):
    with pytest.raises(ConfigError, match=name):
        await runtime.create(WEB, config, SLEEP, detach=True, **{name: PIPE})
    assert not os.path.exists(runtime.root)


async def test_it_cannot_have_a_network_that_its_program_keeps(runtime, rootfs):
    config = Config(rootfs=rootfs, network=Network.bridge())
    with pytest.raises(UnsupportedFeature, match="detached"):
        await runtime.create(WEB, config, SLEEP, detach=True)
    assert not os.path.exists(runtime.root)


async def test_it_may_write_to_a_file(runtime, other, config, tmp_path):
    path = tmp_path / "output"
    args = ["sh", "-c", "echo out; echo err >&2"]
    with path.open("wb") as file:
        container = await runtime.create(
            WEB, config, args, detach=True, stdout=file, stderr=file
        )
    async with container:
        await container.start()
    async with other.load(WEB) as loaded:
        with contextlib.suppress(ChildProcessError):
            await loaded.wait()
        await loaded.destroy()
    assert path.read_bytes() == b"out\nerr\n"
    assert other.list() == []


async def test_a_detached_container_without_a_cgroup(runtime, other, rootfs):
    config = Config(rootfs=rootfs, cgroup=CgroupSettings(mode="off"))
    async with await runtime.create(WEB, config, SLEEP, detach=True) as container:
        await container.start()
    async with other.load(WEB) as loaded:
        with pytest.raises(UnsupportedFeature):
            await loaded.pause()
        await loaded.destroy()
    assert other.list() == []


@needs("systemd", "cgroup-v2-pure")
@pytest.mark.parametrize("way", ["destroyed", "collected"])
async def test_a_scope_of_systemd_outlives_its_program_and_goes_in_the_end(
    runtime, other, rootfs, way
):
    config = Config(rootfs=rootfs, cgroup=CgroupSettings(mode="systemd"))
    detach = way == "destroyed"
    container = await runtime.create(WEB, config, SLEEP, detach=detach)
    await container.start()
    with Store(runtime.root).open(WEB) as folder:
        record = folder.read()
        scope = os.path.dirname(next(iter(record.directories)))
        assert scope.endswith(".scope")
        if way == "collected":
            record.owner = Identity(record.owner.pid, 1, record.owner.pid_namespace)
            record.spawner = None
            folder.write(record)
    if way == "collected":
        assert await other.collect() == [WEB]
    else:
        await container.aclose()
        async with other.load(WEB) as loaded:
            assert (await loaded.run(["true"])).returncode == 0
            await loaded.destroy()
    await until(lambda: not os.path.isdir(scope))
    assert other.list() == []
    if not detach:
        await container.destroy()


# -- nothing is left -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"rootfs": "/nonexistent"}, SetupError, id="root"),
        pytest.param(
            {"mounts": [Mount.bind("/nonexistent", "/x")]}, SetupError, id="mount"
        ),
        pytest.param({"user": "nobody-at-all"}, SetupError, id="user"),
    ],
)
async def test_a_container_that_cannot_be_made_leaves_nothing(
    runtime, rootfs, change, error
):
    with pytest.raises(error):
        await runtime.create(WEB, Config(**{"rootfs": rootfs, **change}), SLEEP)
    assert os.listdir(runtime.root) == []


async def test_what_is_wrong_is_told_before_anything_is_touched(runtime, config):
    for wrong in (
        runtime.create("../web", config, SLEEP),
        runtime.create("x" * 65, config, SLEEP),
        runtime.create(WEB, config, []),
        runtime.create(WEB, config, ["a\0"]),
        runtime.create(WEB, config, SLEEP, user="?"),
        runtime.create(WEB, config, SLEEP, extra={"x": object()}),
    ):
        with pytest.raises(ConfigError):
            await wrong
    assert not os.path.exists(runtime.root)


@pytest.mark.parametrize("sweep", [cancel_sweep, task_cancel_sweep])
@pytest.mark.parametrize("detach", [False, True])
async def test_create_cancelled_anywhere_leaves_nothing(
    runtime, other, config, sweep, detach
):
    await (await runtime.create(WEB, config, SLEEP)).destroy()
    before = leaks.take()
    made = []

    async def create():
        made.append(await runtime.create(WEB, config, SLEEP, detach=detach))

    async def check(point):
        while made:
            await made.pop().destroy()
        assert other.list() == [], point
        assert leaks.find(before) == [], f"cancelled at suspension {point}"

    assert (await sweep(create, check)).points > 3


@pytest.mark.parametrize("sweep", [cancel_sweep, task_cancel_sweep])
async def test_start_cancelled_anywhere_leaves_a_container_to_destroy(
    runtime, other, config, sweep
):
    made = []

    async def start():
        made.append(await runtime.create(WEB, config, SLEEP))
        async with other.load(WEB) as loaded:
            await loaded.start()

    async def check(point):
        while made:
            container = made.pop()
            assert container.status() in ("created", "running")
            await container.destroy()
        assert other.list() == [], point

    await sweep(start, check)


@pytest.mark.slow
async def test_create_leaves_nothing_wherever_the_kernel_refuses(
    runtime, other, config
):
    await (await runtime.create(WEB, config, SLEEP)).destroy()
    before = leaks.take()

    async def create():
        async with await runtime.create(WEB, config, SLEEP) as container:
            await container.start()

    def check(point):
        assert other.list() == [], point
        assert leaks.find(before) == [], f"call {point} failed"

    hits = await fault_sweep(create, check, allowed=(ContainerError, OSError))
    assert "mkdir" in hits


# -- collected -------------------------------------------------------------------------


def spoil(runtime, id, text):
    folder = Path(runtime.root, id)
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    (folder / "state.json").write_bytes(text)


@pytest.mark.parametrize("text", [b"", b"{", b"\0" * 100, b'{"aiocontainer": 1}'])
async def test_a_damaged_record_can_be_collected(runtime, text):
    spoil(runtime, WEB, text)
    assert await runtime.collect() == [WEB]
    assert os.listdir(runtime.root) == []


@pytest.mark.parametrize("text", [b'{"id": "web"}', b'{"aiocontainer": 99}'])
async def test_a_foreign_record_is_collected_if_that_is_wanted(runtime, text):
    spoil(runtime, WEB, text)
    assert await runtime.collect() == []
    assert await runtime.collect(foreign=True) == [WEB]


async def test_files_of_others_are_never_removed(runtime):
    spoil(runtime, WEB, b"{")
    Path(runtime.root, WEB, "exec.fifo").touch()
    with pytest.raises(StateError, match=r"exec\.fifo"):
        await runtime.collect(foreign=True)
    Path(runtime.root, "empty").mkdir()
    assert sorted(os.listdir(Path(runtime.root, WEB))) == ["exec.fifo", "state.json"]


async def test_what_lives_is_not_collected(runtime, other, config):
    async with (
        await runtime.create("a", config, SLEEP),
        await runtime.create("b", config, SLEEP, detach=True) as detached,
    ):
        assert await other.collect(stopped=True, foreign=True) == []
        await detached.start()
        assert await other.collect(stopped=True) == []
        detached.kill()
        await detached.wait()
        assert await other.collect() == []
        assert await other.collect(stopped=True) == ["b"]


async def test_a_container_of_a_dead_owner_is_ended_and_collected(
    runtime, other, config
):
    """As if this program had been killed, and its spawner with it."""
    container = await runtime.create(WEB, config, SLEEP)
    await container.start()
    with Store(runtime.root).open(WEB) as folder:
        record = folder.read()
        record.owner = Identity(record.owner.pid, 1, record.owner.pid_namespace)
        record.spawner = None
        folder.write(record)
        directories = record.directories
    assert other.list()[0].leftover
    assert await other.collect() == [WEB]
    assert not any(map(os.path.exists, directories))
    assert await container.wait() == -signal.SIGKILL
    await container.destroy()


async def test_another_cgroup_of_the_same_name_is_left_alone(runtime, other, config):
    """The record of a dead program names paths; who made them since isn't meant."""
    place = CgroupSettings(name=f"aiocontainer-test-{os.getpid()}")
    config = Config(rootfs=config.rootfs, cgroup=place)
    async with await runtime.create("old", config, SLEEP) as old:
        record = json.loads(Path(runtime.root, "old/state.json").read_text())
    assert old.status() == "stopped"
    async with Container(config) as container:
        await container.start(SLEEP)
        record["owner"][1] = 1
        record["spawner"] = None
        spoil(runtime, "old", json.dumps(record).encode())
        assert await other.collect() == ["old"]
        assert container.status() == "running"
