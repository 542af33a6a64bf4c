"""``Config(rootfs=...)`` alone: what it keeps a program from, and what still works."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import STDOUT, Config, Container, Namespaces, run
from aiocontainer.config import (
    DEFAULT_DEVICES,
    DEFAULT_MASKED_PATHS,
    DEFAULT_READONLY_PATHS,
)
from tests.support.capabilities import needs
from tests.support.inside import (
    PYTHON,
    look,
    mounts_of,
    python_config,
    shell,
    status_fields,
)

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "seccomp"),
]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


# -- the file system -------------------------------------------------------------------


async def test_every_masked_path_is_empty_and_every_read_only_path_is(
    rootfs: Path,
) -> None:
    script = """
for path in $MASKED; do
  [ -e $path ] || continue
  if [ -d $path ]; then echo "$path: $(ls -A $path | wc -l)"
  else echo "$path: $(head -c 64 $path | wc -c)"; fi
done
for path in $READONLY; do
  [ -e $path ] || continue
  echo "$path: $(awk -v p=$path '$5 == p {print $6}' /proc/self/mountinfo | tail -n1)"
done
"""
    env = {
        "PATH": "/bin",
        "MASKED": " ".join(DEFAULT_MASKED_PATHS),
        "READONLY": " ".join(DEFAULT_READONLY_PATHS),
    }
    lines = (await shell(Config(rootfs=rootfs, env=env), script)).splitlines()
    said = dict(line.split(": ") for line in lines)
    assert {path for path in DEFAULT_MASKED_PATHS if os.path.exists(path)} <= set(said)
    for path, answer in said.items():
        if path in DEFAULT_MASKED_PATHS:
            assert answer == "0", path
        else:
            assert answer.split(",")[0] == "ro", path
    assert "/proc/sys" in said


WRITES = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/sys/kernel/mm/ksm/run",
    "/sys/power/state",
    "/sys/kernel/uevent_helper",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/sda",
)


OPEN_EACH = """
import json, os
said = {}
for path in json.loads(PATHS):
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError as error:
        said[path] = error.errno
    else:
        # Masked: what is written goes to /dev/null.
        said[path] = 0 if os.fstat(file).st_rdev == os.makedev(1, 3) else "opened"
print(json.dumps(said))
"""


async def test_nothing_that_belongs_to_the_host_can_be_written() -> None:
    before = {p: Path(p).read_bytes() for p in WRITES[:5] if os.path.exists(p)}
    source = f"PATHS = {json.dumps(WRITES)!r}\n{OPEN_EACH}"
    said = await look(python_config(), source)
    # EROFS, EACCES, EPERM, ENOENT, EISDIR, EBUSY (a device that's in use).
    assert set(said.values()) <= {0, 30, 13, 1, 2, 21}, said
    assert {p: Path(p).read_bytes() for p in before} == before


async def test_the_devices_are_the_few_that_every_program_needs(rootfs: Path) -> None:
    script = "cd /dev; for f in *; do stat -c '%n %F %a %t:%T' $f; done; ls pts shm"
    said, _, empty = (await shell(Config(rootfs=rootfs), script)).partition("pts:\n")
    assert empty.split() == ["ptmx", "shm:"]
    kinds = {line.split()[0]: line.split(" ", 1)[1] for line in said.splitlines()}
    devices = {d.path.removeprefix("/dev/"): d for d in DEFAULT_DEVICES}
    links = {"fd", "stdin", "stdout", "stderr", "ptmx"}
    assert set(kinds) == {*devices, *links, "pts", "shm", "mqueue"}
    for name, device in devices.items():
        wanted = f"character special file 666 {device.major:x}:{device.minor:x}"
        assert kinds[name] == wanted
    for name in links:
        assert kinds[name].startswith("symbolic link")


async def test_the_mounts_are_as_harmless_as_they_can_be(rootfs: Path) -> None:
    mounts = await mounts_of(Config(rootfs=rootfs))
    harmless = {"nosuid", "nodev", "noexec"}
    for path in ("/proc", "/dev/shm", "/dev/mqueue", "/sys"):
        assert harmless <= mounts[path].options, path
    assert "ro" in mounts["/sys"].options
    assert {"nosuid", "noexec"} <= mounts["/dev/pts"].options
    assert "nosuid" in mounts["/dev"].options
    assert "size=65536k" in mounts["/dev"].superblock
    assert {"mode=620", "ptmxmode=666"} <= mounts["/dev/pts"].superblock


async def test_the_cgroups_of_the_host_are_not_to_be_seen(rootfs: Path) -> None:
    said = await shell(
        Config(rootfs=rootfs), "ls /sys/fs/cgroup 2>/dev/null; cat /proc/self/cgroup"
    )
    paths = {line.split(":", 2)[2] for line in said.splitlines() if ":" in line}
    assert paths <= {"/"}
    assert all(":" in line for line in said.splitlines())


# -- the process -----------------------------------------------------------------------


async def status_of(container: Container) -> list[dict[str, str]]:
    """Of the first process, from outside; and of one that joined, from inside."""
    result = await container.run(["cat", "/proc/self/status"])
    inside = result.stdout.decode()
    outside = Path(f"/proc/{container.pid}/status").read_text()
    return [status_fields(outside), status_fields(inside)]


@pytest.mark.covers("seccomp on processes that join")
async def test_filter_no_new_privs_and_signals_hold_for_first_and_later_processes(
    rootfs: Path,
) -> None:
    config = Config(rootfs=rootfs)
    async with Container(config) as container:
        await container.start(["sleep", "100"])
        for fields in await status_of(container):
            assert fields["NoNewPrivs"] == "1"
            assert fields["Seccomp"] == "2"
            assert fields["Seccomp_filters"] == "1"
            assert int(fields["SigBlk"], 16) == 0
            assert int(fields["SigIgn"], 16) == 0


async def test_every_process_is_a_session_of_its_own_without_a_terminal(
    rootfs: Path,
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(["sleep", "100"])
        for args in (["cat", "/proc/1/stat"], ["cat", "/proc/self/stat"]):
            result = await container.run(args)
            _, _, rest = result.stdout.decode().rpartition(") ")
            fields = rest.split()
            pid = int(result.stdout.split()[0])
            assert int(fields[3]) == pid, "leads its session"
            assert int(fields[4]) == 0, "no terminal"


REFUSED = r"""
import ctypes, errno, fcntl, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_ulong(a) for a in args])
    return ctypes.get_errno() if answer == -1 else 0
def attempt(function, *args):
    try:
        function(*args)
    except OSError as error:
        return error.errno
    return 0
N = %r
path = ctypes.addressof(ctypes.create_string_buffer(b"/tmp"))
said = {
    "unshare user": call(N["unshare"], 0x10000000),
    "unshare all": call(N["unshare"], 0x7E020000),
    "clone user": call(N["clone"], 0x10000000 | 17, 0, 0, 0, 0),
    "clone3": call(435, 0, 0),
    "setns": call(N["setns"], 0, 0),
    "mount": call(N["mount"], path, path, path, 0, 0),
    "umount": call(N["umount2"], path, 2),
    "fsopen": call(430, path, 0),
    "open_tree": call(428, 0, path, 0),
    "move_mount": call(429, 0, path, 0, path, 0),
    "mount_setattr": call(442, 0, path, 0, 0, 0),
    "pivot_root": call(N["pivot_root"], path, path),
    "keyctl": call(N["keyctl"], 0, 0, 0, 0, 0),
    "add_key": call(N["add_key"], path, path, 0, 0, 0),
    "request_key": call(N["request_key"], path, path, 0, 0),
    "bpf": call(N["bpf"], 0, 0, 0),
    "io_uring_setup": call(425, 1, 0),
    "userfaultfd": call(N["userfaultfd"], 0),
    "perf_event_open": call(N["perf_event_open"], 0, 0, 0, 0, 0),
    "open_by_handle_at": call(N["open_by_handle_at"], 0, 0, 0),
    "init_module": call(N["init_module"], 0, 0, 0),
    "finit_module": call(N["finit_module"], 0, 0, 0),
    "kexec_load": call(N["kexec_load"], 0, 0, 0, 0),
    "reboot": call(N["reboot"], 0, 0, 0, 0),
    "swapon": call(N["swapon"], path, 0),
    "syslog": call(N["syslog"], 3, 0, 0),
    "settimeofday": call(N["settimeofday"], 0, 0),
    "acct": call(N["acct"], 0),
    "quotactl": call(N["quotactl"], 0, 0, 0, 0),
    "personality": call(N["personality"], 0x0040000),
    "pidfd_getfd": call(438, 0, 0, 0),
    "AF_ALG": attempt(socket.socket, 38, socket.SOCK_SEQPACKET),
    "AF_VSOCK": attempt(socket.socket, 40, socket.SOCK_STREAM),
    "AF_TIPC": attempt(socket.socket, 30, socket.SOCK_STREAM),
    "AF_BLUETOOTH": attempt(socket.socket, 31, socket.SOCK_RAW),
    "AF_ALG pair": attempt(socket.socketpair, 38, socket.SOCK_SEQPACKET),
    "raw": attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1),
    "packet": attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 3),
    "TIOCSTI": attempt(fcntl.ioctl, 0, 0x5412, b"x"),
    "TIOCSTI high": call(N["ioctl"], 0, 0x100005412, path),
    "TIOCLINUX": attempt(fcntl.ioctl, 0, 0x541C, b"\3"),
    "mknod": attempt(os.mknod, "/tmp/sda", 0o60666, os.makedev(8, 0)),
    "sethostname": attempt(socket.sethostname, "x"),
    "chroot": 0,
}
print(json.dumps(said))
"""

NUMBERS = {
    "x86_64": dict(
        *(),
        unshare=272,
        clone=56,
        setns=308,
        mount=165,
        umount2=166,
        pivot_root=155,
        keyctl=250,
        add_key=248,
        request_key=249,
        bpf=321,
        userfaultfd=323,
        perf_event_open=298,
        open_by_handle_at=304,
        init_module=175,
        finit_module=313,
        kexec_load=246,
        reboot=169,
        swapon=167,
        syslog=103,
        settimeofday=164,
        acct=163,
        quotactl=179,
        personality=135,
        ioctl=16,
    )
}
by_number = pytest.mark.skipif(
    os.uname().machine not in NUMBERS, reason="numbers of x86_64"
)
EPERM, EACCES, ENOSYS = 1, 13, 38


@by_number
@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_what_reaches_deep_into_the_kernel_is_refused(joined: bool) -> None:
    source = REFUSED % (NUMBERS[os.uname().machine],)
    async with Container(python_config()) as container:
        result = await container.run([PYTHON, "-I", "-c", source], init=joined)
    assert result.returncode == 0, result
    said = json.loads(result.stdout)
    allowed = {name for name, code in said.items() if code not in (EPERM, ENOSYS)}
    assert allowed == {"chroot"}, said
    assert said["clone3"] == ENOSYS


@by_number
async def test_the_filter_holds_where_no_new_privs_is_off() -> None:
    """It is loaded early then, as root, and goes through the change of user."""
    source = REFUSED % (NUMBERS[os.uname().machine],)
    config = python_config(no_new_privs=False, user="nobody")
    said = await look(config, source)
    assert {name for name, code in said.items() if not code} == {"chroot"}, said


async def test_without_a_filter_namespaces_can_be_made_by_who_may() -> None:
    """Else the test above proves nothing."""
    source = """
import ctypes, json
libc = ctypes.CDLL(None)
print(json.dumps(libc.unshare(0x10000000)))
"""
    assert await look(python_config(seccomp=None), source) == 0
    assert await look(python_config(), source) == -1


@pytest.mark.covers("new session keyring")
async def test_every_process_has_a_session_keyring_of_its_own(rootfs: Path) -> None:
    source = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
print(json.dumps(libc.syscall(ctypes.c_long(250), 0, -3, 0)))
"""
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of x86_64")
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    own = libc.syscall(ctypes.c_long(250), 0, -3, 0)
    one = await look(python_config(seccomp=None), source)
    other = await look(python_config(seccomp=None), source)
    shared = await look(python_config(seccomp=None, session_keyring=False), source)
    assert len({own, one, other}) == 3
    assert shared == own
    assert own == libc.syscall(ctypes.c_long(250), 0, -3, 0)


# -- what still works ------------------------------------------------------------------


async def test_asyncio_threads_processes_and_sockets_work() -> None:
    source = """
import asyncio, concurrent.futures, json, multiprocessing, socket, subprocess, sys
import tempfile, threading

async def main():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", "print(6 * 7)", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    server = await asyncio.start_server(
        lambda reader, writer: (writer.write(b"hello"), writer.close()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    said = await reader.read()
    writer.close()
    server.close()
    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.start_unix_server(lambda r, w: w.close(), folder + "/s")
        reader, writer = await asyncio.open_unix_connection(folder + "/s")
        end = await reader.read()
        server.close()
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sums = await asyncio.gather(
            *(loop.run_in_executor(pool, sum, range(n)) for n in range(50)))
    return [out.decode().strip(), said.decode(), end.decode(), sum(sums)]

if __name__ == "__main__":
    said = asyncio.run(main())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        said.append(pool.map(abs, [-1, -2]))
    print(json.dumps(said))
"""
    assert await look(python_config(), source) == [
        *("42", "hello", "", sum(sum(range(n)) for n in range(50))),
        [1, 2],
    ]


@pytest.mark.parametrize("user", ["0", "nobody", "12345:12345"])
async def test_anybody_can_run_the_hosts_python(user: str) -> None:
    config = python_config(user=user, cwd="/tmp")
    source = """
import json, os, tempfile
open("file", "w").write("x")
print(json.dumps([os.getuid(), os.getcwd(), tempfile.gettempdir()]))
"""
    uid, cwd, temporary = await look(config, source)
    assert (cwd, temporary) == ("/tmp", "/tmp")
    assert uid == {"0": 0, "nobody": 65534}.get(user, 12345)


async def test_package_tools_of_the_host_start() -> None:
    """They look at much of the system before they say a word."""
    config = python_config()
    for args in (["tar", "--version"], ["openssl", "version"], ["perl", "-v"]):
        script = f"command -v {args[0]} >/dev/null || exit 0; {' '.join(args)}"
        result = await run(config, ["sh", "-c", script], stderr=STDOUT)
        assert result.returncode == 0, result


async def test_each_relaxation_is_one_visible_line(rootfs: Path) -> None:
    """Relaxing one thing leaves the others as they are."""
    config = Config(rootfs=rootfs, seccomp=None)
    fields = status_fields(await shell(config, "cat /proc/self/status"))
    assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("0", "1")
    config = Config(rootfs=rootfs, no_new_privs=False)
    fields = status_fields(await shell(config, "cat /proc/self/status"))
    assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("2", "0")
    config = Config(rootfs=rootfs, namespaces=Namespaces(network="host"))
    names = (await shell(config, "ls /sys/class/net")).split()
    assert set(names) == set(os.listdir("/sys/class/net"))
    config = Config(rootfs=rootfs, masked_paths=[], readonly_paths=[])
    mounts = await mounts_of(config)
    assert not [path for path in mounts if path.startswith("/proc/")]
