"""What keeps a container of an unprivileged user from that user's own processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.capabilities import needs
from tests.support.unprivileged import NAMELESS, NOBODY, SUB_IDS, found_as, run_as

pytestmark = [needs("root", "mount-namespace", "user-namespace", "pid-namespace")]

# The container's root is the user herself, with the right to trace what is inside.
SPY = """
import json, sys
import anyio
from aiocontainer import *
from aiocontainer.config import DEFAULT_CAPABILITIES

LOOK = '''
while [ ! -e /enough ]; do
    for pid in /proc/[0-9]*; do
        [ $pid = /proc/1 ] && continue
        for name in exe cwd root; do readlink $pid/$name; done
        ls -l $pid/fd 2>/dev/null
        [ -r $pid/mem ] && head -c 1 $pid/mem
        cat $pid/environ
    done
    ls -l $0 >/dev/null
done 2>/dev/null | grep -a -E 'python|memfd|socket|aiocontainer' | sort | uniq -c
'''

async def main():
    rights = Capabilities.of(*DEFAULT_CAPABILITIES.bounding, "CAP_SYS_PTRACE")
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]), capabilities=rights,
        seccomp=None)
    async with Container(config) as container:
        spy = await container.start(["sh", "-c", LOOK], stdout=PIPE)
        for number in range(40):
            score = {"oom_score_adj": 500} if number % 2 else {}
            assert (await container.run(["true"], **score)).returncode == 0
        assert (await container.run(["touch", "/enough"])).returncode == 0
        seen = b""
        try:
            while True:
                seen += await spy.stdout.receive()
        except anyio.EndOfStream:
            pass
        await spy.wait()
    print(json.dumps(seen.decode(errors="replace")))

anyio.run(main)
"""


@pytest.mark.parametrize("many", [False, True], ids=["one-id", "sub-ids"])
def test_who_joins_a_container_is_never_seen_from_inside(
    rootfs: Path, many: bool
) -> None:
    uid, sub_ids = (NOBODY, SUB_IDS) if many else (NAMELESS, "")
    assert found_as(SPY, str(rootfs), uid=uid, sub_ids=sub_ids) == ""


KILLED = """
import os, signal, sys
import anyio
from aiocontainer import *

async def main():
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]))
    async with Container(config) as container, anyio.create_task_group() as group:
        await container.start(["sleep", "100"])
        await container.start(["sleep", "100"])
        for _ in range(4):  # some on their way
            group.start_soon(container.start, ["sleep", "100"])
        await anyio.sleep(float(sys.argv[2]))
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


@pytest.mark.parametrize("delay", ["0", "0.004"])
def test_nothing_outlives_a_killed_program(rootfs: Path, delay: str) -> None:
    done = run_as(KILLED, str(rootfs), delay, sub_ids=SUB_IDS)
    assert done.returncode == -9, done.stderr  # and `run_as` saw to what was left


FAULTS = """
import errno, json, os, sys
import anyio
from aiocontainer import *
from aiocontainer.proc import handshake

async def main():
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]))
    found, ended = set(), 0
    for code in (errno.EIO, 0):
        at = 1
        while at < 400:
            handshake.fault = ("*", at, code)
            try:
                async with Container(config) as container:
                    await container.run(["true"])
                    ended += 1
                    break
            except ContainerError as error:
                found.add(type(error).__name__)
            at += 9
        assert at < 400
    handshake.fault = None
    assert (await run(config, ["true"])).returncode == 0
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    print(json.dumps([sorted(found), ended, len(children)]))

anyio.run(main)
"""


def test_a_call_that_fails_is_a_typed_error_and_leaves_nothing(rootfs: Path) -> None:
    found: list[Any] = found_as(FAULTS, str(rootfs), sub_ids=SUB_IDS)
    kinds, ended, children = found
    assert set(kinds) <= {"SetupError", "ExecError", "HandshakeError", "StatusError"}
    assert (ended, children) == (2, 1), "the spawner is the one child left"


CANCELLED = """
import json, os, sys
import anyio
from aiocontainer import *

async def main():
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]))
    await run(config, ["true"])
    before = os.listdir("/proc/self/fd")
    finished = 0
    for step in range(40):
        with anyio.move_on_after(step * 0.0006):
            async with Container(config) as container:
                await container.run(["true"])
                finished += 1
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    after = os.listdir("/proc/self/fd")
    print(json.dumps([len(children), len(after) - len(before)]))

anyio.run(main)
"""


def test_a_cancelled_start_leaves_nothing(rootfs: Path) -> None:
    assert found_as(CANCELLED, str(rootfs), sub_ids=SUB_IDS) == [1, 0]
