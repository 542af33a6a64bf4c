"""`Container.mount` and `unmount`: mounts that come and go while a container runs."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import (
    PIPE,
    STDOUT,
    Capabilities,
    Config,
    ConfigError,
    Container,
    IdMapping,
    Mount,
    Namespaces,
    Runtime,
    SetupError,
    StatusError,
    UnsupportedFeature,
)
from tests.security.test_s06_mount_targets import SWAPPER, swapping
from tests.support.capabilities import needs
from tests.support.filesystems import bound_on_itself
from tests.support.hostile import host_snapshot
from tests.support.inside import parse_mounts, shell_in

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def shared() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shared-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "file").write_text("from the host\n")
        (folder / "link").symlink_to("file")
        yield folder


MAPPED = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
OWNED = {
    "namespaces": Namespaces(user="new"),
    "uid_mappings": MAPPED,
    "gid_mappings": MAPPED,
}
in_both = pytest.mark.parametrize(
    "settings", [pytest.param({}, id="plain"), pytest.param(OWNED, id="user namespace")]
)


def mounts_in(container: Container) -> dict[str, Any]:
    return parse_mounts(Path(f"/proc/{container.pid}/mountinfo").read_text())


@in_both
@pytest.mark.covers("mounts in a running container")
async def test_a_directory_comes_and_goes_while_the_program_runs(
    own_rootfs: Path, shared: Path, settings: dict[str, Any]
) -> None:
    os.chown(own_rootfs / "mnt", 100_000, 100_000)
    async with Container(Config(rootfs=own_rootfs, **settings)) as container:
        script = "while read path; do cat $path 2>&1; done"
        process = await container.start(["sh", "-c", script], stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        lines = process.stdout.lines()

        async def ask() -> str:
            await process.stdin.send(b"/mnt/it/file\n")
            return (await lines.__anext__()).decode()

        assert "No such file" in await ask()
        await container.mount(Mount.bind(shared, "/mnt/it"))
        assert await ask() == "from the host\n"
        await container.unmount("/mnt/it")
        assert "No such file" in await ask()
    assert not os.path.ismount(shared)


@in_both
async def test_words_of_a_bind_hold_as_at_the_start(
    rootfs: Path, shared: Path, settings: dict[str, Any]
) -> None:
    words = ["rbind", "rro", "nosuid", "nodev", "noexec"]
    mount = Mount(destination="/mnt", source=shared, options=words)
    async with Container(Config(rootfs=rootfs, **settings)) as container:
        await shell_in(container, "true")
        await container.mount(mount)
        found = mounts_in(container)["/mnt"]
        assert {"ro", *words[2:]} <= found.options
        assert not found.shared
        assert not found.slave


async def test_owners_can_be_translated_and_links_be_left_alone(
    own_rootfs: Path, shared: Path
) -> None:
    os.chown(own_rootfs / "mnt", 100_000, 100_000)
    async with Container(Config(rootfs=own_rootfs, **OWNED)) as container:
        await shell_in(container, "true")
        bind = {"source": shared, "type": "bind"}
        await container.mount(Mount(destination="/mnt/a", options=["idmap"], **bind))
        link = {"source": shared / "link", "type": "bind"}
        words = ["copy-symlink"]
        await container.mount(Mount(destination="/mnt/b", options=words, **link))
        script = "stat -c %u /mnt/a/file; readlink /mnt/b; echo x > /mnt/a/new"
        assert await shell_in(container, script) == "0\nfile\n"
    assert (shared / "new").stat().st_uid == 0


async def test_owners_can_be_translated_without_a_user_namespace_too(
    rootfs: Path, shared: Path
) -> None:
    words = ["bind", "idmap=uids=0-5-1;gids=0-6-1"]
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        await container.mount(Mount(destination="/mnt", source=shared, options=words))
        assert await shell_in(container, "stat -c '%u %g' /mnt/file") == "5 6\n"


@pytest.mark.parametrize("word", ["ro", "nosuid", "nodev", "noexec"])
async def test_what_the_hosts_mount_has_stays_locked_in_a_user_namespace(
    rootfs: Path, shared: Path, word: str
) -> None:
    clearing = {"ro": "rw"}.get(word, word.removeprefix("no"))
    rights = Capabilities.of("SYS_ADMIN")
    config = Config(rootfs=rootfs, capabilities=rights, seccomp=None, **OWNED)
    async with Container(config) as container:
        await shell_in(container, "true")
        with bound_on_itself(shared, word):
            mount = Mount(destination="/mnt", source=shared, options=["rbind"])
            await container.mount(mount)
            asking = Mount(
                destination="/mnt", source=shared, options=["rbind", clearing]
            )
            with pytest.raises(SetupError) as caught:
                await container.mount(asking)
        assert isinstance(caught.value.__cause__, PermissionError)
        script = f"mount -o remount,bind,{clearing} /mnt || true"
        await shell_in(container, script)
        assert word in mounts_in(container)["/mnt"].options


async def test_mounts_of_somebody_elses_namespace_are_left_alone(
    rootfs: Path, shared: Path
) -> None:
    config = Config(
        rootfs=rootfs,
        namespaces=Namespaces(mount="/proc/self/ns/mnt"),
        system_mounts=[],
        masked_paths=[],
        readonly_paths=[],
    )
    async with Container(config) as container:
        await container.run(["true"])
        with pytest.raises(UnsupportedFeature, match="somebody else"):
            await container.mount(Mount.bind(shared, "/mnt"))


@in_both
async def test_a_tmpfs_belongs_to_the_containers_root(
    rootfs: Path, settings: dict[str, Any]
) -> None:
    async with Container(Config(rootfs=rootfs, **settings)) as container:
        await shell_in(container, "true")
        await container.mount(Mount.tmpfs("/mnt", size="64KiB", mode=0o700))
        script = "stat -c '%a %u' /mnt; echo x > /mnt/x; cat /mnt/x"
        assert await shell_in(container, script) == "700 0\nx\n"
        change = Mount(destination="/mnt", options=["ro", "noexec"])
        await container.mount(change)
        assert {"ro", "noexec", "nosuid"} <= mounts_in(container)["/mnt"].options
        await container.unmount("/mnt")
        assert "/mnt" not in mounts_in(container)


async def test_stacked_mounts_go_the_last_one_first(rootfs: Path, shared: Path) -> None:
    (shared / "one").mkdir()
    (shared / "two").mkdir()
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        await container.mount(Mount.bind(shared / "one", "/mnt"))
        await container.mount(Mount.bind(shared / "two", "/mnt"))
        roots = []
        while "/mnt" in mounts_in(container):
            roots.append(mounts_in(container)["/mnt"].root)
            await container.unmount("/mnt")
        assert [Path(root).name for root in roots] == ["two", "one"]


@in_both
async def test_files_and_what_was_there_from_the_start_can_be_unmounted(
    own_rootfs: Path, shared: Path, settings: dict[str, Any]
) -> None:
    os.chown(own_rootfs / "mnt", 100_000, 100_000)
    mounts = [Mount.bind(shared / "file", "/mnt/file"), Mount.tmpfs("/mnt/tmp")]
    config = Config(rootfs=own_rootfs, mounts=mounts, **settings)
    async with Container(config) as container:
        await shell_in(container, "true")
        for path in ("/mnt/file", "/mnt/tmp", "/dev/shm"):
            assert path in mounts_in(container)
            await container.unmount(path)
            assert path not in mounts_in(container)


@pytest.mark.parametrize(
    "path",
    ["/", "/proc", "/proc/keys", "/proc/sys", "/sys", "/sys/firmware", "x", "/a/../"],
)
async def test_the_root_and_kernel_files_stay(rootfs: Path, path: str) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        before = mounts_in(container)
        with pytest.raises(ConfigError) as caught:
            await container.unmount(path)
        assert caught.value.field == "destination"
        assert mounts_in(container) == before


async def test_what_is_not_mounted_can_not_be_unmounted(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        for path, cause in (("/mnt", OSError), ("/nowhere", FileNotFoundError)):
            with pytest.raises(SetupError, match=f"unmount {path}") as caught:
                await container.unmount(path)
            assert isinstance(caught.value.__cause__, cause)


@pytest.mark.parametrize("kind", ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"])
async def test_kinds_that_show_the_hosts_namespaces_are_refused(
    rootfs: Path, kind: str
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        place = "/proc" if kind == "proc" else "/mnt"
        with pytest.raises(UnsupportedFeature, match=kind):
            await container.mount(Mount(destination=place, type=kind))


async def test_only_a_running_container_has_mounts(rootfs: Path, shared: Path) -> None:
    mount = Mount.bind(shared, "/mnt")
    container = Container(Config(rootfs=rootfs))
    with pytest.raises(StatusError):
        await container.mount(mount)
    await shell_in(container, "true")
    await container.destroy()
    with pytest.raises(StatusError):
        await container.mount(mount)
    with pytest.raises(StatusError):
        await container.unmount("/mnt")


async def test_a_paused_container_can_be_given_a_mount(
    rootfs: Path, shared: Path
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        await container.pause()
        await container.mount(Mount.bind(shared, "/mnt"))
        await container.resume()
        assert await shell_in(container, "cat /mnt/file") == "from the host\n"


async def test_an_error_names_the_step_and_leaves_nothing(
    rootfs: Path, tmp_path: Path
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        before = mounts_in(container)
        with pytest.raises(SetupError, match="missing") as caught:
            await container.mount(Mount.bind(tmp_path / "missing", "/mnt"))
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        wrong = Mount(destination="/mnt", type="tmpfs", options=["flavour=x"])
        with pytest.raises(SetupError, match="tmpfs"):
            await container.mount(wrong)
        assert mounts_in(container) == before


async def test_many_at_once_come_all(rootfs: Path, shared: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(container.mount, Mount.bind(shared, f"/run/{number}"))
        found = [path for path in mounts_in(container) if path.startswith("/run/")]
        assert sorted(found) == [f"/run/{n}" for n in range(6)]
    for number in range(6):
        (rootfs / f"run/{number}").rmdir()


async def test_cancelled_at_any_moment_nothing_is_left(
    rootfs: Path, shared: Path
) -> None:
    """The leak check sees the rest."""
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        for delay in range(12):
            with anyio.move_on_after(delay / 2000):
                await container.mount(Mount.bind(shared, "/mnt"))
        while "/mnt" in mounts_in(container):
            await container.unmount("/mnt")
        await container.mount(Mount.bind(shared, "/mnt"))
        assert await shell_in(container, "cat /mnt/file") == "from the host\n"


# -- hostile containers ----------------------------------------------------------------


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    folder = tmp_path / "canary"
    (folder / "directory").mkdir(parents=True)
    (folder / "file").write_text("the host's\n")
    return folder


@pytest.mark.parametrize(
    "target",
    [
        "{canary}/directory",
        "../../../../../../..{canary}/directory",
        "{canary}/new",
        "/proc/self/root/tmp",
        "/proc/1/root{canary}/directory",
        "/proc/self/fd/3",
        "it",
    ],
)
async def test_a_destination_never_leads_out(
    own_rootfs: Path, shared: Path, canary: Path, target: str
) -> None:
    (own_rootfs / "mnt/it").symlink_to(target.format(canary=canary))
    before = host_snapshot(canary)
    async with Container(Config(rootfs=own_rootfs)) as container:
        await shell_in(container, "true")
        for mount in (
            Mount.bind(shared, "/mnt/it"),
            Mount.bind(shared / "file", "/mnt/it/below"),
            Mount.tmpfs("/mnt/it"),
        ):
            try:
                await container.mount(mount)
            except SetupError:
                continue
        assert host_snapshot(canary) == before
        # What the host has mounted is compared by the leak check.
        assert str(own_rootfs).endswith(mounts_in(container)["/"].root)
    assert host_snapshot(canary) == before


async def test_a_link_can_not_have_a_mask_unmounted(
    own_rootfs: Path, shared: Path
) -> None:
    """The container moves the place of a mount away and has a link lead to /proc."""
    async with Container(Config(rootfs=own_rootfs)) as container:
        await shell_in(container, "mkdir -p /a")
        await container.mount(Mount.bind(shared / "file", "/a/keys"))
        await shell_in(container, "mv /a /b && ln -s /proc /a")
        with pytest.raises(SetupError) as caught:
            await container.unmount("/a/keys")
        assert "/proc/keys" in mounts_in(container)
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(SetupError):  # not ours: no link is followed
            await container.unmount("/a/timer_list")
        assert "/proc/timer_list" in mounts_in(container)


async def test_a_fake_proc_in_the_container_fools_nobody(
    own_rootfs: Path, shared: Path
) -> None:
    bare = Config(rootfs=own_rootfs, system_mounts=[], masked_paths=[])
    (own_rootfs / "proc/self/fd").mkdir(parents=True)
    async with Container(bare.model_copy(update={"readonly_paths": ()})) as container:
        await shell_in(container, "ln -s /mnt/keep /proc/self/fd/3; mkdir /mnt/keep")
        await container.mount(Mount.tmpfs("/mnt/keep"))
        await container.mount(Mount.bind(shared / "file", "/mnt/file"))
        await container.unmount("/mnt/file")
        found = mounts_in(container)
        assert "/mnt/keep" in found
        assert "/mnt/file" not in found


@pytest.fixture
def swapper(tmp_path: Path) -> Path:
    (tmp_path / "swapper.c").write_text(SWAPPER)
    command = ["cc", "-O1", "-o", tmp_path / "swapper", tmp_path / "swapper.c"]
    subprocess.run(command, check=True)
    return tmp_path / "swapper"


@needs("compiler")
async def test_the_host_is_unharmed_while_the_container_swaps_the_destination(
    own_rootfs: Path, shared: Path, canary: Path, swapper: Path
) -> None:
    (own_rootfs / "mnt/it").mkdir()
    (own_rootfs / "mnt/other").symlink_to(canary)
    before = host_snapshot(canary)
    async with Container(Config(rootfs=own_rootfs)) as container:
        await shell_in(container, "true")
        with swapping(
            swapper, own_rootfs / "mnt/it", own_rootfs / "mnt/other"
        ) as swaps:
            for _ in range(40):
                try:
                    await container.mount(Mount.bind(shared, "/mnt/it/directory"))
                    await container.unmount("/mnt/it/directory")
                except SetupError:
                    continue
        assert host_snapshot(canary) == before
        assert swaps[0] > 1000


async def test_the_helper_is_not_to_be_seen_from_inside(
    rootfs: Path, shared: Path
) -> None:
    """Neither its executable nor anything else of it (S1, S3)."""
    watch = """
while true; do
    for entry in /proc/[0-9]*; do
        [ $entry = /proc/1 ] || { echo saw $entry; readlink $entry/exe; }
    done
done
"""
    config = Config(rootfs=rootfs, capabilities=Capabilities.of("SYS_PTRACE"))
    async with Container(config) as container:
        process = await container.start(["sh", "-c", watch], stdout=PIPE, stderr=STDOUT)
        for _ in range(10):
            await container.mount(Mount.bind(shared, "/mnt"))
            await container.unmount("/mnt")
        assert process.returncode is None
        process.kill()
        assert process.stdout is not None
        said = b"".join([chunk async for chunk in process.stdout])
        assert said == b""


# -- containers of other programs ------------------------------------------------------


async def test_another_program_mounts_and_a_third_unmounts(
    rootfs: Path, shared: Path, tmp_path: Path
) -> None:
    config, root = Config(rootfs=rootfs), tmp_path / "state"
    async with await Runtime(root).create("kept", config, ["sleep", "60"]) as container:
        await container.mount(Mount.bind(shared, "/mnt"))  # created, not started yet
        await container.start()
        async with Runtime(root).load("kept") as loaded:
            assert await shell_in(loaded, "cat /mnt/file") == "from the host\n"
            await loaded.mount(Mount.tmpfs("/tmp", size="64KiB"))
            await loaded.unmount("/mnt")
        found = mounts_in(container)
        assert "/mnt" not in found
        assert "size=64k" in found["/tmp"].superblock
        await container.unmount("/tmp")
        assert "/tmp" not in mounts_in(container)
