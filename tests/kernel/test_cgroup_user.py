"""Cgroups of a user without privileges, in what systemd delegates to her."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aiocontainer

pytestmark = [
    pytest.mark.needs("root"),
    pytest.mark.needs("systemd"),
    pytest.mark.needs("cgroup-v2-pure"),
]

PROGRAM = """
import json, sys
import anyio
from aiocontainer.cgroups import CGroup
from aiocontainer.config import CgroupSettings, Resources

async def main():
    settings = CgroupSettings(mode=sys.argv[1])
    memory = Resources(memory={"limit_bytes": "32MiB", "swap_bytes": 0})
    limits = {"pids": 20, "resources": memory}
    async with CGroup("of-a-user", settings=settings, **limits) as group:
        found = {"paths": dict(group.cgroup.paths), "names": group.cgroup.directories}
        hog = [sys.executable, "-c", "b = b'x' * (64 << 20)"]
        process = await group.open_process(hog)
        found["status"] = await process.wait()
        await process.aclose()
        found["kills"] = group.oom_kills()
        sleeper = await group.open_process(["sleep", "60"])
        await group.pause()
        await group.resume()
    found["sleeper"] = await sleeper.wait()
    await sleeper.aclose()
    print(json.dumps(found))

anyio.run(main)
"""


@pytest.fixture(scope="module")
def user() -> Iterator[pwd.struct_passwd]:
    """A user with a manager of her own, as if she were logged in."""
    try:
        entry = pwd.getpwnam("tester")
    except KeyError:
        pytest.skip("no user tester")
    subprocess.run(["loginctl", "enable-linger", entry.pw_name], check=True)
    due = time.monotonic() + 120
    while not os.path.exists(f"/run/user/{entry.pw_uid}/bus"):
        assert time.monotonic() < due, "her manager did not start"
        time.sleep(0.2)
    yield entry
    subprocess.run(["loginctl", "disable-linger", entry.pw_name], check=True)


@pytest.fixture(scope="module")
def package() -> Iterator[str]:
    """Our package where anybody may read it."""
    folder = Path(tempfile.mkdtemp(prefix="package-", dir="/tmp"))
    folder.chmod(0o755)
    (source,) = aiocontainer.__path__
    shutil.copytree(source, folder / "aiocontainer")
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    yield str(folder)
    shutil.rmtree(folder)


def run_as(user: pwd.struct_passwd, package: str, mode: str) -> dict[str, Any]:
    runtime = f"/run/user/{user.pw_uid}"
    path = ":".join([package, *filter(None, sys.path)])
    command = [
        *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"),
        *("--init-groups", "env", "-C", "/", f"XDG_RUNTIME_DIR={runtime}"),
        f"DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus",
        *("systemd-run", "--user", "--quiet", "--wait", "--pipe", "--collect"),
        *("-p", f"Environment=PYTHONPATH={path} PYTHONDONTWRITEBYTECODE=1"),
        *(sys.executable, "-c", PROGRAM, mode),
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=-3)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.leaves_behind("the manager of a user takes its time to end")
@pytest.mark.parametrize("mode", ["auto", "systemd"])
@pytest.mark.covers("delegation to users", where="guest")
def test_limits_hold_without_privileges(
    user: pwd.struct_passwd, package: str, mode: str
) -> None:
    found = run_as(user, package, mode)
    assert {"memory", "pids", "cpu"} <= set(found["paths"])
    assert all(f"user@{user.pw_uid}.service/" in name for name in found["names"])
    assert (found["status"], found["kills"], found["sleeper"]) == (-9, 1, -9)
    assert not any(os.path.isdir(name) for name in found["names"])
