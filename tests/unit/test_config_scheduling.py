"""Models of scheduling: what is taken and refused, and what the plan makes of it."""

import struct
from typing import Any

import pytest

from aiocontainer import Config, ConfigError, Namespaces
from aiocontainer.config import (
    ExecCpuAffinity,
    IoPriority,
    MemoryPolicy,
    Personality,
    Scheduler,
    TimeOffset,
    TimeOffsets,
)
from aiocontainer.config.scheduling import SCHEDULER_FLAGS, SCHEDULER_POLICIES
from aiocontainer.plan import steps as s
from aiocontainer.plan.namespaces import time_offsets
from tests.support.plans import make_plan


def config(**settings: Any) -> Config:
    return Config(rootfs="/srv/rootfs", **settings)


def steps_of(kind: type[s.Step], **settings: Any) -> list[Any]:
    return [step for step in make_plan(config(**settings)).steps if type(step) is kind]


DEADLINE = {"policy": "deadline", "runtime_ns": 2048, "deadline_ns": 4096}
BAD: list[tuple[str, dict[str, Any]]] = [
    ("scheduler.policy", {"scheduler": {"policy": "realtime"}}),
    ("scheduler.policy", {"scheduler": {"policy": 1}}),
    ("scheduler.policy", {"scheduler": {}}),
    ("scheduler.nice", {"scheduler": {"policy": "other", "nice": 20}}),
    ("scheduler.nice", {"scheduler": {"policy": "other", "nice": -21}}),
    ("scheduler.nice", {"scheduler": {"policy": "fifo", "priority": 1, "nice": 1}}),
    ("scheduler.priority", {"scheduler": {"policy": "fifo"}}),
    ("scheduler.priority", {"scheduler": {"policy": "rr", "priority": 100}}),
    ("scheduler.priority", {"scheduler": {"policy": "other", "priority": 1}}),
    ("scheduler.flags[0]", {"scheduler": {"policy": "other", "flags": ["quick"]}}),
    ("scheduler.flags", {"scheduler": {"policy": "other", "flags": ["reclaim"] * 2}}),
    ("scheduler.runtime_ns", {"scheduler": {"policy": "other", "runtime_ns": 1}}),
    ("scheduler.deadline_ns", {"scheduler": {"policy": "rr", "priority": 1,
                                             "deadline_ns": 1}}),
    ("scheduler.period_ns", {"scheduler": {"policy": "idle", "period_ns": 1}}),
    ("scheduler.runtime_ns", {"scheduler": {**DEADLINE, "runtime_ns": 1023}}),
    ("scheduler.deadline_ns", {"scheduler": {**DEADLINE, "deadline_ns": 2047}}),
    ("scheduler.period_ns", {"scheduler": {**DEADLINE, "period_ns": 4095}}),
    ("scheduler.runtime_ns", {"scheduler": {**DEADLINE, "runtime_ns": 2**63}}),
    ("scheduler.util_min", {"scheduler": {"policy": "other", "util_min": 1025}}),
    ("scheduler.util_min", {"scheduler": {"policy": "other", "util_min": 2,
                                          "util_max": 1}}),
    ("io_priority.io_class", {"io_priority": {"io_class": "none"}}),
    ("io_priority.level", {"io_priority": {"io_class": "be", "level": 8}}),
    ("io_priority.level", {"io_priority": {"io_class": "idle", "level": 1}}),
    ("io_priority.level", {"io_priority": {"io_class": "rt", "level": True}}),
    ("memory_policy.mode", {"memory_policy": {"mode": "best"}}),
    ("memory_policy.nodes", {"memory_policy": {"mode": "bind"}}),
    ("memory_policy.nodes", {"memory_policy": {"mode": "bind", "nodes": "1-"}}),
    ("memory_policy.nodes", {"memory_policy": {"mode": "bind", "nodes": "1024"}}),
    ("memory_policy.nodes", {"memory_policy": {"mode": "bind", "nodes": "3-1"}}),
    ("memory_policy.nodes", {"memory_policy": {"mode": "local", "nodes": "0"}}),
    ("memory_policy.nodes", {"memory_policy": {"mode": "default", "nodes": "0"}}),
    ("memory_policy.nodes", {"memory_policy": {"mode": "preferred",
                                               "flags": ["static_nodes"]}}),
    ("memory_policy.flags", {"memory_policy": {"mode": "local",
                                               "flags": ["static_nodes"]}}),
    ("memory_policy.flags", {"memory_policy": {
        "mode": "bind", "nodes": "0", "flags": ["static_nodes", "relative_nodes"]}}),
    ("memory_policy.flags", {"memory_policy": {
        "mode": "interleave", "nodes": "0", "flags": ["numa_balancing"]}}),
    ("memory_policy.flags[0]", {"memory_policy": {
        "mode": "bind", "nodes": "0", "flags": ["fast"]}}),
    ("personality.domain", {"personality": {"domain": "BSD"}}),
    ("personality.flags[1]", {"personality": {"flags": ["UNAME26", "X"]}}),
    ("cpu_affinity", {"cpu_affinity": ""}),
    ("cpu_affinity", {"cpu_affinity": "a"}),
    ("cpu_affinity", {"cpu_affinity": "8192"}),
    ("cpu_affinity", {"cpu_affinity": 3}),
    ("exec_cpu_affinity.initial", {"exec_cpu_affinity": {"initial": "2-1"}}),
    ("exec_cpu_affinity.last", {"exec_cpu_affinity": {"last": "1"}}),
    ("parent_death_signal", {"parent_death_signal": 0}),
    ("parent_death_signal", {"parent_death_signal": 65}),
    ("parent_death_signal", {"parent_death_signal": "SIGNAL"}),
    ("parent_death_signal", {"parent_death_signal": True}),
    ("time_offsets.monotonic.nanosecs", {"time_offsets": {
        "monotonic": {"nanosecs": 10**9}}}),
    ("time_offsets.boottime.secs", {"time_offsets": {"boottime": 2**40}}),
    ("time_offsets.realtime", {"time_offsets": {"realtime": 1}}),
    ("time_offsets", {"time_offsets": {"boottime": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "wrong"), [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in BAD]
)
def test_what_is_wrong_is_refused_by_its_path(
    field: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**wrong)
    assert caught.value.field == field


@pytest.mark.parametrize("name", SCHEDULER_POLICIES)
@pytest.mark.parametrize("spell", [str, str.lower, lambda n: n.removeprefix("SCHED_")])
def test_each_policy_is_known_in_each_spelling(name: str, spell: Any) -> None:
    more = {"SCHED_FIFO": {"priority": 1}, "SCHED_RR": {"priority": 99}}.get(name, {})
    if name == "SCHED_DEADLINE":
        more = {"runtime_ns": 1024, "deadline_ns": 1024}
    assert Scheduler(policy=spell(name), **more).policy == name


def test_numbers_are_the_kernels() -> None:
    assert SCHEDULER_POLICIES["SCHED_DEADLINE"] == 6
    assert SCHEDULER_FLAGS["SCHED_FLAG_UTIL_CLAMP_MAX"] == 0x40
    (step,) = steps_of(s.SetScheduler, scheduler=Scheduler(policy="rr", priority=3))
    assert step == s.SetScheduler(2, 0, 0, 3, (0, 0, 0), (0, 0))
    (step,) = steps_of(s.SetIoPriority, io_priority=IoPriority(io_class="idle"))
    assert step.value == 3 << 13
    policy = MemoryPolicy(mode="bind", nodes="0,64", flags=["static_nodes"])
    (step,) = steps_of(s.SetMemoryPolicy, memory_policy=policy)
    assert step == s.SetMemoryPolicy(2 | 1 << 15, struct.pack("=QQ", 1, 1))
    personality = Personality(domain="linux32", flags=["READ_IMPLIES_EXEC"])
    (step,) = steps_of(s.SetPersonality, personality=personality)
    assert step.value == 0x0400008


def test_clamps_set_their_flags() -> None:
    wanted = Scheduler(policy="other", util_max=512)
    (step,) = steps_of(s.SetScheduler, scheduler=wanted)
    assert (step.flags, step.clamps) == (0x40, (0, 512))


def test_what_nobody_asked_for_makes_no_step() -> None:
    kinds = {type(step) for step in make_plan().steps}
    assert not kinds & {
        *(s.SetAffinity, s.SetScheduler, s.SetIoPriority, s.SetMemoryPolicy),
        *(s.SetPersonality, s.SetParentDeathSignal, s.NewTimeNamespace),
    }
    plan = make_plan()
    assert plan.tunings == ()
    assert plan.time_offsets is None


def test_privileges_are_used_before_they_go_and_filters_come_after() -> None:
    plan = make_plan(
        config(
            no_new_privs=False,
            scheduler=Scheduler(policy="batch"),
            memory_policy=MemoryPolicy(mode="local"),
            parent_death_signal="term",
        )
    )
    order = [type(step) for step in plan.steps]
    wanted = [s.SetScheduler, s.SetMemoryPolicy, s.LoadFilter, s.ChangeIdentity]
    places = [order.index(kind) for kind in (*wanted, s.SetParentDeathSignal)]
    assert places == sorted(places)


def test_the_spawner_does_it_for_a_user_namespace() -> None:
    ids = [{"container_id": 0, "host_id": 100_000, "size": 1000}]
    plan = make_plan(
        config(
            namespaces=Namespaces(user="new"),
            uid_mappings=ids,
            gid_mappings=ids,
            scheduler=Scheduler(policy="fifo", priority=2),
            io_priority=IoPriority(io_class="rt", level=1),
            rlimits={"core": 5},
        )
    )
    assert plan.tunings == (
        ("limits", ((4, 5, 5),)),
        ("scheduler", 1, 0, 0, 2, (0, 0, 0), (0, 0)),
        ("io_priority", 1 << 13 | 1),
    )
    assert s.SetScheduler not in map(type, plan.steps)


def test_a_cpuset_without_a_wish_is_used_whole() -> None:
    (step,) = steps_of(s.SetAffinity, resources={"cpu": {"cpus": "0"}})
    assert step.mask == b"\xff" * 1024
    (step,) = steps_of(
        s.SetAffinity, resources={"cpu": {"cpus": "0"}}, cpu_affinity="1"
    )
    assert step.mask == struct.pack("=Q", 2)
    initial = ExecCpuAffinity(initial="0")
    assert steps_of(s.SetAffinity, exec_cpu_affinity=initial) == []


def test_offsets_are_written_as_the_kernel_reads_them() -> None:
    offsets = TimeOffsets(monotonic=TimeOffset(secs=-1, nanosecs=5), boottime=7)
    shifted = config(namespaces=Namespaces(time="new"), time_offsets=offsets)
    assert time_offsets(shifted) == b"monotonic -1 5\nboottime 7 0\n"
    assert time_offsets(config(namespaces=Namespaces(time="new"))) == b""
    plan = make_plan(shifted)
    assert not plan.clone_flags & 0x80


def test_a_plan_tells_what_the_spawner_does() -> None:
    ids = [{"container_id": 0, "host_id": 100_000, "size": 1000}]
    said = make_plan(
        config(
            namespaces=Namespaces(user="new", time="new"),
            time_offsets=TimeOffsets(boottime=7, monotonic=-1),
            uid_mappings=ids,
            gid_mappings=ids,
            io_priority=IoPriority(io_class="rt", level=1),
        )
    ).describe()
    assert "<child>: set the io priority\n" in said
    assert "born in a new time namespace monotonic -1 0, boottime 7 0\n" in said
