"""Namespaces: each kind new, the host's, or joined by its path."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import (
    Capabilities,
    Config,
    ConfigError,
    Container,
    Device,
    IdMapping,
    Mount,
    Namespaces,
    Rootfs,
    SetupError,
    run,
)
from aiocontainer.config import DEFAULT_DEVICES
from tests.support import procfs, spawners
from tests.support.capabilities import needs
from tests.support.inside import (
    look,
    parse_mounts,
    python_config,
    shell,
    shell_in,
    status_fields,
)

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

KINDS = {
    "mount": "mnt",
    "pid": "pid",
    "uts": "uts",
    "ipc": "ipc",
    "network": "net",
    "cgroup": "cgroup",
}
ALL = [*KINDS.values(), "user"]
SHOW = f"for kind in {' '.join(ALL)}; do readlink /proc/self/ns/$kind; done"


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def read(text: str) -> dict[str, str]:
    """{"net": "net:[4026531840]", ...}"""
    return {line.partition(":")[0]: line for line in text.split()}


def own() -> dict[str, str]:
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ALL}


MAPPED = [IdMapping(container_id=0, host_id=200_000, size=65_536)]


def mapped(rootfs: Any, **settings: Any) -> Config:
    """A container in a user namespace of its own, on a root that its root owns."""
    spaces = settings.pop("namespaces", {})
    return Config(
        rootfs=rootfs,
        namespaces=Namespaces(user="new", **spaces),
        uid_mappings=MAPPED,
        gid_mappings=MAPPED,
        **settings,
    )


# -- new and host ----------------------------------------------------------------------


@pytest.mark.covers("pid, network, mount, uts and ipc namespaces", "cgroup namespace")
async def test_all_but_the_user_namespace_are_new_by_default(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = read(await shell_in(container, SHOW))
        assert {kind for kind in ALL if first[kind] == own()[kind]} == {"user"}
        assert read(await shell_in(container, SHOW)) == first
        pid = container.pid
        assert {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ALL} == first


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mount"])
async def test_each_namespace_can_be_the_hosts(rootfs: Path, kind: str) -> None:
    config = Config(rootfs=rootfs, namespaces=Namespaces(**{kind: "host"}))
    async with Container(config) as container:
        first = read(await shell_in(container, SHOW))
        shared = {name for name in ALL if first[name] == own()[name]}
        assert shared == {"user", KINDS[kind]}
        assert read(await shell_in(container, SHOW)) == first


async def test_all_at_once_can_be_the_hosts_but_the_mount_namespace(
    rootfs: Path,
) -> None:
    choices = {kind: "host" for kind in KINDS if kind != "mount"}
    config = Config(rootfs=rootfs, namespaces=Namespaces(**choices))
    async with Container(config) as container:
        inside = read(await shell_in(container, SHOW))
        assert {kind for kind in ALL if inside[kind] != own()[kind]} == {"mnt"}


async def test_the_hosts_mount_namespace_is_refused(rootfs: Path) -> None:
    with pytest.raises(ConfigError, match="mount"):
        await run(
            Config(
                rootfs=rootfs,
                namespaces=Namespaces(mount="host"),
                system_mounts=[],
                masked_paths=[],
                readonly_paths=[],
            ),
            ["true"],
        )


async def test_without_a_pid_namespace_all_processes_end_all_the_same(
    rootfs: Path,
) -> None:
    config = Config(rootfs=rootfs, namespaces=Namespaces(pid="host"))
    async with Container(config) as container:
        await container.start(["sh", "-c", "sleep 100 & sleep 100 & wait"])
        await shell_in(container, "sleep 100 & true")
        sleepers = set(procfs.descendants())
    # Orphans are the children of this process now, a subreaper, and are its to reap.
    orphans = sleepers & set(procfs.children()) - {spawners.find()}
    assert orphans
    for pid in orphans:
        status = os.waitpid(pid, 0)[1]  # noqa: ASYNC222
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


async def test_process_numbers_are_the_containers_own(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(["sleep", "100"])
        said = await shell_in(container, "echo $$; ls -d /proc/[0-9]*")
        own_pid, *rest = said.split()
        assert set(rest) <= {"/proc/1", f"/proc/{own_pid}", f"/proc/{int(own_pid) + 1}"}
        assert first.pid > 1


@pytest.mark.covers("loopback")
async def test_loopback_is_up_and_there_is_nothing_else() -> None:
    source = """
import json, os, socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
there, _ = server.accept()
client.sendall(b"hello")
said = there.recv(100).decode()
try:
    server6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
    socket.create_connection(server6.getsockname()[:2])
    six = True
except OSError as error:
    six = str(error)
def outcome(call):
    try:
        call()
    except OSError as error:
        return error.errno
raw = outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
out = outcome(lambda: socket.create_connection(("192.0.2.1", 80), 2))
names = sorted(name for _, name in socket.if_nameindex())
abstract = open("/proc/net/unix").read().count("@")
print(json.dumps([said, six, raw, out, names, abstract]))
"""
    said, six, raw, out, names, abstract = await look(python_config(), source)
    assert said == "hello"
    assert six is True or not os.path.exists("/proc/net/if_inet6")
    assert raw == 1  # EPERM
    assert out == 101  # ENETUNREACH
    assert "lo" in names
    # Kernels with tunnel modules put a silent device of each into every namespace.
    assert set(names) - {"lo"} <= {
        *("sit0", "tunl0", "gre0", "gretap0", "erspan0", "ip6tnl0", "ip_vti0"),
        *("ip6_vti0", "ip6gre0"),
    }
    assert abstract == 0


async def test_messages_and_shared_memory_of_others_are_not_seen() -> None:
    source = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
print(json.dumps([libc.shmget(0x5AFE, 4096, 0), libc.msgget(0x5AFE, 0)]))
"""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0x5AFE, 4096, 0o1600)
    queue = libc.msgget(0x5AFE, 0o1600)
    try:
        assert min(segment, queue) >= 0
        assert await look(python_config(), source) == [-1, -1]
        shared = python_config(namespaces=Namespaces(ipc="host"))
        assert await look(shared, source) == [segment, queue]
    finally:
        libc.shmctl(segment, 0, None)
        libc.msgctl(queue, 0, None)


# -- by path ---------------------------------------------------------------------------


@contextmanager
def holder(*kinds: str) -> Iterator[int]:
    """A process in new namespaces of these kinds, for others to join; its pid.

    With ``pid`` among them it is the child that is in it, as pid 1.
    """
    program = """
import ctypes, fcntl, os, socket, struct, sys  # now: later they may not be readable
libc = ctypes.CDLL(None, use_errno=True)
flags = dict(net=0x40000000, ipc=0x08000000, uts=0x04000000, cgroup=0x02000000,
             mnt=0x00020000, pid=0x20000000, user=0x10000000)
kinds = sys.argv[1:]
uid_map = sys.stdin.readline
if libc.unshare(sum(flags[kind] for kind in kinds)) != 0:
    sys.exit("unshare")
print(os.getpid(), flush=True)
uid_map()
if "user" in kinds:
    os.setgid(0); os.setuid(0)
if "pid" in kinds:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        os.write(writer, b"x")
        os.waitpid(pid, 0)
        sys.exit()
    os.read(reader, 1)
else:
    print(os.getpid(), flush=True)
if "uts" in kinds:
    libc.sethostname(b"held", 4)
if "net" in kinds:
    fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh22x", b"lo", 1))
print("ready", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", program, *kinds],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        pid = int(process.stdout.readline())
        if "user" in kinds:
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{pid}/{name}").write_text("0 200000 65536\n")
        process.stdin.write("\n")
        process.stdin.flush()
        held = int(process.stdout.readline())
        assert process.stdout.readline() == "ready\n"
        yield held
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@pytest.mark.parametrize("kind", ["pid", "uts", "ipc", "network", "cgroup"])
@pytest.mark.covers("namespaces by path")
async def test_each_namespace_can_be_joined_by_its_path(
    rootfs: Path, kind: str
) -> None:
    short = KINDS[kind]
    with holder(short) as pid:
        path = f"/proc/{pid}/ns/{short}"
        wanted = os.readlink(path)
        config = Config(rootfs=rootfs, namespaces=Namespaces(**{kind: path}))
        async with Container(config) as container:
            first = read(await shell_in(container, SHOW))
            assert first[short] == wanted
            assert {name for name in ALL if first[name] == own()[name]} == {"user"}
            assert read(await shell_in(container, SHOW)) == first
            if kind == "uts":
                assert await shell_in(container, "hostname") == "held\n"
        # The namespace isn't the container's: it is as it was.
        assert os.readlink(path) == wanted


async def test_in_a_joined_pid_namespace_all_of_ours_end_and_only_ours(
    rootfs: Path,
) -> None:
    """The first process isn't pid 1 there: its end is not everybody's."""
    async with Container(Config(rootfs=rootfs)) as pod:
        mine = await pod.start(["sleep", "100"])
        spaces = Namespaces(pid=f"/proc/{pod.pid}/ns/pid")
        async with Container(Config(rootfs=rootfs, namespaces=spaces)) as guest:
            result = await guest.run(
                ["sh", "-c", "sleep 200 & sleep 300 & wait"], timeout=0.2, init=False
            )
            assert result.reason == "timed_out"
        assert (await shell_in(pod, "ps | grep -c '[s]leep [23]00' || true")) == "0\n"
        assert not mine.ended


async def test_two_containers_share_a_network(rootfs: Path) -> None:
    """As a pod does: the second joins the first by the path of its namespace."""
    async with Container(Config(rootfs=rootfs)) as one:
        await shell_in(one, "true")
        path = f"/proc/{one.pid}/ns/net"
        config = Config(rootfs=rootfs, namespaces=Namespaces(network=path))
        async with Container(config) as other:
            server = await one.start(
                ["sh", "-c", "echo hello | nc -l -p 4711 127.0.0.1"]
            )
            said = await shell_in(
                other,
                "until nc 127.0.0.1 4711 </dev/null 2>/dev/null; do usleep 5000; done",
            )
            assert said == "hello\n"
            await server.wait()


async def test_a_mount_namespace_can_be_joined_by_its_path(rootfs: Path) -> None:
    """The container's file system is then the other's, as it is."""
    base = Config(rootfs=rootfs, mounts=[Mount.tmpfs("/mnt")])
    async with Container(base) as one:
        await shell_in(one, "echo shared > /mnt/file")
        config = Config(
            rootfs=rootfs,
            namespaces=Namespaces(mount=f"/proc/{one.pid}/ns/mnt"),
            system_mounts=[],
            masked_paths=[],
            readonly_paths=[],
        )
        async with Container(config) as other:
            assert await shell_in(other, "cat /mnt/file") == "shared\n"


WRONG = [
    pytest.param(lambda folder: folder / "missing", FileNotFoundError, id="missing"),
    pytest.param(lambda folder: folder / "fifo", OSError, id="a FIFO"),
    pytest.param(lambda folder: folder / "file", OSError, id="a file"),
    pytest.param(lambda folder: folder, OSError, id="a directory"),
    pytest.param(lambda folder: Path("/dev/zero"), OSError, id="a device"),
    pytest.param(lambda folder: Path("/proc/self/ns/time"), OSError, id="another kind"),
]


@pytest.mark.parametrize("kind", [*KINDS, "user"])
@pytest.mark.parametrize(("make", "error"), WRONG)
async def test_what_is_no_such_namespace_is_refused_at_once(
    rootfs: Path, tmp_path: Path, kind: str, make: Any, error: type[OSError]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    namespaces = Namespaces(**{kind: str(make(tmp_path))})
    bare: dict[str, Any] = {}
    if kind == "mount":
        bare = {"system_mounts": [], "masked_paths": [], "readonly_paths": []}
    config = Config(rootfs=rootfs, namespaces=namespaces, **bare)
    with pytest.raises(SetupError) as caught:
        await run(config, ["true"], timeout=2)
    assert isinstance(caught.value.__cause__, error)


# -- user namespaces -------------------------------------------------------------------

user_namespaces = needs("user-namespace", "overlay")


@pytest.fixture
def mapped_rootfs(own_rootfs: Path) -> Path:
    """A root file system that belongs to the root of `MAPPED`."""
    for folder, folders, files in os.walk(own_rootfs):
        for name in (".", *folders, *files):
            facts = os.lstat(os.path.join(folder, name))
            os.lchown(
                os.path.join(folder, name),
                200_000 + facts.st_uid,
                200_000 + facts.st_gid,
            )
    return own_rootfs


@user_namespaces
@pytest.mark.covers("user namespace at creation")
async def test_root_inside_is_nobody_outside(mapped_rootfs: Path) -> None:
    async with Container(mapped(mapped_rootfs)) as container:
        script = f"id -u; cat /proc/self/uid_map; echo x > /made; {SHOW}"
        said = await shell_in(container, script)
        assert said.split()[:4] == ["0", "0", "200000", "65536"]
        assert (mapped_rootfs / "made").stat().st_uid == 200_000
        inside = read("\n".join(said.split()[4:]))
        assert not [kind for kind in ALL if inside[kind] == own()[kind]]
        fields = status_fields(Path(f"/proc/{container.pid}/status").read_text())
        assert fields["Uid"].split() == ["200000"] * 4
        assert fields["Gid"].split() == ["200000"] * 4
        assert fields["Groups"].split() == []


@user_namespaces
@pytest.mark.parametrize("kind", ["directory", "overlay", "host"])
async def test_every_root_works_in_a_user_namespace(
    mapped_rootfs: Path, kind: str
) -> None:
    rootfs = {
        "directory": mapped_rootfs,
        "overlay": Rootfs.overlay(mapped_rootfs),
        "host": Rootfs.host(),
    }[kind]
    script = """
echo x > /tmp/x; echo x > /dev/shm/x; echo x > /dev/null; head -c 4 /dev/urandom | wc -c
ls /sys/class/net; cat /proc/self/uid_map; ls -l /dev/full
"""
    said = await shell(mapped(rootfs), script)
    assert said.split()[:2] == ["4", "lo"]


@user_namespaces
@pytest.mark.parametrize("kind", ["network", "pid", "ipc", "uts", "cgroup"])
async def test_a_user_namespace_goes_with_namespaces_of_the_host(
    mapped_rootfs: Path, kind: str
) -> None:
    """sysfs, proc and mqueue of others can't be mounted: the host's are bound."""
    config = mapped(mapped_rootfs, namespaces={kind: "host"})
    async with Container(config) as container:
        inside = read(await shell_in(container, SHOW))
        assert [k for k in ALL if inside[k] == own()[k]] == [KINDS[kind]]
        said = await shell_in(container, "ls /sys/class/net; cat /proc/1/comm")
        assert said
        assert parse_mounts(await shell_in(container, "cat /proc/self/mountinfo"))


@user_namespaces
async def test_devices_in_a_user_namespace_are_the_hosts_own_and_the_right_ones(
    mapped_rootfs: Path,
) -> None:
    """They can't be made there, only shown; a name says nothing about the number."""
    pipe = Device(path="/dev/pipe", type="p", uid=1000)
    good = Device(path="/dev/net/../zero2", major=1, minor=5)
    script = "head -c 2 /dev/zero | wc -c; ls -l /dev/pipe; echo x > /dev/full"
    result = await run(mapped(mapped_rootfs, devices=[pipe]), ["sh", "-c", script])
    said = result.stdout.decode().split()
    assert said[0] == "2"
    assert said[1].startswith("prw-rw-rw-")
    assert "No space" in result.stderr.decode()
    for device in (Device(path="/dev/urandom2", major=1, minor=9), good):
        with pytest.raises(SetupError, match="bind nodes"):
            await run(mapped(mapped_rootfs, devices=[device]), ["true"])
    wrong = [d for d in DEFAULT_DEVICES if d.path != "/dev/null"]
    wrong.append(Device(path="/dev/null", major=1, minor=5))
    with pytest.raises(SetupError, match="/dev/null") as caught:
        await run(mapped(mapped_rootfs, system_devices=wrong), ["true"])
    assert caught.value.__cause__.errno == errno.ENODEV  # type: ignore[union-attr]


@user_namespaces
async def test_terminals_and_parameters_work_in_a_user_namespace(
    mapped_rootfs: Path,
) -> None:
    config = mapped(
        mapped_rootfs,
        user="tester",
        sysctl={"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"},
        hostname="mapped",
        domainname="example.org",
        readonly_paths=["/proc/sys", "/etc"],
        masked_paths=["/proc/keys", "/home"],
    )
    script = """
tty; id -u; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; hostname
ls -A /home; cat /proc/keys; stat -c %u /dev/pts/0 /dev/console; echo end
"""
    async with Container(config) as container:
        process = await container.start(["sh", "-c", script], terminal=True)
        assert process.terminal
        said = b""
        with contextlib.suppress(anyio.EndOfStream):
            while b"end" not in said:
                said += await process.terminal.receive()
        await process.wait()
    words = said.decode().split()
    assert words[:5] == ["/dev/pts/0", "1000", "1", "4096", "mapped"]
    assert words[5:] == ["1000", "1000", "end"]


@user_namespaces
async def test_parameters_are_set_with_the_pids_of_the_host_too(
    mapped_rootfs: Path,
) -> None:
    before = Path("/proc/sys/net/ipv4/ip_default_ttl").read_text()
    config = mapped(
        mapped_rootfs,
        namespaces={"pid": "host"},
        sysctl={"net.ipv4.ip_default_ttl": "99"},
    )
    assert await shell(config, "cat /proc/sys/net/ipv4/ip_default_ttl") == "99\n"
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == before


@user_namespaces
async def test_the_name_of_a_joined_machine_is_changed_when_that_is_asked_for(
    rootfs: Path,
) -> None:
    with holder("uts") as pid:
        path = f"/proc/{pid}/ns/uts"
        config = Config(rootfs=rootfs, namespaces=Namespaces(uts=path))
        assert await shell(config, "hostname") == "held\n"
        config = Config(
            rootfs=rootfs, namespaces=Namespaces(uts=path), hostname="other"
        )
        assert await shell(config, "hostname") == "other\n"


@user_namespaces
async def test_ids_that_are_not_mapped_are_refused(mapped_rootfs: Path) -> None:
    config = mapped(mapped_rootfs, user="70000")
    with pytest.raises(ConfigError, match="70000 isn't mapped") as caught:
        await run(config, ["true"])
    assert caught.value.field == "user"


@user_namespaces
@pytest.mark.covers("joining a user namespace")
async def test_a_later_process_joins_the_user_namespace_too(
    mapped_rootfs: Path,
) -> None:
    async with Container(mapped(mapped_rootfs)) as container:
        first = read(await shell_in(container, SHOW))
        assert read(await shell_in(container, SHOW, user="tester")) == first
        said = await shell_in(container, "id -u; cat /proc/self/uid_map", user="tester")
        assert said.split() == ["1000", "0", "200000", "65536"]


@user_namespaces
@pytest.mark.covers("joining a user namespace")
async def test_a_user_namespace_is_joined_by_path_and_owns_what_is_new(
    mapped_rootfs: Path,
) -> None:
    """The spawner can't come back out, so an intermediate process goes in."""
    with holder("user") as pid:
        path = f"/proc/{pid}/ns/user"
        config = Config(
            rootfs=mapped_rootfs,
            namespaces=Namespaces(user=path),
            capabilities=Capabilities.of("SYS_ADMIN"),
        )
        async with Container(config) as container:
            first = read(await shell_in(container, SHOW))
            assert first["user"] == os.readlink(path)
            assert not [kind for kind in ALL if first[kind] == own()[kind]]
            # CAP_SYS_ADMIN counts in namespaces that the user namespace owns.
            said = await shell_in(container, "hostname owned; hostname; echo $$")
            assert said.split()[0] == "owned"
            assert read(await shell_in(container, SHOW)) == first


@user_namespaces
async def test_user_and_pid_namespace_of_one_holder_are_joined(
    mapped_rootfs: Path,
) -> None:
    with holder("user", "pid", "net") as pid:
        folder = f"/proc/{pid}/ns"
        spaces = Namespaces(
            user=f"{folder}/user", pid=f"{folder}/pid", network=f"{folder}/net"
        )
        config = Config(rootfs=mapped_rootfs, namespaces=spaces)
        async with Container(config) as container:
            inside = read(await shell_in(container, SHOW))
            for kind in ("user", "pid", "net"):
                assert inside[kind] == os.readlink(f"{folder}/{kind}"), kind
            assert (await shell_in(container, "cat /proc/1/cmdline")).startswith(
                sys.executable
            )


@user_namespaces
@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "cgroup"])
async def test_a_new_user_namespace_goes_with_joined_ones_that_the_host_owns(
    mapped_rootfs: Path, kind: str
) -> None:
    """From inside a user namespace they can't be joined: it has to come after."""
    short = KINDS[kind]
    with holder(short) as pid:
        path = f"/proc/{pid}/ns/{short}"
        config = mapped(mapped_rootfs, namespaces={kind: path})
        async with Container(config) as container:
            inside = read(await shell_in(container, SHOW))
            assert inside[short] == os.readlink(path)
            assert not [name for name in ALL if inside[name] == own()[name]]
            assert read(await shell_in(container, SHOW)) == inside


@user_namespaces
async def test_the_hosts_processes_never_stand_in_for_those_of_a_joined_namespace(
    mapped_rootfs: Path,
) -> None:
    """A new user namespace can't mount the proc of a pid namespace that it doesn't own;
    what the host has in /proc would be another's."""
    with holder("pid") as pid:
        config = mapped(mapped_rootfs, namespaces={"pid": f"/proc/{pid}/ns/pid"})
        with pytest.raises(SetupError, match="mount filesystem proc"):
            await run(config, ["true"])


@user_namespaces
async def test_mappings_may_have_several_ranges(mapped_rootfs: Path) -> None:
    several = [
        IdMapping(container_id=0, host_id=200_000, size=10),
        IdMapping(container_id=10, host_id=300_000, size=5),
    ]
    config = Config(
        rootfs=Rootfs.overlay(mapped_rootfs),
        namespaces=Namespaces(user="new"),
        uid_mappings=several,
        gid_mappings=several,
    )
    said = await shell(config, "cat /proc/self/gid_map")
    assert said.split() == ["0", "200000", "10", "10", "300000", "5"]
