"""Automatic user namespaces of a program with privileges: ids that nobody else has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.capabilities import needs
from tests.support.unprivileged import found_as

pytestmark = [needs("root", "mount-namespace", "user-namespace", "pid-namespace")]

GRANTED = "root:1000000:131072\nroot:3000000:65536\nother:9000000:65536\n"
FIRSTS = [1_000_000, 1_065_536, 3_000_000]

PROGRAM = """
import json, os, sys
import anyio
from contextlib import AsyncExitStack
from aiocontainer import *

root = sys.argv[1]
config = Config(rootfs=Rootfs.overlay(root), uid_mappings="auto")

async def first_of(container):
    result = await container.run(["cat", "/proc/self/uid_map", "/proc/self/gid_map"])
    numbers = [int(word) for word in result.stdout.split()]
    assert numbers[:3] == numbers[3:], numbers
    return numbers[1]

async def main():
    found = {}
    async with AsyncExitStack() as stack:
        boxes = [await stack.enter_async_context(Container(config)) for _ in range(4)]
        found["firsts"] = [await first_of(box) for box in boxes[:3]]
        isolation = boxes[0].isolation
        found["isolation"] = [isolation.user_ids, isolation.root_uid]
        result = await boxes[0].run(["sh", "-c", "id -u; id -u tester; echo >/tmp/x"],
            user="tester")
        found["user"] = result.stdout.decode().split()
        found["owner"] = os.stat(f"/proc/{boxes[0].pid}").st_uid
        try:
            await first_of(boxes[3])
        except Exception as error:
            found["fourth"] = [type(error).__name__, str(error)]
        await boxes[1].aclose()
        found["again"] = await first_of(boxes[3])
        found["files"] = sorted(os.listdir("/run/aiocontainer-ids"))
    found["after"] = os.listdir("/run/aiocontainer-ids")
    print(json.dumps(found))

anyio.run(main)
"""


@pytest.fixture(scope="module")
def found(rootfs: Path) -> dict[str, Any]:
    # A /run of its own: other programs of this machine lease ids, too.
    own = ["mount -t tmpfs -o mode=755 none /run"]
    told: dict[str, Any] = found_as(
        PROGRAM, str(rootfs), uid=0, sub_ids=GRANTED, before=own
    )
    return told


def test_each_container_has_a_range_of_its_own(found: dict[str, Any]) -> None:
    assert found["firsts"] == FIRSTS
    assert found["isolation"] == ["range", FIRSTS[0]]
    assert found["owner"] == FIRSTS[0]


def test_users_inside_are_apart(found: dict[str, Any]) -> None:
    assert found["user"] == ["1000", "1000"]


def test_where_all_are_taken_nothing_is_started(found: dict[str, Any]) -> None:
    kind, words = found["fourth"]
    assert kind == "StateError"
    assert "all 3 ranges of ids are taken" in words


def test_a_range_is_free_again_once_its_container_is_gone(
    found: dict[str, Any],
) -> None:
    assert found["again"] == FIRSTS[1]
    assert found["files"] == [f"{first}-{first}" for first in sorted(FIRSTS)]
    assert found["after"] == []


KILLED = """
import os, signal, sys
import anyio
from aiocontainer import *

async def main():
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]), uid_mappings="auto")
    async with Container(config) as container:
        await container.start(["sleep", "100"])
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""

TWO = """
import json, os, subprocess, sys, time
first = subprocess.run([sys.executable, sys.argv[3], sys.argv[1]])
second = subprocess.run([sys.executable, sys.argv[2], sys.argv[1]],
    stdout=subprocess.PIPE, text=True)
print(json.dumps([first.returncode, second.stdout]))
"""

ONE = """
import sys
import anyio
from aiocontainer import *

async def main():
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]), uid_mappings="auto")
    for _ in range(100):
        try:
            result = await run(config, ["cat", "/proc/self/uid_map"])
            break
        except StateError:
            await anyio.sleep(0.05)  # the janitor is about to end the container
    print(result.stdout.decode().split()[1])

anyio.run(main)
"""


def test_the_range_of_a_killed_program_comes_again(
    rootfs: Path, tmp_path: Path
) -> None:
    own = ["mount -t tmpfs -o mode=755 none /run"]
    for name, text in (("one", ONE), ("killed", KILLED)):
        (tmp_path / name).write_text(text)
    arguments = (str(rootfs), str(tmp_path / "one"), str(tmp_path / "killed"))
    status, first = found_as(
        TWO, *arguments, uid=0, sub_ids="root:1000000:65536\n", before=own
    )
    assert (status, first) == (-9, "1000000\n")


def test_without_a_range_for_root_it_is_an_error_with_its_cure(rootfs: Path) -> None:
    program = """
import json, sys
from aiocontainer import *
try:
    Container(Config(rootfs=sys.argv[1], uid_mappings="auto"))
except UnsupportedFeature as error:
    print(json.dumps([str(error), error.hint]))
"""
    words, hint = found_as(program, str(rootfs), uid=0)
    assert "/etc/subuid" in words
    assert "usermod --add-subuids" in hint


KEPT = """
import json, os, sys
import anyio
from aiocontainer import *

async def main():
    runtime, found = Runtime("/run/kept"), {}
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]), uid_mappings="auto")
    async with await runtime.create("kept", config, detach=True) as made:
        await made.start()
    async with Container(config) as other:
        result = await other.run(["cat", "/proc/self/uid_map"])
        found["other"] = int(result.stdout.split()[1])
    async with runtime.load("kept") as loaded:
        words = ["sh", "-c", "cat /proc/self/uid_map; echo again >/proc/self/fd/1"]
        result = await loaded.run(words, user="tester")
        found["loaded"] = result.stdout.decode().split()
        await loaded.destroy()
    found["after"] = os.listdir("/run/aiocontainer-ids")
    print(json.dumps(found))

anyio.run(main)
"""


def test_a_container_that_lives_on_keeps_its_range(rootfs: Path) -> None:
    own = ["mount -t tmpfs -o mode=755 none /run"]
    found = found_as(KEPT, str(rootfs), uid=0, sub_ids=GRANTED, before=own)
    assert found["loaded"] == ["0", str(FIRSTS[0]), "65536", "again"]
    assert found["other"] == FIRSTS[1]
    assert found["after"] == []
