"""Containers of a user without privileges, in cgroups that were delegated to her."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import procfs
from tests.support.capabilities import lack, needs
from tests.support.unprivileged import NOBODY, found_as

pytestmark = [
    needs("root", "mount-namespace", "user-namespace", "pid-namespace"),
    pytest.mark.timeout(240),
]

# The guests have swap, and a controller for it.
SWAP = "no-swap" if lack("cgroup-v2-pure") is None else "any"
PATIENCE_S = 200  # in emulation, beside other guests
NAME = f"aiocontainer-test-user-{os.getpid()}"

PROGRAM = """
import json, os, sys
import anyio
from aiocontainer import *

root = sys.argv[1]
EAT = "tail /dev/zero"
LEAVE = "setsid sleep 100 >/dev/null 2>&1 & sleep 100"

def runs(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

async def main():
    found = {}
    require = {"userns", "cgroup.memory", "cgroup.pids"}
    limits = {"limit_bytes": "32MiB"}
    if sys.argv[2] == "no-swap":
        limits["swap_bytes"] = 0
    config = Config(rootfs=Rootfs.overlay(root), pids=20, require=require,
        resources=Resources(memory=limits))
    async with Container(config) as container:
        result = await container.run(["sh", "-c", EAT])
        found["eaten"] = [result.reason.value, result.usage.oom_kills]
        isolation = container.isolation
        found["isolation"] = [isolation.cgroup, sorted(isolation.controllers)]
        result = await container.run(["sh", "-c", LEAVE], timeout=0.5)
        found["left"] = result.reason.value
        with anyio.fail_after(30):
            while any("sleep" in open(f"/proc/{pid}/cmdline").read()
                    for pid in container.processes() if runs(pid)):
                await anyio.sleep(0.01)
        await container.pause()
        found["paused"] = container.status()
        await container.resume()
        stats = await container.stats()
        found["pids_limit"] = stats.pids.limit
    try:
        config = Config(rootfs=root, require={"cgroup.devices"})
        await run(config, ["true"])
    except RequirementMissing as error:
        found["missing"] = list(error.missing)
    print(json.dumps(found))

anyio.run(main)
"""


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def delegated() -> Iterator[list[str]]:
    """Cgroups of the user; the commands by which her program comes to be in them."""
    made: list[Path] = []
    enter: list[str] = []
    for mount, names in procfs.cgroup_mounts().items():
        top = Path(mount, NAME)
        if names in ("memory", "pids", "freezer"):
            top.mkdir()
            made.append(top)
            enter.append(f"echo $$ >{top}/cgroup.procs")
        elif not names and lack("cgroup-v2-pure") is None:
            inner = top / "program"
            inner.mkdir(parents=True)
            made += [top, inner]
            enter.append(f"echo $$ >{inner}/cgroup.procs")
    for folder in made:
        os.chown(folder, NOBODY, NOBODY)
        for name in ("cgroup.procs", "cgroup.subtree_control", "tasks"):
            if (folder / name).exists():
                os.chown(folder / name, NOBODY, NOBODY)
    yield enter
    for folder in reversed(made):
        for inner in sorted(folder.rglob("*"), reverse=True):
            if inner.is_dir():
                inner.rmdir()
        folder.rmdir()


@pytest.fixture
def found(rootfs: Path, delegated: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = found_as(
        PROGRAM, str(rootfs), SWAP, before=delegated, timeout=PATIENCE_S
    )
    return told


@pytest.mark.skipif(
    lack("cgroup-v1-memory") is not None and lack("cgroup-v2-memory") is not None,
    reason="no memory controller to be delegated",
)
def test_limits_hold_and_figures_are_told_without_privileges(
    found: dict[str, Any],
) -> None:
    assert found["eaten"] == ["oom_killed", 1]
    version, controllers = found["isolation"]
    assert version in ("v1", "v2")
    assert {"memory", "pids"} <= set(controllers)
    assert found["left"] == "timed_out"
    assert found["paused"] == "paused"
    assert found["pids_limit"] == 20
    assert found["missing"] == ["cgroup.devices"]


@pytest.fixture
def manager() -> Iterator[dict[str, Any]]:
    """What `run_as` needs to be in a scope of a user's own systemd."""
    try:
        entry = pwd.getpwnam("tester")
    except KeyError:
        pytest.skip("no user tester")
    subprocess.run(["loginctl", "enable-linger", entry.pw_name], check=True)
    runtime = f"/run/user/{entry.pw_uid}"
    due = time.monotonic() + 120
    while not os.path.exists(f"{runtime}/bus"):
        assert time.monotonic() < due, "her manager did not start"
        time.sleep(0.2)
    scope = ["systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes"]
    yield {
        "uid": entry.pw_uid,
        "sub_ids": f"{entry.pw_uid}:100000:65536\n",
        "prefix": scope,
        "environment": {
            "XDG_RUNTIME_DIR": runtime,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
        },
    }
    subprocess.run(["loginctl", "disable-linger", entry.pw_name], check=True)


@needs("systemd", "cgroup-v2-pure", "newuidmap")
@pytest.mark.leaves_behind("the manager of a user takes its time to end")
def test_a_scope_of_the_users_own_manager_is_enough(
    rootfs: Path, manager: dict[str, Any]
) -> None:
    found = found_as(PROGRAM, str(rootfs), SWAP, timeout=PATIENCE_S, **manager)
    assert found["eaten"] == ["oom_killed", 1]
    assert found["isolation"][0] == "v2"
    assert {"memory", "pids"} <= set(found["isolation"][1])
    assert (found["left"], found["paused"]) == ("timed_out", "paused")
