"""A command of the runtime that is killed: what the engine does then makes it good."""

import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.cgroups import LAYOUT
from tests.support.cli import reap
from tests.support.dying import DYING, STRIDE
from tests.support.oci import Oci

pytestmark = [needs("root", "mount-namespace", "pid-namespace"), pytest.mark.slow]

COMMAND = """
from aiocontainer.oci.main import main

die_before(int(sys.argv.pop(1)))
sys.exit(main())
"""


@pytest.mark.parametrize("command", ["create", "run", "exec", "delete"])
def test_killed_before_anything_that_it_does_it_leaves_what_can_be_deleted(
    tmp_path: Path, rootfs: Path, command: str
) -> None:
    oci = Oci(tmp_path, rootfs)
    before = set(procfs.children())
    bundle = oci.bundle("sleep", "600")
    words = {
        "create": ["create", "--bundle", bundle, "c"],
        "run": ["run", "--detach", "--bundle", bundle, "c"],
        "exec": ["exec", "--detach", "c", "sleep", "500"],
        "delete": ["delete", "--force", "c"],
    }[command]
    for number in itertools.count(1, STRIDE):
        if command in ("exec", "delete"):
            oci("run", "--detach", "--bundle", bundle, "c")
        dying = Oci(
            tmp_path, rootfs, [sys.executable, "-c", DYING + COMMAND, str(number)]
        )
        done = dying.call(*words)
        oci("delete", "--force", "c")
        until_reaped(before)
        assert not oci.root.exists() or os.listdir(oci.root) == []
        assert not any(os.path.exists(place) for place in places_of(bundle))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert number > 1


def until_reaped(before: set[int]) -> None:
    """All that the commands left has ended, and was reaped as by a shim."""
    deadline = time.monotonic() + 5
    while set(procfs.children()) - before:
        assert time.monotonic() < deadline, procfs.children()
        reap()
        time.sleep(0.002)


def places_of(bundle: str) -> list[str]:
    """Where the bundle's container would be, in each hierarchy."""
    document = json.loads(Path(bundle, "config.json").read_text())
    name = document["linux"]["cgroupsPath"]
    hierarchies = {*LAYOUT.v1.values(), *filter(None, [LAYOUT.v2])}
    return [each.directory(name) for each in hierarchies]
