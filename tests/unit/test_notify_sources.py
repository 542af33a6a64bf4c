"""Sources on files that look like the kernel's and change when told."""

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.errors import ConfigError
from aiocontainer.notify.cgroup_events import CgroupEventsSource, PidsSource
from aiocontainer.notify.hub import EventHub
from aiocontainer.notify.memory_events import (
    Kills,
    MemoryEventsSource,
    merge_group_kills,
)
from aiocontainer.notify.oom import OomWatch, read_oom_kills
from aiocontainer.notify.pressure import (
    PressureSource,
    StallTrigger,
    parse_stall_total,
    pressure_path,
)
from aiocontainer.notify.records import (
    MemoryHigh,
    MemoryMax,
    Oom,
    Paused,
    PidsMax,
    Pressure,
    Resumed,
)
from aiocontainer.notify.source import parse_counts
from tests.support.notify import descriptors, fake_tree

pytestmark = pytest.mark.anyio


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A v2 cgroup with nothing counted yet."""
    with fake_tree(tmp_path / "box", monkeypatch) as tree:
        set_events(tree)
        tree.counts("cgroup.events", populated=1, frozen=0)
        tree.write("memory.oom.group", "0\n")
        yield tree


def set_events(tree, kills=0, *, local=None, groups=0, high=0, hits=0, fire=False):
    """Write memory.events and memory.events.local of the watched cgroup."""
    common = {"low": 0, "high": high, "max": hits, "oom": 0}
    own = kills if local is None else local
    tree.counts("memory.events.local", **common, oom_kill=own, oom_group_kill=groups)
    tree.counts(
        "memory.events", **common, oom_kill=kills, oom_group_kill=groups, fire=fire
    )


def set_local(tree, name, kills, groups=0):
    tree.counts(f"{name}/memory.events.local", oom_kill=kills, oom_group_kill=groups)


async def take(stream, count=1):
    with anyio.fail_after(5):
        return [await anext(stream) for _ in range(count)]


async def rest(stream):
    with anyio.fail_after(5):
        return [record async for record in stream]


async def test_v2_yields_the_increase_and_not_the_count(tree):
    set_events(tree, kills=3)
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_events(tree, kills=4, fire=True)
        assert await take(watch) == [Oom(1, 0, 4, root)]
        set_events(tree, kills=6, fire=True)
        assert await take(watch) == [Oom(2, 0, 6, root)]


async def test_v2_change_without_a_kill_is_no_event(tree):
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_events(tree, hits=5, fire=True)
        set_events(tree, hits=6, kills=1, fire=True)
        assert await take(watch) == [Oom(1, 0, 1, root)]


async def test_v2_from_the_start_reports_the_kills_before_the_watch(tree):
    set_events(tree, kills=3, local=1)
    set_local(tree, "run-1", 2)
    root = str(tree.root)
    async with OomWatch(root, 2, from_start=True) as watch:
        assert await take(watch, 2) == [
            Oom(1, 0, 1, root),
            Oom(2, 0, 2, f"{root}/run-1", "run-1"),
        ]


async def test_v2_kill_right_after_the_limit_was_met_is_looked_for(tree):
    """The kernel tells of no second change within 10 ms."""
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_events(tree, hits=1, fire=True)
        set_events(tree, hits=3, kills=1)
        assert await take(watch) == [Oom(1, 0, 1, root)]


async def test_v2_kill_is_named_by_the_cgroup_below_that_had_it(tree):
    set_local(tree, "run-1", 5)
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_local(tree, "run-1", 6)
        set_local(tree, "run-2/deep", 2)
        set_local(tree, "run-2", 0)
        set_events(tree, kills=3, local=0, fire=True)
        assert await take(watch, 2) == [
            Oom(1, 0, 6, f"{root}/run-1", "run-1"),
            Oom(2, 0, 2, f"{root}/run-2/deep", "run-2/deep"),
        ]


async def test_v2_kill_in_a_removed_cgroup_counts_as_the_watched_ones(tree):
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_events(tree, kills=2, local=0, fire=True)
        assert await take(watch) == [Oom(2, 0, 2, root)]
        set_events(tree, kills=3, local=1, fire=True)
        assert await take(watch) == [Oom(1, 0, 1, root)]


async def test_v2_local_count_ahead_of_the_total_is_told_once(tree):
    """The two files are read one after the other, and a kill may fall between."""
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_events(tree, kills=1, local=2, fire=True)
        assert await take(watch) == [Oom(2, 0, 2, root)]
        set_events(tree, kills=2, local=2, fire=True)
        set_events(tree, kills=3, local=3, fire=True)
        assert await take(watch) == [Oom(1, 0, 3, root)]


async def test_v2_group_kill_is_one_event_with_all_its_victims(tree):
    tree.write("memory.oom.group", "1\n")
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_events(tree, kills=1, groups=0, fire=True)  # the kernel is not done
        set_events(tree, kills=3, groups=1, fire=True)
        set_local(tree, "run-1", 2)
        set_events(tree, kills=7, local=5, groups=1, fire=True)
        assert await take(watch) == [Oom(7, 1, 7, root)]
        tree.remove()
        assert await rest(watch) == []


async def test_v2_check_does_not_wait_for_a_group_kill_to_finish(tree):
    tree.write("memory.oom.group", "1\n")
    root = str(tree.root)
    async with OomWatch(root, 2) as watch:
        set_events(tree, kills=2, groups=1, fire=True)
        watch.check()
        assert await take(watch) == [Oom(2, 1, 2, root)]


async def test_v2_watch_ends_when_the_cgroup_is_removed(tree):
    watch = OomWatch(str(tree.root), 2)
    set_events(tree, kills=1)  # its notification is late (rate limited by the kernel)
    watch.check()
    tree.remove()
    assert await rest(watch) == [Oom(1, 0, 1, str(tree.root))]


async def test_removing_one_cgroup_ends_only_its_own_watch(tree, tmp_path):
    watch = OomWatch(str(tree.root), 2)
    other = tmp_path / "other"
    other.mkdir()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rest, watch)
        other.rmdir()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert len(tree.open_files) == 1
        tree.remove()


async def test_removal_is_noticed_by_one_descriptor_for_all(tree):
    before = descriptors()
    hubs = [EventHub([CgroupEventsSource(str(tree.root))]) for _ in range(5)]
    streams = [hub.subscribe() for hub in hubs]
    assert len(descriptors() - before) == 2  # inotify and epoll; the files are fake
    for stream in streams:
        await stream.aclose()
    assert descriptors() == before


async def test_memory_high_and_max_are_counted_on_their_own(tree):
    root = str(tree.root)
    hub = EventHub([MemoryEventsSource(root)])
    async with hub.subscribe() as stream:
        set_events(tree, high=4, fire=True)
        set_events(tree, high=6, hits=1, kills=1, fire=True)
        assert await take(stream, 4) == [
            MemoryHigh(4, 4, root),
            MemoryHigh(2, 6, root),
            MemoryMax(1, 1, root),
            Oom(1, 0, 1, root),
        ]


async def test_freezing_and_thawing_are_told_once_each(tree):
    root = str(tree.root)
    hub = EventHub([CgroupEventsSource(root)])
    async with hub.subscribe(Paused, Resumed) as stream:
        for frozen in (1, 1, 0):
            tree.counts("cgroup.events", populated=1, frozen=frozen, fire=True)
        tree.counts("cgroup.events", populated=0, frozen=0, fire=True)
        hub.end()
        assert await rest(stream) == [Paused(root), Resumed(root)]


async def test_refused_forks_are_counted(tree):
    tree.counts("pids.events", max=7)
    root = str(tree.root)
    async with EventHub([PidsSource(root)]).subscribe(PidsMax) as stream:
        tree.counts("pids.events", max=10, fire=True)
        assert await take(stream) == [PidsMax(3, 10, root)]


async def test_a_pressure_event_says_how_long_processes_stalled(tree):
    def text(total_us):
        figures = "avg10=0.00 avg60=0.00 avg300=0.00"
        return f"some {figures} total={total_us}\nfull {figures} total=0\n"

    tree.write("memory.pressure", text(1_000))
    path = pressure_path(str(tree.root), "memory")
    source = PressureSource(path, StallTrigger(stall_us=50_000))
    async with EventHub().subscribe(Pressure, sources=[source]) as stream:
        assert tree.open_files[path].trigger == b"some 50000 2000000\0"
        tree.write("memory.pressure", text(50_999), fire=True)  # asked without cause
        tree.write("memory.pressure", text(61_000), fire=True)
        assert await take(stream) == [
            Pressure("memory", "some", 50_000, 2_000_000, 60_000, 61_000, path)
        ]


@pytest.mark.parametrize(
    ("stall_us", "window_us", "field"),
    [
        pytest.param(100_000, 499_999, "window_us", id="window-too-short"),
        pytest.param(100_000, 10_000_001, "window_us", id="window-too-long"),
        pytest.param(0, 2_000_000, "stall_us", id="no-stall"),
        pytest.param(2_000_001, 2_000_000, "stall_us", id="stall-beyond-window"),
    ],
)
def test_a_trigger_that_the_kernel_would_refuse_is_refused(stall_us, window_us, field):
    with pytest.raises(ConfigError, match=field):
        StallTrigger("cpu", stall_us=stall_us, window_us=window_us)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        pytest.param("max 3\n", {"max": 3}, id="v1-pids"),
        pytest.param(
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            {"oom_kill_disable": 0, "under_oom": 0, "oom_kill": 2},
            id="v1-oom-control",
        ),
        pytest.param("", {}, id="empty"),
        pytest.param("max max\nsome avg10=0.00\nlow -1\n", {}, id="other-forms"),
    ],
)
def test_a_flat_keyed_file_is_names_and_counts(text, counts):
    assert parse_counts(text) == counts


@pytest.mark.parametrize(
    ("kind", "total_us"), [("some", 29_483_420), ("full", 17), ("other", 0)]
)
def test_a_pressure_file_has_a_total_for_each_kind(kind, total_us):
    text = (
        "some avg10=50.56 avg60=18.18 avg300=6.33 total=29483420\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=17\n"
    )
    assert parse_stall_total(text, kind) == total_us


@pytest.mark.parametrize(
    ("new", "merged"),
    [
        pytest.param({"/a": Kills(0)}, {}, id="nothing"),
        pytest.param({"/a": Kills(-2)}, {}, id="a-new-cgroup-of-the-same-name"),
        pytest.param(
            {"/a": Kills(1), "/a/b": Kills(2)},
            {"/a": Kills(1), "/a/b": Kills(2)},
            id="no-group",
        ),
        pytest.param(
            {"/a": Kills(0, 1), "/a/b": Kills(2), "/a/b/c": Kills(1), "/ab": Kills(4)},
            {"/a": Kills(3, 1), "/ab": Kills(4)},
            id="group-takes-those-below",
        ),
        pytest.param(
            {"/a": Kills(1), "/a/b": Kills(0, 1), "/a/b/c": Kills(5)},
            {"/a": Kills(1), "/a/b": Kills(5, 1)},
            id="group-below",
        ),
    ],
)
def test_victims_below_belong_to_the_group_kill_above(new, merged):
    assert merge_group_kills(new) == merged


@pytest.mark.parametrize(
    ("version", "file"), [(1, "memory.oom_control"), (2, "memory.events")]
)
def test_kills_can_be_read_without_a_watch(tmp_path, version, file):
    (tmp_path / file).write_text("oom 9\noom_kill 4\n")
    assert read_oom_kills(str(tmp_path), version) == 4
