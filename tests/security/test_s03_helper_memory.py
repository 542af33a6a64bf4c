"""S3: what runs in a container sees nothing of the helpers that pass through it.

A process that joins is in the container's pid namespace before it is the program, with
the supervisor's rights: its memory, its root and its descriptors are the host's.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import PIPE, Config, Container, ContainerError, run
from aiocontainer.config import DEFAULT_CAPABILITIES, Capabilities
from aiocontainer.proc import spawner
from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, python_config, status_fields
from tests.support.tracing import traced

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

FULL = os.environ.get("AIOCONTAINER_SWEEP") == "full"
SECRET = "canary-" + "in-the-supervisors-heap"  # joined at run time, so not in a source

# What container runtimes commonly grant; the attack has to fail with these too.
COMMON = Capabilities.of(
    *DEFAULT_CAPABILITIES.bounding, "NET_RAW", "SETFCAP", "AUDIT_WRITE", "MKNOD"
)


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


WATCHER = r"""
import json, os, sys, time
secret = ("canary-" + "in-the-supervisors-heap").encode()
own, hits, strangers, looks = os.getpid(), [], set(), 0
end = time.monotonic() + 30

def look(pid):
    base = f"/proc/{pid}/"
    try:
        with open(base + "environ", "rb") as file:
            if secret in file.read():
                hits.append("environ")
    except OSError:
        pass
    try:
        maps = open(base + "maps").read()
        with open(base + "mem", "rb", buffering=0) as memory:
            for line in maps.splitlines():
                if " rw" in line:
                    first, _, last = line.split()[0].partition("-")
                    memory.seek(int(first, 16))
                    if secret in memory.read(int(last, 16) - int(first, 16)):
                        hits.append("memory")
    except (OSError, ValueError, OverflowError):
        pass
    for name in ("root", "cwd"):
        try:
            if os.path.exists(f"{base}{name}{CANARY}"):
                hits.append(name)
            if "canary" in os.readlink(base + name):
                hits.append("link of " + name)
        except OSError:
            pass
    try:
        for number in os.listdir(base + "fd"):
            try:
                target = os.readlink(f"{base}fd/{number}")
                if "canary" in target:
                    hits.append("descriptor " + target)
                if os.path.exists(f"{base}fd/{number}/canary-file"):
                    hits.append("through a descriptor")
            except OSError:
                pass
    except OSError:
        pass

print("ready", flush=True)
while time.monotonic() < end and not os.path.exists("/tmp/stop"):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (1, own):
            strangers.add(name)
            looks += 1
            look(name)
print(json.dumps([hits, len(strangers), looks]))
"""


async def watched(canary: Path, capabilities: Capabilities, joins: int) -> list[Any]:
    """What a container's program saw of ``joins`` processes: [hits, processes, looks].

    With no joins, of one that runs in the container and holds the secret itself.
    """
    source = f"CANARY = {str(canary)!r}\n{WATCHER}"
    config = python_config(capabilities=capabilities, seccomp=None)
    async with Container(config) as container:
        watcher = await container.start([PYTHON, "-I", "-c", source], stdout=PIPE)
        assert watcher.stdout
        assert await watcher.stdout.receive() == b"ready\n"
        async with anyio.create_task_group() as group:
            for _ in range(joins):
                group.start_soon(container.run, ["true"])
        if not joins:
            await container.run(["sleep", "0.2"], env={"PATH": "/bin", "KEY": SECRET})
        await container.run(["touch", "/tmp/stop"])
        said: list[Any] = json.loads(await watcher.stdout.receive())
    return said


async def test_the_watcher_sees_what_may_be_seen(tmp_path: Path) -> None:
    """Else the next test proves nothing."""
    hits, _, _ = await watched(tmp_path, DEFAULT_CAPABILITIES, 0)
    assert {"environ", "memory"} & set(hits)


@pytest.mark.parametrize("capabilities", [DEFAULT_CAPABILITIES, COMMON])
async def test_nothing_of_the_supervisor_is_seen_through_those_who_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capabilities: Capabilities
) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "canary-file").write_text(SECRET)
    monkeypatch.setenv("API_KEY", SECRET)
    heap = [SECRET.encode() * 100 for _ in range(100)]
    directory = os.open(canary, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(directory, True)
    try:
        joins = 200 if FULL else 60
        hits, strangers, looks = await watched(canary, capabilities, joins)
    finally:
        os.close(directory)
    assert len(heap) == 100
    assert strangers > 10
    assert looks > 20
    assert hits == []


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", ["setresuid", "capset", "execve"])
async def test_a_helper_is_not_dumpable_whoever_it_has_become(
    rootfs: Path, tmp_path: Path, call: str
) -> None:
    """Held up before a call, its files in /proc have to be root's and not its user's:
    the kernel gives them to the user of a process that is dumpable."""
    config = Config(rootfs=rootfs, user="tester")
    await run(config, ["true"])
    owners: set[tuple[int, int]] = set()
    done = anyio.Event()

    async def look() -> None:
        while not done.is_set():
            owners.update(_owners())
            await anyio.sleep(0.005)

    delay = f"inject={call}:delay_enter=60000:delay_exit=60000"
    with traced(tmp_path / "log", "-e", f"trace={call}", "-e", delay):
        async with anyio.create_task_group() as group:
            group.start_soon(look)
            await run(config, ["true"])
            done.set()
    assert (1000, 0) in owners or (call == "setresuid" and owners == {(0, 0)}), owners
    assert {owner for _, owner in owners} == {0}


def _owners() -> Iterator[tuple[int, int]]:
    """(uid, owner of /proc/<pid>/environ) of each helper that there is."""
    running = spawner.peek()
    for pid in set(procfs.children()) - {running.pid if running else 0}:
        try:
            if "aiocontainer-python" in os.readlink(f"/proc/{pid}/exe"):
                fields = status_fields(Path(f"/proc/{pid}/status").read_text())
                owner = os.stat(f"/proc/{pid}/environ").st_uid
                yield int(fields["Uid"].split()[0]), owner
        except OSError:
            continue


READ_ARGUMENTS = r"""
import json, os
seen = set()
print("ready", flush=True)
while not os.path.exists("/tmp/stop"):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                seen.add(open(f"/proc/{name}/cmdline").read())
            except OSError:
                pass
print(json.dumps(sorted(seen)))
"""


async def test_the_arguments_of_a_helper_tell_nothing_of_the_host() -> None:
    """Everybody may read these, of any process."""
    async with Container(python_config()) as container:
        args = [PYTHON, "-I", "-c", READ_ARGUMENTS]
        reader = await container.start(args, stdout=PIPE)
        assert reader.stdout
        assert await reader.stdout.receive() == b"ready\n"
        for _ in range(20):
            await container.run(["true"])
        await container.run(["touch", "/tmp/stop"])
        seen = json.loads(await reader.stdout.receive())
    words = {text.strip("\0") for text in seen}
    assert "aiocontainer" in words, "no helper was seen; the test proves nothing"
    assert words <= {"", "aiocontainer", "true", "touch\0/tmp/stop", "init"}


async def test_the_spawner_has_no_secret_to_steal(
    rootfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is executed, and not forked from the program, with its own environment."""
    monkeypatch.setenv("API_KEY", SECRET)
    running = spawner.peek()
    if running is not None:
        os.kill(running.pid, 9)
    for _ in range(2):
        try:
            await run(Config(rootfs=rootfs), ["true"])
        except ContainerError:
            continue
    running = spawner.peek()
    assert running is not None
    environ = Path(f"/proc/{running.pid}/environ").read_bytes()
    assert SECRET.encode() not in environ
    assert {entry.partition(b"=")[0] for entry in environ.split(b"\0")} <= {
        b"",
        b"LD_LIBRARY_PATH",
    }
    assert os.stat(f"/proc/{running.pid}/environ").st_uid == 0
    maps = Path(f"/proc/{running.pid}/maps").read_text()
    with open(f"/proc/{running.pid}/mem", "rb", buffering=0) as memory:
        for line in maps.splitlines():
            if re.search(r" rw.p ", line) and "[v" not in line:
                first, _, last = line.split()[0].partition("-")
                memory.seek(int(first, 16))
                data = memory.read(int(last, 16) - int(first, 16))
                assert SECRET.encode() not in data
