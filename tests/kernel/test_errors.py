"""Everything that can be wrong has an error of its own, which says what and where, and
leaves nothing: the next life works."""

import errno
import os
import shutil
import signal
from pathlib import Path

import anyio
import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    ContainerError,
    ControllerMissing,
    ExecError,
    ExitReason,
    IdMapping,
    Mount,
    Namespaces,
    Rootfs,
    SetupError,
    SpawnerError,
    StatusError,
    run,
)
from aiocontainer.proc import spawner
from aiocontainer.proc.stdio import PIPE, STDOUT
from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.filesystems import tmpfs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture(scope="module")
def broken_rootfs(tmp_path_factory, rootfs):
    """A root file system with files that can't be executed, in all ways."""
    path = tmp_path_factory.mktemp("broken") / "rootfs"
    shutil.copytree(rootfs, path, symlinks=True)
    for name, content, mode in (
        ("plain", b"echo hi\n", 0o644),
        ("garbage", b"\x7fELFgarbage" * 9, 0o755),
        ("lost", b"#!/no/such/interpreter\n", 0o755),
        ("empty", b"", 0o755),
    ):
        (path / "bin" / name).write_bytes(content)
        (path / "bin" / name).chmod(mode)
    os.mkfifo(path / "bin/fifo", 0o755)
    os.symlink("round", path / "bin/round")
    return path


@pytest.fixture(params=[False, True], ids=["first", "joined"])
def joined(request):
    """Whether the process joins a container that runs already."""
    return request.param


PROGRAMS = [
    pytest.param("missing", errno.ENOENT, id="not in PATH"),
    pytest.param("/no/such/program", errno.ENOENT, id="no such path"),
    pytest.param("./bin/missing", errno.ENOENT, id="no such relative path"),
    pytest.param("/etc", errno.EACCES, id="directory"),
    pytest.param("plain", errno.EACCES, id="not executable, by name"),
    pytest.param("/bin/plain", errno.EACCES, id="not executable"),
    pytest.param("/bin/garbage", errno.ENOEXEC, id="no program at all"),
    pytest.param("/bin/empty", errno.ENOEXEC, id="empty"),
    pytest.param("/bin/lost", errno.ENOENT, id="its interpreter is missing"),
    pytest.param("/bin/fifo", errno.EACCES, id="fifo"),
    pytest.param("/bin/round", errno.ELOOP, id="link to itself"),
    pytest.param("/bin/sh/x", errno.ENOTDIR, id="below a file"),
    pytest.param("x" * 300, errno.ENOENT, id="name too long to be found"),
    pytest.param("/" + "x" * 300, errno.ENAMETOOLONG, id="name too long"),
]


@pytest.mark.parametrize(("name", "code"), PROGRAMS)
async def test_a_program_that_cant_be_executed_is_named(
    broken_rootfs, joined, name, code
):
    async with Container(Config(rootfs=broken_rootfs)) as container:
        with pytest.raises(ExecError) as caught:
            await container.run([name, "argument"], init=joined)
        if joined:
            assert (await container.run(["true"])).returncode == 0
    assert caught.value.program == name
    assert caught.value.__cause__.errno == code


SETTINGS = [
    pytest.param({"cwd": "/nope"}, "directory to /nope", errno.ENOENT, id="no cwd"),
    pytest.param(
        {"cwd": "/etc/passwd"}, "directory to /etc/passwd", errno.ENOTDIR, id="file cwd"
    ),
    pytest.param({"user": "stranger"}, "find user stranger", None, id="unknown user"),
    pytest.param({"user": "0:strange"}, "find user", None, id="unknown group"),
    pytest.param({"groups": ["strange"]}, "find user", None, id="unknown groups"),
]


@pytest.mark.parametrize(("settings", "step", "code"), SETTINGS)
async def test_a_setting_that_doesnt_fit_the_container_is_named(
    rootfs, joined, settings, step, code
):
    async with Container(Config(rootfs=rootfs)) as container:
        with pytest.raises(SetupError) as caught:
            await container.run(["true"], init=joined, **settings)
        if joined:
            assert (await container.run(["true"])).returncode == 0
    assert step in caught.value.step
    assert step.split()[-1] in str(caught.value)
    if code is not None:
        assert caught.value.__cause__.errno == code


def missing(path):
    return path / "missing"


def file(path):
    (path / "file").write_text("")
    return path / "file"


def empty(path):
    (path / "empty").mkdir()
    return path / "empty"


@pytest.mark.parametrize(
    ("make", "error", "code"),
    [
        pytest.param(missing, SetupError, errno.ENOENT, id="missing"),
        pytest.param(file, SetupError, errno.ENOTDIR, id="file"),
        pytest.param(empty, ExecError, errno.ENOENT, id="empty"),
    ],
)
async def test_a_rootfs_that_is_none_is_named(tmp_path, make, error, code):
    path = make(tmp_path)
    with pytest.raises(error) as caught:
        await run(Config(rootfs=path), ["true"])
    assert caught.value.__cause__.errno == code
    assert str(path) in str(caught.value) or error is ExecError


@needs("user-namespace")
async def test_a_rootfs_that_root_of_the_user_namespace_may_not_enter_is_named(
    own_rootfs,
):
    own_rootfs.chmod(0o700)
    mapping = (IdMapping(container_id=0, host_id=100_000, size=65536),)
    config = Config(
        rootfs=own_rootfs,
        namespaces=Namespaces(user="new"),
        uid_mappings=mapping,
        gid_mappings=mapping,
    )
    with pytest.raises(SetupError) as caught:
        await run(config, ["true"])
    assert isinstance(caught.value.__cause__, PermissionError)


MOUNTS = [
    pytest.param(
        Mount(destination="/mnt", source="/no/such", type="bind"),
        "/no/such on /mnt",
        errno.ENOENT,
        id="no source",
    ),
    pytest.param(
        Mount(destination="/mnt", type="nofs"), "nofs on /mnt", errno.ENODEV, id="type"
    ),
    pytest.param(
        Mount(destination="/mnt", type="tmpfs", options=("size=much",)),
        "tmpfs on /mnt",
        errno.EINVAL,
        id="option",
    ),
    pytest.param(
        Mount(destination="/etc/passwd/x", type="tmpfs"),
        "tmpfs on /etc/passwd/x",
        errno.ENOTDIR,
        id="below a file",
    ),
    pytest.param(
        Mount(destination="/etc/passwd", type="tmpfs"),
        "tmpfs on /etc/passwd",
        errno.ENOTDIR,
        id="on a file",
    ),
]


@pytest.mark.parametrize(("mount", "step", "code"), MOUNTS)
async def test_a_mount_that_cant_be_made_is_named(rootfs, mount, step, code):
    with pytest.raises(SetupError) as caught:
        await run(Config(rootfs=rootfs, mounts=(mount,)), ["true"])
    assert step in caught.value.step
    assert caught.value.__cause__.errno == code


async def test_a_full_disk_is_said_to_be_full(rootfs):
    with tmpfs(b"nr_inodes=16") as path:
        for name in ("bin", "dev", "proc", "sys"):
            (path / name).mkdir()
        (path / "bin/true").symlink_to("/bin/busybox")
        mount = Mount(destination="/1/2/3/4/5/6/7/8/9/10/11/12", type="tmpfs")
        with pytest.raises(SetupError) as caught:
            await run(Config(rootfs=path, mounts=(mount,)), ["true"])
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert "/1/2/3" in caught.value.step


@needs("overlay")
async def test_a_lower_directory_that_is_missing_is_named(rootfs):
    config = Config(rootfs=Rootfs.overlay(rootfs, "/no/such/lower"))
    with pytest.raises(SetupError, match="/no/such/lower") as caught:
        await run(config, ["true"])
    assert caught.value.__cause__.errno == errno.ENOENT


@needs("cgroup-v1-memory")
async def test_a_memory_limit_that_is_too_small_to_start_in_is_said(rootfs):
    with pytest.raises(ContainerError) as caught:
        await run(Config(rootfs=rootfs, memory="64KiB"), ["true"])
    assert isinstance(caught.value, SetupError | ExecError)
    assert "memory" in str(caught.value)


async def test_a_limit_without_a_cgroup_is_refused(rootfs):
    config = Config(rootfs=rootfs, memory="64MiB", cgroup={"mode": "off"})
    with pytest.raises(ControllerMissing, match="memory"):
        await run(config, ["true"])


@pytest.mark.parametrize(
    ("args", "options", "field"),
    [
        ([], {}, "args"),
        ("true", {}, "args"),
        ([""], {}, "args[0]"),
        (["true", "a\0b"], {}, "args[1]"),
        (["true", 1], {}, "args[1]"),
        (["true"], {"pass_fds": [999_999]}, "pass_fds[0]"),
        (["true"], {"pass_fds": [-1]}, "pass_fds[0]"),
        (["true"], {"pass_fds": [1]}, "pass_fds[0]"),
        (["true"], {"pass_fds": ["3"]}, "pass_fds[0]"),
        (["true"], {"stdin": 999_999}, "stdin"),
        (["true"], {"stdout": STDOUT}, "stdout"),
        (["true"], {"stderr": b"bytes"}, "stderr"),
        (["true"], {"stdin": -7}, "stdin"),
        (["true"], {"max_output": "much"}, "max_output"),
        (["true"], {"max_output": -1}, "max_output"),
        (["true"], {"user": "a b"}, "user"),
        (["true"], {"cwd": "relative"}, "cwd"),
        (["true"], {"env": {"A=B": "x"}}, "env"),
        (["true"], {"umask": 0o7777}, "umask"),
        (["true"], {"rlimits": {"NOPE": 1}}, "rlimits"),
    ],
)
async def test_a_wrong_argument_is_named_and_nothing_was_touched(
    rootfs, args, options, field
):
    async with Container(Config(rootfs=rootfs)) as container:
        with pytest.raises(ConfigError) as caught:
            await container.run(args, init=False, **options)
        assert caught.value.field.startswith(field)
        assert container.status() == "created"
        assert (await container.run(["true"])).returncode == 0


@pytest.mark.parametrize("size", [(-1, 80), (24, 65536), (24,), "24x80"])
async def test_a_wrong_terminal_size_is_named(rootfs, size):
    async with Container(Config(rootfs=rootfs)) as container:
        with pytest.raises(ConfigError) as caught:
            await container.start(["true"], terminal=size)
    assert caught.value.field == "terminal"


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "a b", "x" * 65, "\n"])
async def test_a_wrong_id_is_named(rootfs, id):
    with pytest.raises(ConfigError) as caught:
        Container(Config(rootfs=rootfs), id=id)
    assert caught.value.field == "id"


async def test_joining_a_container_that_ends_meanwhile_is_a_status_error(rootfs):
    async with Container(Config(rootfs=rootfs)) as container:
        await container.run(["true"])
        refused = []

        async def join():
            try:
                await container.run(["true"])
            except StatusError as error:
                refused.append(error.status)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(join)
            await anyio.lowlevel.checkpoint()
            container.kill()
        with pytest.raises(StatusError):
            await container.run(["true"])
    assert set(refused) == {"stopped"}


# -- what the machine is out of --------------------------------------------------------


class PidsCgroup:
    """A cgroup of the pids controller, of the test's own."""

    def __init__(self):
        points = procfs.cgroup_mounts()
        point = next(p for p, names in points.items() if "pids" in names.split(","))
        self.home = Path(point + procfs.own_cgroups().get("pids", "/"))
        self.path = self.home / "aiocontainer-test-pids"

    def __enter__(self):
        self.path.mkdir()
        return self

    def hold(self, pid, limit):
        (self.path / "pids.max").write_text(str(limit))
        (self.path / "cgroup.procs").write_text(str(pid))

    def __exit__(self, *_):
        for pid in (self.path / "cgroup.procs").read_text().split():
            (self.home / "cgroup.procs").write_text(pid)
        self.path.rmdir()


@needs("cgroup-v1-pids")
async def test_no_process_left_is_a_setup_error(rootfs, joined):
    async with Container(Config(rootfs=rootfs)) as container:
        if joined:
            await container.run(["true"])
        with PidsCgroup() as cgroup:
            cgroup.hold(spawner.current().pid, 1)
            with pytest.raises(SetupError) as caught:
                await container.run(["true"])
        assert caught.value.__cause__.errno == errno.EAGAIN
        assert (await container.run(["true"])).returncode == 0


@needs("cgroup-v1-pids")
async def test_no_process_left_for_the_spawner_is_a_spawner_error(rootfs):
    old = spawner.current()
    os.kill(old.pid, signal.SIGKILL)
    await anyio.wait_readable(old.pidfd)
    with PidsCgroup() as cgroup:
        cgroup.hold(os.getpid(), 1)
        with pytest.raises(SpawnerError):
            await run(Config(rootfs=rootfs), ["true"])
        (cgroup.home / "cgroup.procs").write_text(str(os.getpid()))
    result = await run(Config(rootfs=rootfs), ["true"])
    assert result.reason is ExitReason.EXITED


async def test_a_program_that_ran_out_of_pids_sees_that_itself(rootfs):
    async with Container(Config(rootfs=rootfs, pids=8)) as container:
        script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 60 & done"
        result = await container.run(["sh", "-c", script])
        assert result.returncode == 2
        assert b"fork" in result.stderr
        process = await container.start(["true"], stdout=PIPE)
        assert await process.wait() == 0
