"""Containers that programs of a user without privileges share."""

import pytest

from tests.support.capabilities import needs
from tests.support.unprivileged import found_as

pytestmark = [
    needs("root", "mount-namespace", "user-namespace", "pid-namespace"),
    pytest.mark.slow,
]

PROGRAM = r"""
import json, os, stat, sys
import anyio
from aiocontainer import Config, PIPE, Rootfs, Runtime

config = Config(rootfs=Rootfs.overlay(sys.argv[1]))

async def main():
    found = {}
    runtime = Runtime()
    found["root"] = runtime.root
    container = await runtime.create("web", config, ["sleep", "60"], detach=True)
    found["mode"] = stat.S_IMODE(os.stat(runtime.root).st_mode)
    found["created"] = container.status()
    await container.start()
    await container.aclose()
    found["listed"] = [each.status for each in Runtime().list()]
    async with Runtime().load("web") as loaded:
        result = await loaded.run(["id", "-u"])
        found["inside"] = result.stdout.decode()
        loaded.kill()
        found["status"] = await loaded.wait()
        await loaded.destroy()
    found["collected"] = list(await Runtime().collect())
    found["left"] = os.listdir(runtime.root)
    print(json.dumps(found))

anyio.run(main)
"""


def test_a_user_has_a_root_and_containers_of_its_own(rootfs):
    found = found_as(PROGRAM, str(rootfs))
    assert found.pop("root").endswith("/runtime/aiocontainer")
    assert found == {
        "mode": 0o700,
        "created": "created",
        "listed": ["running"],
        "inside": "0\n",
        "status": -9,
        "collected": [],
        "left": [],
    }
