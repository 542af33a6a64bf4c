"""Settings of processes, hooks and notifications, for a user without privileges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.capabilities import needs
from tests.support.unprivileged import NOBODY, SUB_IDS, found_as

pytestmark = [
    needs("root", "mount-namespace", "user-namespace", "pid-namespace"),
    needs("time-namespace"),
]

LIFE = r"""
import json, os, sys, time
import anyio
from aiocontainer import *

LOOK = (
    "cat /proc/uptime; readlink /proc/self/ns/time; uname -m; "
    "grep Cpus_allowed: /proc/self/status"
)
HOOK = Hook(path="/bin/sh", args=["sh", "-c", "cat; echo; id -u"])
KINDS = ("prestart", "create_runtime", "create_container", "start_container")
quick = {kind: HOOK for kind in (*KINDS, "poststart", "poststop")}
failing = Hook(path="/bin/sh", args=["sh", "-c", "id -u; exit 3"])

async def text(container, *words):
    result = await container.run(["sh", "-c", *words])
    return (result.stdout + result.stderr).decode()

async def main():
    found = {}
    config = Config(
        rootfs=Rootfs.overlay(sys.argv[1]),
        namespaces=Namespaces(time="new"),
        time_offsets=TimeOffsets(boottime=5_000_000),
        scheduler=Scheduler(policy="batch", nice=19),
        io_priority=IoPriority(io_class="be", level=7),
        personality=Personality(domain="linux32"),
        rlimits={"nofile": (20, 30)},
        cpu_affinity="0",
        parent_death_signal="SIGKILL",
        hooks=Hooks(**quick),
    )
    async with Container(config) as container:
        process = await container.start(["sleep", "60"], sd_notify=True, listen_fds=[0])
        found["first"] = os.readlink(f"/proc/{process.pid}/ns/time")
        found["own"] = os.readlink("/proc/self/ns/time")
        found["later"] = await text(container, LOOK)
        found["policy"] = os.sched_getscheduler(process.pid)
        found["uptime"] = time.clock_gettime(time.CLOCK_BOOTTIME)
    for kind in KINDS:
        hooks = Hooks(**{kind: failing})
        try:
            await run(Config(rootfs=Rootfs.overlay(sys.argv[1]), hooks=hooks), ["true"])
        except SetupError as error:
            found[kind] = error.reason
    try:
        scheduler = Scheduler(policy="fifo", priority=1)
        config = Config(rootfs=Rootfs.overlay(sys.argv[1]), scheduler=scheduler)
        await run(config, ["true"])
    except SetupError as error:
        found["refused"] = str(error)
    print(json.dumps(found))

anyio.run(main)
"""


@pytest.fixture(scope="module")
def life(rootfs: Path) -> dict[str, Any]:
    found: dict[str, Any] = found_as(LIFE, str(rootfs), uid=NOBODY, sub_ids=SUB_IDS)
    return found


def test_clocks_are_shifted_for_first_and_later_processes(life: dict[str, Any]) -> None:
    uptime, _idle, link, *_ = life["later"].split()
    assert float(uptime) - life["uptime"] == pytest.approx(5_000_000, abs=60)
    assert link == life["first"] != life["own"]


def test_what_needs_no_privilege_is_set(life: dict[str, Any]) -> None:
    assert life["policy"] == 3
    assert life["later"].split()[3] in ("i686", "armv8l", "armv7l")
    assert life["later"].split()[-1].lstrip("0,") == "1"


def test_hooks_run_as_the_user_who_is_root_inside(life: dict[str, Any]) -> None:
    for kind in ("prestart", "create_runtime"):
        assert life[kind] == f"exit status 3: {NOBODY}"
    for kind in ("create_container", "start_container"):
        assert life[kind] == "exit status 3: 0"


def test_what_needs_privilege_is_refused_by_name(life: dict[str, Any]) -> None:
    assert life["refused"].endswith("Operation not permitted (the scheduler)")
