"""Mounts of a container: what each option does, and where a destination may lead."""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    STDOUT,
    Capabilities,
    Config,
    Container,
    Device,
    IdMapping,
    Mount,
    Namespaces,
    SetupError,
    run,
)
from aiocontainer.config import SYSTEM_MOUNTS
from tests.support.capabilities import needs
from tests.support.inside import mounts_of, parse_mounts, shell, shell_in
from tests.support.rootfs import make_rootfs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory of the host for a container to see."""
    folder = tmp_path / "shared"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_text("from the host\n")
    return folder


def with_mounts(rootfs: Path, *mounts: Mount, **settings: Any) -> Config:
    return Config(rootfs=rootfs, mounts=mounts, **settings)


# -- bind mounts -----------------------------------------------------------------------


async def test_a_bound_directory_is_the_same_on_both_sides(
    rootfs: Path, shared: Path
) -> None:
    config = with_mounts(rootfs, Mount.bind(shared, "/mnt/shared"))
    said = await shell(config, "cat /mnt/shared/file; echo back > /mnt/shared/answer")
    assert said == "from the host\n"
    assert (shared / "answer").read_text() == "back\n"


async def test_a_file_can_be_bound_and_its_place_is_made(
    own_rootfs: Path, shared: Path
) -> None:
    config = with_mounts(own_rootfs, Mount.bind(shared / "file", "/a/b/file"))
    assert await shell(config, "cat /a/b/file") == "from the host\n"
    assert stat.S_ISREG((own_rootfs / "a/b/file").stat().st_mode)
    assert (own_rootfs / "a/b/file").read_text() == ""
    assert stat.S_IMODE((own_rootfs / "a/b").stat().st_mode) == 0o755


async def test_the_same_path_is_used_inside_unless_another_is_given(
    own_rootfs: Path, shared: Path
) -> None:
    config = with_mounts(own_rootfs, Mount.bind(shared))
    assert await shell(config, f"cat {shared}/file") == "from the host\n"


@pytest.mark.parametrize(
    "mount",
    [
        pytest.param(lambda path: Mount.bind(path, "/mnt", readonly=True), id="bind"),
        pytest.param(
            lambda path: Mount(
                destination="/mnt", source=path, options=["rbind", "ro"]
            ),
            id="words",
        ),
    ],
)
async def test_a_read_only_bind_can_not_be_written_nor_made_writable(
    rootfs: Path, shared: Path, mount: Any
) -> None:
    config = with_mounts(rootfs, mount(shared))
    script = """
echo x > /mnt/file; rm /mnt/file; mkdir /mnt/x; touch /mnt/file
mount -o remount,rw /mnt; mount -o remount,rw,bind /mnt; umount /mnt
cat /mnt/file
"""
    said = await shell(config, script, stderr=STDOUT)
    assert said.endswith("from the host\n")
    assert said.count("Read-only file system") == 4
    assert sorted(os.listdir(shared)) == ["file", "inner"]


SUBMOUNT = next(
    (name for name in ("shm", "pts") if os.path.ismount(f"/dev/{name}")), None
)
nested = pytest.mark.skipif(SUBMOUNT is None, reason="nothing is mounted below /dev")


@nested
@pytest.mark.parametrize(
    ("options", "top", "below"),
    [
        pytest.param(["bind"], "rw", None, id="bind"),
        pytest.param(["rbind"], "rw", "rw", id="rbind"),
        pytest.param(["rbind", "ro"], "ro", "rw", id="rbind,ro"),
        pytest.param(["rbind", "rro"], "ro", "ro", id="rbind,rro"),
        pytest.param(["bind", "ro"], "ro", None, id="bind,ro"),
    ],
)
@pytest.mark.covers("recursive attributes")
async def test_recursive_words_hold_for_the_mounts_below_too(
    rootfs: Path, options: list[str], top: str, below: str | None
) -> None:
    mount = Mount(destination="/mnt", source="/dev", options=options)
    mounts = await mounts_of(with_mounts(rootfs, mount))
    assert top in mounts["/mnt"].options
    under = mounts.get(f"/mnt/{SUBMOUNT}")
    assert (under is not None) == (below is not None)
    if under is not None:
        assert below in under.options


@pytest.mark.parametrize(
    "word", ["nosuid", "nodev", "noexec", "ro", "noatime", "nodiratime", "nosymfollow"]
)
async def test_each_word_is_in_force_on_a_bind_mount(
    rootfs: Path, shared: Path, word: str
) -> None:
    mount = Mount(destination="/mnt", source=shared, options=["bind", word])
    mounts = await mounts_of(with_mounts(rootfs, mount))
    assert word in mounts["/mnt"].options


@pytest.mark.covers("nosymfollow")
async def test_nothing_is_executed_on_noexec_and_no_link_followed_on_nosymfollow(
    rootfs: Path, shared: Path
) -> None:
    (shared / "program").write_text("#!/bin/sh\necho ran\n")
    (shared / "program").chmod(0o755)
    (shared / "link").symlink_to("file")
    words = ["bind", "noexec", "nosymfollow"]
    mount = Mount(destination="/mnt", source=shared, options=words)
    script = "/mnt/program; cat /mnt/link; cat /mnt/file"
    said = await shell(with_mounts(rootfs, mount), script, stderr=STDOUT)
    assert "ran" not in said
    assert "Permission denied" in said
    assert said.count("from the host") == 1


async def test_a_source_that_is_missing_is_named(rootfs: Path, tmp_path: Path) -> None:
    config = with_mounts(rootfs, Mount.bind(tmp_path / "missing", "/mnt"))
    with pytest.raises(SetupError) as caught:
        await run(config, ["true"])
    assert str(tmp_path / "missing") in str(caught.value)
    assert "bind" in caught.value.step
    assert isinstance(caught.value.__cause__, FileNotFoundError)


async def test_a_mount_inside_never_shows_on_the_host(rootfs: Path) -> None:
    mount = Mount.tmpfs("/mnt")
    config = with_mounts(rootfs, mount, rootfs_propagation="shared")
    async with Container(config) as container:
        await shell_in(container, "true")
        assert str(rootfs) not in Path("/proc/self/mountinfo").read_text()


# -- file systems ----------------------------------------------------------------------


async def test_a_tmpfs_has_the_size_and_mode_asked_for(rootfs: Path) -> None:
    config = with_mounts(rootfs, Mount.tmpfs("/scratch", size="1MiB", mode=0o1750))
    script = (
        "stat -c %a /scratch; cd /scratch; head -c 2000000 /dev/zero > x; wc -c < x"
    )
    said = await shell(config, script, stderr=STDOUT)
    assert said.split()[0] == "1750"
    assert int(said.split()[-1]) == 1 << 20


async def test_a_tmpfs_without_a_mode_takes_that_of_the_directory_it_covers(
    own_rootfs: Path,
) -> None:
    (own_rootfs / "odd").mkdir()
    (own_rootfs / "odd").chmod(0o2710)
    mount = Mount(destination="/odd", type="tmpfs", source="tmpfs")
    said = await shell(with_mounts(own_rootfs, mount), "stat -c %a /odd")
    assert said == "2710\n"


@pytest.mark.covers("tmpcopyup")
async def test_a_tmpfs_can_be_filled_from_the_directory_it_covers(
    own_rootfs: Path,
) -> None:
    source = own_rootfs / "seed"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/file").write_text("copied\n")
    (source / "deep/er/file").chmod(0o640)
    os.chown(source / "deep/er/file", 12, 34)
    (source / "link").symlink_to("/nowhere")
    os.mkfifo(source / "fifo")
    os.utime(source / "deep/er/file", (0, 86_400))
    os.utime(source / "deep/er", (0, 172_800))
    os.chown(source, 56, 78)
    source.chmod(0o710)
    mount = Mount(destination="/seed", type="tmpfs", options=["tmpcopyup", "ro"])
    script = """
cat /seed/deep/er/file; stat -c '%a %u %g' /seed/deep/er/file
readlink /seed/link; ls /seed; stat -c '%a %u %g' /seed
stat -c %Y /seed/deep/er /seed/deep/er/file; echo x > /seed/new
"""
    said = await shell(with_mounts(own_rootfs, mount), script + "true", stderr=STDOUT)
    lines = said.splitlines()
    assert lines[:5] == ["copied", "640 12 34", "/nowhere", "deep", "link"]
    assert lines[5:8] == ["710 56 78", "172800", "86400"]
    assert "Read-only" in lines[8]
    assert sorted(os.listdir(source)) == ["deep", "fifo", "link"]


async def test_mounts_are_made_in_their_order(rootfs: Path, shared: Path) -> None:
    config = with_mounts(
        rootfs,
        Mount.tmpfs("/mnt"),
        Mount.bind(shared, "/mnt/shared"),
        Mount.tmpfs("/mnt/shared/inner"),
    )
    mounts = await mounts_of(config)
    assert [path for path in mounts if path.startswith("/mnt")] == [
        *("/mnt", "/mnt/shared", "/mnt/shared/inner")
    ]
    assert not list((shared / "inner").iterdir())


async def test_what_is_mounted_can_be_changed_by_a_later_entry(rootfs: Path) -> None:
    config = with_mounts(rootfs, Mount(destination="/dev/shm", options=["ro"]))
    mounts = await mounts_of(config)
    assert "ro" in mounts["/dev/shm"].options
    assert {"nosuid", "nodev", "noexec"} <= mounts["/dev/shm"].options


async def test_a_read_only_tmpfs_can_still_hold_devices_and_mounts(
    rootfs: Path, shared: Path
) -> None:
    mounts = tuple(
        Mount(
            destination=m.destination,
            source=m.source,
            type=m.type,
            options=(*m.options, "ro"),
        )
        if m.destination == "/dev"
        else m
        for m in SYSTEM_MOUNTS
    )
    config = Config(rootfs=rootfs, system_mounts=mounts)
    script = "ls -d /dev/null /dev/shm; echo x > /dev/new || true"
    said = await shell(config, script, stderr=STDOUT)
    assert said.split()[:2] == ["/dev/null", "/dev/shm"]
    assert "Read-only" in said


@pytest.mark.parametrize(
    ("words", "shared_", "slave"),
    [
        pytest.param([], False, False, id="default"),
        pytest.param(["private"], False, False, id="private"),
        pytest.param(["shared"], True, False, id="shared"),
        pytest.param(["rshared"], True, False, id="rshared"),
        pytest.param(["slave"], False, False, id="slave-of-nobody"),
        pytest.param(["unbindable"], False, False, id="unbindable"),
    ],
)
async def test_propagation_words(
    rootfs: Path, shared: Path, words: list[str], shared_: bool, slave: bool
) -> None:
    mount = Mount(destination="/mnt", source=shared, options=["rbind", *words])
    mounts = await mounts_of(with_mounts(rootfs, mount))
    assert (mounts["/mnt"].shared, mounts["/mnt"].slave) == (shared_, slave)


@pytest.mark.parametrize("wanted", ["private", "slave", "shared", "unbindable"])
async def test_the_root_has_the_propagation_asked_for(
    rootfs: Path, wanted: str
) -> None:
    config = Config(rootfs=rootfs, rootfs_propagation=wanted)  # type: ignore[arg-type]
    text = await shell(config, "cat /proc/self/mountinfo")
    root = next(line for line in text.splitlines() if line.split()[4] == "/")
    tags = root.partition(" - ")[0].split()[6:]
    assert any(tag.startswith("shared:") for tag in tags) == (wanted == "shared")
    assert ("unbindable" in tags) == (wanted == "unbindable")


MS_SHARED, MNT_DETACH = 1 << 20, 2


@contextmanager
def shared_mount(where: Path) -> Iterator[Path]:
    """A tmpfs of the host whose mounts spread to all that follow it."""
    where.mkdir()
    assert libc.mount(b"tmpfs", str(where).encode(), b"tmpfs", 0, b"") == 0
    try:
        assert libc.mount(None, str(where).encode(), None, MS_SHARED, None) == 0
        yield where
    finally:
        assert libc.umount2(str(where).encode(), MNT_DETACH) == 0


def mount_below(where: Path) -> None:
    (where / "later").mkdir()
    target = str(where / "later").encode()
    assert libc.mount(b"tmpfs", target, b"tmpfs", 0, b"") == 0


FOLLOWING = [
    pytest.param([], False, id="default"),
    pytest.param(["rprivate"], False, id="rprivate"),
    pytest.param(["rslave"], True, id="rslave"),
    pytest.param(["slave", "ro"], True, id="slave,ro"),
    pytest.param(["rshared"], True, id="rshared"),
]


@pytest.mark.parametrize(("words", "follows"), FOLLOWING)
async def test_what_the_host_mounts_later_shows_up_where_that_was_asked_for(
    own_rootfs: Path, tmp_path: Path, words: list[str], follows: bool
) -> None:
    with shared_mount(tmp_path / "source") as source:
        config = with_mounts(
            own_rootfs,
            Mount(destination="/mnt", source=source, options=["rbind", *words]),
            Mount(destination="/opt", source=source, options=["rbind"]),
        )
        async with Container(config) as container:
            await shell_in(container, "true")
            mount_below(source)
            mounts = parse_mounts(Path(f"/proc/{container.pid}/mountinfo").read_text())
            assert ("/mnt/later" in mounts) == follows
            assert "/opt/later" not in mounts, "only where it was asked for"


@pytest.mark.parametrize("wanted", ["private", "slave", "shared", "unbindable"])
async def test_the_root_follows_the_host_where_that_was_asked_for(
    tmp_path: Path, wanted: str
) -> None:
    with shared_mount(tmp_path / "source") as source:
        root = make_rootfs(source / "rootfs", ["sh", "true", "mount"])
        config = Config(
            rootfs=root,
            rootfs_propagation=wanted,  # type: ignore[arg-type]
            capabilities=Capabilities.of("SYS_ADMIN"),
            mounts=[Mount.bind(source, "/mnt")],
        )
        async with Container(config) as container:
            await shell_in(container, "mount -t tmpfs none /tmp")
            assert not os.path.ismount(root / "tmp"), "mounts inside stay inside"
            mount_below(root)
            mounts = parse_mounts(Path(f"/proc/{container.pid}/mountinfo").read_text())
            assert ("/later" in mounts) == (wanted in ("slave", "shared"))
            assert "/mnt/rootfs/later" not in mounts


async def test_a_read_only_directory_of_devices_is_made_read_only_last(
    rootfs: Path,
) -> None:
    mount = Mount(destination="/dev", options=["rro"])
    mounts = await mounts_of(with_mounts(rootfs, mount))
    assert "ro" in mounts["/dev"].options
    assert "ro" in mounts["/dev/shm"].options


async def test_a_terminal_has_its_console_in_a_read_only_directory_of_devices(
    rootfs: Path,
) -> None:
    config = with_mounts(rootfs, Mount(destination="/dev", options=["ro"]))
    async with Container(config) as container:
        script = "stat -c %F /dev/console && ! touch /dev/new"
        process = await container.start(["sh", "-c", script], terminal=True)
        assert await process.wait() == 0


@pytest.mark.parametrize("word", ["ro", "rro"])
async def test_a_new_file_system_takes_the_recursive_words_too(
    rootfs: Path, word: str
) -> None:
    mount = Mount(destination="/mnt", type="tmpfs", options=[word, "rnosuid"])
    mounts = await mounts_of(with_mounts(rootfs, mount))
    assert {"ro", "nosuid"} <= mounts["/mnt"].options


async def test_an_option_the_file_system_refuses_is_told_in_the_kernels_words(
    rootfs: Path,
) -> None:
    mount = Mount(destination="/mnt", type="tmpfs", options=["flavour=vanilla"])
    with pytest.raises(SetupError) as caught:
        await run(with_mounts(rootfs, mount), ["true"])
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert any("flavour" in note for note in cause.__notes__)
    assert caught.value.step == "mount filesystem tmpfs on /mnt"


@pytest.mark.covers("arbitrary file systems")
async def test_a_file_system_the_kernel_lacks_is_named(rootfs: Path) -> None:
    mount = Mount(destination="/mnt", type="nosuchfs")
    with pytest.raises(SetupError, match="nosuchfs") as caught:
        await run(with_mounts(rootfs, mount), ["true"])
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == errno.ENODEV


# -- where a destination leads ---------------------------------------------------------


async def test_a_link_in_a_destination_is_followed_inside_the_container(
    own_rootfs: Path, shared: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = own_rootfs / str(outside).lstrip("/")
    target.mkdir(parents=True)
    (own_rootfs / "link").symlink_to(outside)
    config = with_mounts(own_rootfs, Mount.bind(shared, "/link/here"))
    said = await shell(config, f"cat /link/here/file {outside}/here/file")
    assert said == "from the host\n" * 2
    assert (target / "here").is_dir()
    assert not list(outside.iterdir())


@pytest.mark.covers("device nodes, or binds of them", "links in /dev")
async def test_devices_are_made_as_asked_and_links_with_them(rootfs: Path) -> None:
    device = Device(path="/dev/net/tun", major=10, minor=200, file_mode=0o640, uid=1000)
    fifo = Device(path="/dev/pipe", type="p", gid=100)
    config = Config(rootfs=rootfs, devices=[device, fifo], umask=0o077)
    script = (
        "cd /dev; stat -c '%n %F %a %u %g %t:%T' net/tun pipe null tty; ls -l fd ptmx"
    )
    said = await shell(config, script)
    assert "net/tun character special file 640 1000 0 a:c8" in said
    assert "pipe fifo 666 0 100 0:0" in said
    assert "null character special file 666 0 0 1:3" in said
    assert "fd -> /proc/self/fd" in said
    assert "ptmx -> pts/ptmx" in said


async def test_a_node_that_the_image_brought_has_to_be_the_device(
    own_rootfs: Path,
) -> None:
    os.mknod(own_rootfs / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    bare = [m for m in SYSTEM_MOUNTS if not m.destination.startswith("/dev")]
    config = Config(rootfs=own_rootfs, system_mounts=bare)
    with pytest.raises(SetupError) as caught:
        await run(config, ["true"])
    assert isinstance(caught.value.__cause__, FileExistsError)


async def test_any_file_system_of_the_kernel_can_be_mounted(
    rootfs: Path, shared: Path, tmp_path: Path
) -> None:
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    words = [f"lowerdir={shared}", f"upperdir={tmp_path}/upper"]
    words.append(f"workdir={tmp_path}/work")
    config = with_mounts(
        rootfs,
        Mount(destination="/mnt", type="overlay", options=words),
        Mount(destination="/opt", type="ramfs", options=["mode=700"]),
    )
    script = "echo x > /mnt/new; cat /mnt/file; rm /mnt/file; stat -c %a /opt"
    assert await shell(config, script) == "from the host\n700\n"
    assert (shared / "file").exists()
    assert (tmp_path / "upper/new").read_text() == "x\n"
    (rootfs / "opt").rmdir()


@pytest.mark.parametrize("size", [1, 65_536], ids=["one id", "many"])
async def test_a_tmpfs_is_filled_in_a_user_namespace_too(
    own_rootfs: Path, size: int
) -> None:
    """Owners that aren't mapped become its root."""
    (own_rootfs / "seed").mkdir()
    (own_rootfs / "seed/file").write_text("copied\n")
    ids = [IdMapping(container_id=0, host_id=100_000, size=size)]
    config = with_mounts(
        own_rootfs,
        Mount(destination="/seed", type="tmpfs", options=["tmpcopyup"]),
        namespaces=Namespaces(user="new"),
        uid_mappings=ids,
        gid_mappings=ids,
        groups=[],
        system_mounts=[m for m in SYSTEM_MOUNTS if m.type != "devpts"],
    )
    script = "cat /seed/file; stat -c '%u %g' /seed /seed/file"
    owner = "0 0" if size == 1 else "65534 65534"
    assert await shell(config, script) == f"copied\n{owner}\n{owner}\n"
