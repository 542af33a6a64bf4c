"""S4: nothing of an image is loaded or run before its program is executed.

After pivot_root or setns the paths of the helper's interpreter lead into the container:
lazily imported modules, codecs, NSS and libgcc were all seen to run there, as the
host's root.
"""

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, Container, ContainerError, Mount, Namespaces, run
from aiocontainer.proc import fork_server, handshake
from tests.support import trojans
from tests.support.capabilities import needs
from tests.support.rootfs import make_rootfs
from tests.support.tracing import traced

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "compiler"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="machine code of x86_64"),
]

FULL = os.environ.get("AIOCONTAINER_SWEEP") == "full"


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture(scope="module")
def infested() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="infested-", dir="/tmp"))
    folder.chmod(0o755)
    root = make_rootfs(folder / "rootfs")
    trojan = trojans.compile_trojan(folder)
    assert trojans.infest(root, trojan) > 500
    yield root
    shutil.rmtree(folder)


@pytest.fixture
def mark(infested: Path) -> Iterator[Path]:
    """The file that any trojan makes."""
    path = infested / trojans.MARK
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


# -- the trojans work, or nothing is proved --------------------------------------------


@pytest.mark.parametrize(
    "careless",
    [
        pytest.param("import tomllib", id="import"),
        pytest.param("b'x'.decode('cp037')", id="codec"),
        pytest.param("import ctypes; ctypes.CDLL('libseccomp.so.2')", id="dlopen"),
        pytest.param("import pwd; pwd.getpwnam('nosuchuser')", id="nss"),
        pytest.param("import time; time.strptime('1', '%d')", id="strptime"),
    ],
)
def test_a_careless_helper_runs_them(infested: Path, mark: Path, careless: str) -> None:
    before = "import ctypes, pwd, time, os; " if "import" in careless else "import os; "
    source = f"{before} os.chroot({str(infested)!r}); os.chdir('/'); {careless}"
    subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True)
    assert mark.exists()


async def test_a_program_of_the_image_runs_them(infested: Path, mark: Path) -> None:
    libraries = ("/usr", "/lib", "/lib64")
    mounts = [Mount.bind(p, readonly=True) for p in libraries if os.path.exists(p)]
    await run(Config(rootfs=infested, mounts=mounts), ["/usr/bin/true"], check=True)
    assert mark.exists()


# -- and ours isn't --------------------------------------------------------------------

CONFIGS: list[Any] = [
    pytest.param({}, id="default"),
    pytest.param({"user": "tester", "groups": ["audio"]}, id="names"),
    pytest.param({"user": "no-such-user"}, id="unknown user"),
    pytest.param({"user": "tester:no-such-group"}, id="unknown group"),
    pytest.param({"cwd": "/no/such"}, id="missing cwd"),
    pytest.param({"cwd": "/root", "user": "4711:4711"}, id="refused cwd"),
    pytest.param({"pivot_root": False}, id="no pivot"),
    pytest.param({"no_new_privs": False}, id="early filter"),
    pytest.param({"sysctl": {"net.ipv4.no_such": "1"}}, id="bad sysctl"),
    pytest.param({"sysctl": {"net.ipv4.ip_forward": "1"}}, id="sysctl"),
    pytest.param({"rlimits": {"nofile": 1 << 30}}, id="limit too high"),
    pytest.param({"env": {"LD_PRELOAD": "/trojan.so", "PYTHONPATH": "/"}}, id="env"),
    pytest.param({"namespaces": Namespaces(pid="host")}, id="pids of the host"),
    pytest.param(
        {"mounts": [Mount(destination="/etc", type="tmpfs", options=["tmpcopyup"])]},
        id="tmpcopyup",
    ),
    pytest.param(
        {"mounts": [Mount(destination="/x", type="tmpfs", options=["nonsense=1"])]},
        id="bad option",
    ),
    pytest.param({"mounts": [Mount.bind("/no/such", "/y")]}, id="missing source"),
    pytest.param({"hostname": "ü" * 32}, id="host name that isn't ASCII"),
]
PROGRAMS = (
    ["/bin/true"],
    ["true"],
    ["no-such-program"],
    ["/no/such/program"],
    ["/etc"],
    ["/ü\udcff"],
)


@pytest.mark.parametrize("settings", CONFIGS)
async def test_no_trojan_runs_whatever_is_asked_for(
    infested: Path, mark: Path, settings: dict[str, Any]
) -> None:
    config = Config(rootfs=infested, **settings)
    for args in PROGRAMS:
        for terminal in (False, True):
            try:
                async with Container(config) as container:
                    process = await container.start(args, terminal=terminal)
                    await process.wait()
            except ContainerError:
                pass
            assert not mark.exists(), (args, mark.read_text())
    try:
        async with Container(config) as container:
            for args in PROGRAMS:
                with contextlib.suppress(ContainerError):
                    await container.run(args)
                assert not mark.exists(), (args, mark.read_text())
    except ContainerError:
        pass


async def test_no_trojan_runs_when_a_kernel_call_fails(
    infested: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are where an interpreter loads what it didn't need before."""
    config = Config(rootfs=infested, user="tester")
    points = range(1, 200) if FULL else (*range(1, 12), *range(12, 200, 5))
    async with Container(config) as container:
        await container.run(["true"])
        for joined in (False, True):
            for number, code in ((n, c) for n in points for c in (5, 24)[: 1 + FULL]):
                monkeypatch.setattr(handshake, "fault", ("*", number, code))
                with contextlib.suppress(ContainerError):
                    if joined:
                        await container.run(["true"])
                    else:
                        await run(config, ["true"])
                assert not mark.exists(), (number, mark.read_text())
        monkeypatch.setattr(handshake, "fault", None)


# -- the lock by itself: what the interpreter loads when nobody thinks of it -----------

LAZY = [
    *("import tomllib", "__import__('xml.dom')", "time.strptime('1', '%d')"),
    *("b'x'.decode('cp037')", "'x'.encode('idna')", "'x'.encode('utf-7')"),
    *("b'x'.decode('no-such-codec')", "socket.getaddrinfo('host.invalid', 1)"),
    *(
        "ctypes.CDLL('libseccomp.so.2')",
        "compile('1', 'x', 'exec')",
        "os.popen('true')",
    ),
    *("1/0", "sys.excepthook(OSError, OSError(), None)", "raise SystemExit('text')"),
    *("__import__('_warnings').warn('text')", "breakpoint()", "open('/nothing')"),
    *("'\\udcff'.encode()", "__import__('gc').collect()", "[][1]"),
]

LOCKED = """
import ctypes, os, socket, sys, time
sys.path += %r
from aiocontainer.proc.helper import server, lockdown
lockdown.warm_up()
lockdown.lock()
os.chroot(%r)
os.chdir("/")
"""


@pytest.mark.parametrize("careless", LAZY)
def test_after_the_lock_nothing_is_loaded(
    infested: Path, mark: Path, careless: str
) -> None:
    """Each loads something on one version of Python or another. What counts is that
    nothing comes from the image, and not whether it works."""
    source = LOCKED % (fork_server.import_paths(), str(infested)) + f"\n{careless}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source], capture_output=True, timeout=20
    )
    assert not mark.exists(), (done, mark.read_text())


# What asks NSS, which loads libraries: no lock of the interpreter's can see that.
ASKS_NSS = {
    *("getpwnam", "getpwuid", "getpwall", "getgrnam", "getgrgid", "getgrall"),
    *("getgrouplist", "initgroups", "getlogin", "gethostbyname", "getaddrinfo"),
    *("expanduser", "getfqdn", "getservbyname", "popen", "system"),
}
HELPER = Path(fork_server.__file__).parent / "helper"
SYS = HELPER.parents[1] / "_sys"


@pytest.mark.parametrize(
    "path",
    sorted([*HELPER.glob("*.py"), *SYS.glob("*.py")]),
    ids=lambda path: path.name,
)
def test_no_source_of_the_helper_asks_for_names(path: Path) -> None:
    tree = ast.parse(path.read_text())
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not named & ASKS_NSS


# -- seen from outside: what the helper opens ------------------------------------------

OPENED_INSIDE = re.compile(
    r"/?\.?|/etc/(passwd|group)|/dev/pts|/dev/console|ptmx|.*/ns/.*"
)


@pytest.mark.needs("strace")
async def test_after_the_root_has_changed_only_user_files_are_opened(
    rootfs: Path, tmp_path: Path
) -> None:
    await run(Config(rootfs=rootfs), ["true"])  # the spawner is there
    log = tmp_path / "log"
    calls = "open,openat,openat2,execve,execveat,pivot_root,setns,mmap"
    with traced(log, "-e", f"trace={calls}"):
        for settings in ({}, {"user": "tester", "groups": ["audio"]}, {"cwd": "/none"}):
            config = Config(rootfs=rootfs, **settings)
            with contextlib.suppress(ContainerError):
                async with Container(config) as container:
                    first = await container.start(["true"], terminal=True)
                    await first.wait()
                async with Container(config) as container:
                    await container.run(["true"])
                    await container.run(["true"], user="daemon")
                    await container.run(["missing"])
    inside = _opened_inside(log.read_text())
    assert len(inside) > 5, "the trace shows nothing; the test proves nothing"
    assert not [path for path in inside if not OPENED_INSIDE.fullmatch(path)]


def _opened_inside(log: str) -> list[str]:
    """Paths opened by each process between pivot_root (or setns to a container's mount
    namespace) and execve; and code it maps from files, as ``mmap``."""
    found: list[str] = []
    inside: set[str] = set()
    for line in log.splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.startswith("pivot_root(") or (
            call.startswith("setns(") and "CLONE_NEWNS" in call
        ):
            inside.add(pid)
        elif call.startswith("execve"):
            inside.discard(pid)
        elif pid in inside and call.startswith("open"):
            path = re.search(r'"((?:[^"\\]|\\.)*)"', call)
            found.append(path.group(1) if path else call)
        elif pid in inside and call.startswith("mmap") and "PROT_EXEC" in call:
            found.append("mmap")
    return found
