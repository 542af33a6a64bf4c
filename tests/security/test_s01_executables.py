"""S1: no program of the host can be overwritten by way of a process that runs it.

/proc/<pid>/exe of a helper is an interpreter, and a process that has got hold of it can
write to it once it runs no more (CVE-2019-5736). Ours is a sealed copy.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Capabilities, Config, Container, ExecError, Mount, run
from aiocontainer.config import CAPABILITIES
from aiocontainer.plan.host import HostFacts
from aiocontainer.proc import fork_server, spawner
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, python_config

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

HELD = [n for n, bit in CAPABILITIES.items() if HostFacts.read().bounding >> bit & 1]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def interpreters() -> dict[str, str]:
    """Hash of each executable and library that the helper runs from."""
    library = Path(sysconfig.get_config_var("LIBDIR") or "/nowhere")
    paths = {Path(os.path.realpath(sys.executable)), Path(PYTHON).resolve()}
    paths |= set(library.glob("libpython3*.so*"))
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file()
    }


def spawners_own() -> str:
    running = spawner.peek()
    assert running is not None
    with open(f"/proc/{running.pid}/exe", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.fixture
async def unharmed(rootfs: Path) -> Any:
    """Compares the interpreters afterwards."""
    await run(Config(rootfs=rootfs), ["true"])
    before = interpreters(), spawners_own()
    yield
    assert (interpreters(), spawners_own()) == before


# -- the copy --------------------------------------------------------------------------


async def test_the_spawner_runs_from_a_sealed_copy(rootfs: Path) -> None:
    await run(Config(rootfs=rootfs), ["true"])
    running = spawner.peek()
    assert running is not None
    exe = f"/proc/{running.pid}/exe"
    assert os.readlink(exe).startswith("/memfd:")
    with open(exe, "rb") as file:
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        seals |= fcntl.F_SEAL_WRITE
        assert fcntl.fcntl(file, fcntl.F_GET_SEALS) & seals == seals
        assert file.read(4) == b"\x7fELF"
    assert os.path.realpath(sys.executable) not in os.readlink(exe)


def test_a_writer_is_refused_whoever_it_is() -> None:
    number = fork_server.sealed_copy(sys.executable)
    path = f"/proc/self/fd/{number}"
    try:
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
            writer = os.open(path, flags)  # this succeeds on a sealed file
            try:
                with pytest.raises(PermissionError):
                    os.write(writer, b"x")
            finally:
                os.close(writer)
        with pytest.raises(PermissionError):
            os.truncate(path, 0)
        with pytest.raises(PermissionError):
            os.fchmod(number, 0o666)
    finally:
        os.close(number)


def test_the_other_way_is_a_read_only_mount(tmp_path: Path) -> None:
    copy = tmp_path / "python"  # one that isn't running: that is refused anyway
    shutil.copy(os.path.realpath(sys.executable), copy)
    number = fork_server.readonly_mount(str(copy))
    try:
        with pytest.raises(OSError, match="Read-only"):
            os.open(f"/proc/self/fd/{number}", os.O_WRONLY)
        with pytest.raises(OSError, match="Read-only"):
            os.chmod(f"/proc/self/fd/{number}", 0o666)
    finally:
        os.close(number)


# -- the attacks -----------------------------------------------------------------------

STAGE_ONE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* Loaded into whatever the helper became: keeps its executable open over exec. */
__attribute__((constructor)) static void loaded(void) {
    char name[64];
    int held;
    if (getenv("STAGE_TWO")) return;
    held = open("/proc/self/exe", O_RDONLY);
    if (held < 0) return;
    snprintf(name, sizeof name, "/proc/self/fd/%d", held);
    setenv("STAGE_TWO", name, 1);
    unsetenv("LD_PRELOAD");
    execl("/bin/sh", "sh", "/stage-two", (char *)0);
}
"""

STAGE_TWO = """\
echo "held $(readlink $STAGE_TWO)"
n=0
while [ $n -lt 20 ]; do
  if echo overwritten >> $STAGE_TWO; then echo WRITTEN; fi
  n=$((n+1))
done 2>/dev/null
chmod 0666 $STAGE_TWO 2>/dev/null && echo MODE
exit 0
"""


@pytest.mark.needs("compiler")
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("/proc/self/exe", id="program"),
        pytest.param("/link", id="link"),
        pytest.param("/script", id="script"),
    ],
)
@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
@pytest.mark.usefixtures("unharmed")
async def test_the_helpers_executable_is_not_to_be_had_by_executing_it(
    own_rootfs: Path, tmp_path: Path, entry: str, joined: bool
) -> None:
    """CVE-2019-5736, as it was: an entry point that is /proc/self/exe, with a library
    of the image."""
    source = tmp_path / "stage.c"
    source.write_text(STAGE_ONE)
    library = own_rootfs / "stage-one.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)  # noqa: ASYNC221
    (own_rootfs / "stage-two").write_text(STAGE_TWO)
    (own_rootfs / "link").symlink_to("/proc/self/exe")
    (own_rootfs / "script").write_text("#!/proc/self/exe\n")
    (own_rootfs / "script").chmod(0o755)
    places = ["/usr", "/lib", "/lib64"]
    if not sys.base_prefix.startswith("/usr"):
        places.append(sys.base_prefix)
    config = Config(
        rootfs=own_rootfs,
        mounts=[Mount.bind(p, readonly=True) for p in places if os.path.exists(p)],
        env={"PATH": "/bin", "LD_PRELOAD": "/stage-one.so"},
        capabilities=Capabilities.of(*HELD),
        seccomp=None,
        no_new_privs=False,
    )
    async with Container(config) as container:
        try:
            result = await container.run([entry], init=joined, timeout=10)
        except ExecError:
            return  # it couldn't be executed at all, which is as good
    said = result.stdout.decode()
    assert said.startswith("held /memfd:aiocontainer-python"), result
    assert "WRITTEN" not in said
    assert "MODE" not in said


HUNTER = r"""
import json, os, sys, time
found, written, opened = set(), [], 0
print("ready", flush=True)
end = time.monotonic() + 30
while time.monotonic() < end and not os.path.exists("/tmp/stop"):
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            held = os.open(f"/proc/{name}/exe", os.O_RDONLY)
        except OSError:
            continue
        opened += 1
        target = os.readlink(f"/proc/self/fd/{held}")
        found.add(target)
        try:
            os.write(os.open(f"/proc/self/fd/{held}", os.O_WRONLY), b"overwritten")
            written.append(target)
        except OSError:
            pass
        try:
            os.fchmod(held, 0)
            written.append("mode of " + target)
        except OSError:
            pass
        os.close(held)
print(json.dumps([sorted(found), written, opened]))
"""


@pytest.mark.usefixtures("unharmed")
@pytest.mark.covers("executable that can't be overwritten")
async def test_a_hunter_with_all_capabilities_gets_nothing_it_can_write_to() -> None:
    """It sees each helper that joins; with CAP_SYS_PTRACE it may even open its
    executable, and still can't change it."""
    config = python_config(capabilities=Capabilities.of(*HELD), seccomp=None)
    joins = 200 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 40
    async with Container(config) as container:
        hunter = await container.start([PYTHON, "-I", "-c", HUNTER], stdout=-1)
        assert hunter.stdout
        assert await hunter.stdout.receive() == b"ready\n"
        async with anyio.create_task_group() as group:
            for _ in range(joins):
                group.start_soon(container.run, ["true"])
        await container.run(["touch", "/tmp/stop"])
        found, written, opened = json.loads(await hunter.stdout.receive())
    assert opened > 0
    assert written == [], found


async def test_the_built_in_init_is_out_of_reach_for_one_container_as_for_all(
    rootfs: Path,
) -> None:
    """All containers share it: whoever took its x bits away stopped the later ones."""
    source = r"""
import json, os, struct
said = {}
def attempt(name, function, *args):
    try:
        function(*args)
        said[name] = 0
    except OSError as error:
        said[name] = error.errno
held = os.open("/proc/1/exe", os.O_RDONLY)
path = f"/proc/self/fd/{held}"
attempt("write", os.open, path, os.O_WRONLY)
attempt("truncate", os.truncate, path, 0)
attempt("mode", os.fchmod, held, 0)
attempt("owner", os.fchown, held, 1, 1)
entries = ((1, 0, 2**32 - 1), (2, 0, 1000), (4, 0, 2**32 - 1), (16, 0, 2**32 - 1),
           (32, 0, 2**32 - 1))
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
attempt("acl", os.setxattr, held, "system.posix_acl_access", acl)
attempt("attribute", os.setxattr, held, "user.name", b"value")
attempt("times", os.utime, held, (0, 0))
print(json.dumps(said))
"""
    config = python_config(capabilities=Capabilities.of(*HELD), seccomp=None)
    async with Container(config) as container:
        result = await container.run([PYTHON, "-I", "-c", source])
    assert result.returncode == 0, result
    said = json.loads(result.stdout)
    assert 0 not in said.values(), said
    for user in ("0", "nobody"):
        async with Container(Config(rootfs=rootfs, user=user)) as container:
            assert (await container.run(["true"])).returncode == 0


def test_the_attack_works_on_an_ordinary_interpreter(tmp_path: Path) -> None:
    """Else the tests above prove nothing: the same, on a copy that isn't sealed."""
    copy = tmp_path / "python"
    shutil.copy(os.path.realpath(sys.executable), copy)
    before = copy.read_bytes()
    held = os.open(copy, os.O_RDONLY)
    writing = os.open(f"/proc/self/fd/{held}", os.O_WRONLY | os.O_APPEND)
    os.write(writing, b"overwritten")
    os.close(writing)
    os.close(held)
    assert copy.read_bytes() != before
