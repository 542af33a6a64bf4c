"""Words of mount options that say how a bind mount is made, or whose its files are."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    STDOUT,
    Capabilities,
    Config,
    ConfigError,
    Container,
    IdMapping,
    Mount,
    Namespaces,
    Rootfs,
    SetupError,
    run,
)
from tests.support.capabilities import needs
from tests.support.filesystems import bound_on_itself, tmpfs_at
from tests.support.inside import mounts_of, parse_mounts, shell, shell_in

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory of the host with a file of user 1000, and a link to that."""
    # Not below pytest's own folder, which other users may not enter.
    with tempfile.TemporaryDirectory(prefix="shared-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "file").write_text("from the host\n")
        os.chown(folder / "file", 1000, 1001)
        (folder / "link").symlink_to("file")
        yield folder


def bound(rootfs: Path, source: Path, *words: str, at: str = "/mnt/it") -> Config:
    mount = Mount(destination=at, source=source, options=["bind", *words])
    return Config(rootfs=rootfs, mounts=[mount])


# -- links at either end ---------------------------------------------------------------


@pytest.mark.covers("src-nofollow and dest-nofollow")
async def test_src_nofollow_shows_a_link_and_not_what_it_points_to(
    own_rootfs: Path, shared: Path
) -> None:
    config = bound(own_rootfs, shared / "link", "src-nofollow")
    assert await shell(config, "readlink /mnt/it") == "file\n"


async def test_without_it_the_link_is_followed_on_the_host(
    own_rootfs: Path, shared: Path
) -> None:
    config = bound(own_rootfs, shared / "link")
    assert await shell(config, "cat /mnt/it") == "from the host\n"


@pytest.mark.parametrize("target", ["/etc/passwd", "/nowhere", "it"])
@pytest.mark.covers("src-nofollow and dest-nofollow")
async def test_dest_nofollow_covers_the_link_itself(
    own_rootfs: Path, shared: Path, target: str
) -> None:
    (own_rootfs / "mnt/it").symlink_to(target)
    config = bound(own_rootfs, shared / "file", "dest-nofollow")
    said = await shell(config, "cat /mnt/it; head -n 1 /etc/passwd")
    assert said == "from the host\nroot:x:0:0:root:/root:/bin/sh\n"
    assert os.readlink(own_rootfs / "mnt/it") == target
    assert not (own_rootfs / "nowhere").exists()


async def test_dest_nofollow_makes_what_is_missing(
    own_rootfs: Path, shared: Path
) -> None:
    said = await shell(bound(own_rootfs, shared, "dest-nofollow"), "ls /mnt/it")
    assert said.split() == ["file", "link"]
    config = bound(own_rootfs, shared / "file", "dest-nofollow", at="/a/b")
    assert await shell(config, "cat /a/b") == "from the host\n"


async def test_a_directory_never_goes_over_a_link(
    own_rootfs: Path, shared: Path
) -> None:
    (own_rootfs / "mnt/it").symlink_to("/etc")
    with pytest.raises(SetupError) as caught:
        await run(bound(own_rootfs, shared, "dest-nofollow"), ["true"])
    assert "attach tree" in caught.value.step
    assert os.readlink(own_rootfs / "mnt/it") == "/etc"


@pytest.mark.covers("copy-symlink")
async def test_copy_symlink_makes_the_same_link_as_often_as_wanted(
    own_rootfs: Path, shared: Path
) -> None:
    config = bound(own_rootfs, shared / "link", "copy-symlink")
    for _ in range(2):
        assert await shell(config, "readlink /mnt/it; mount | grep -c mnt || true") == (
            "file\n0\n"
        )
    assert os.readlink(own_rootfs / "mnt/it") == "file"


async def test_copy_symlink_mounts_what_is_no_link(
    own_rootfs: Path, shared: Path
) -> None:
    config = bound(own_rootfs, shared / "file", "copy-symlink", "ro")
    mounts = await mounts_of(config)
    assert "ro" in mounts["/mnt/it"].options


@pytest.mark.parametrize("there", ["file", "other link"])
async def test_copy_symlink_replaces_nothing(
    own_rootfs: Path, shared: Path, there: str
) -> None:
    path = own_rootfs / "mnt/it"
    path.touch() if there == "file" else path.symlink_to("/etc")
    with pytest.raises(SetupError) as caught:
        await run(bound(own_rootfs, shared / "link", "copy-symlink"), ["true"])
    assert isinstance(caught.value.__cause__, FileExistsError)


# -- id-mapped mounts ------------------------------------------------------------------

ONE_USER = [IdMapping(container_id=1000, host_id=7, size=1)]
ONE_GROUP = [IdMapping(container_id=1001, host_id=8, size=1)]


@pytest.mark.parametrize(
    ("words", "mappings"),
    [
        pytest.param(
            ["idmap"], {"uid_mappings": ONE_USER, "gid_mappings": ONE_GROUP}, id="OCI"
        ),
        pytest.param(
            [], {"uid_mappings": ONE_USER, "gid_mappings": ONE_GROUP}, id="no word"
        ),
        pytest.param(["idmap=uids=1000-7-1;gids=1001-8-1"], {}, id="crun"),
        pytest.param(["idmap=uids=1000-7-1;gids=0-5-1#1001-8-1"], {}, id="ranges"),
        pytest.param(["ridmap=uids=@1000-7-1;gids=@1001-8-1"], {}, id="relative"),
    ],
)
@pytest.mark.covers("id-mapped mounts", "mounts.uidMappings", "mounts.gidMappings")
async def test_an_id_mapped_mount_translates_owners_both_ways(
    rootfs: Path, shared: Path, words: list[str], mappings: dict[str, Any]
) -> None:
    mount = Mount(
        destination="/mnt", source=shared, options=["bind", *words], **mappings
    )
    config = Config(rootfs=rootfs, mounts=[mount], user="7:8")
    os.chown(shared, 1000, 1001)
    script = "stat -c '%u %g' /mnt/file; echo x > /mnt/new; stat -c '%u %g' /mnt/new"
    assert await shell(config, script) == "7 8\n7 8\n"
    facts = (shared / "new").stat()
    assert (facts.st_uid, facts.st_gid) == (1000, 1001)


async def test_who_has_no_id_in_the_mapping_can_own_nothing_there(
    rootfs: Path, shared: Path
) -> None:
    mount = Mount(
        destination="/mnt",
        source=shared,
        options=["bind", "idmap"],
        uid_mappings=ONE_USER,
        gid_mappings=ONE_GROUP,
    )
    config = Config(rootfs=rootfs, mounts=[mount])
    said = await shell(config, "touch /mnt/new || true", stderr=STDOUT)
    assert "Value too large" in said  # EOVERFLOW, as path_resolution(7) has it
    assert sorted(os.listdir(shared)) == ["file", "link"]


async def test_ids_that_are_not_given_stay_as_they_are(
    rootfs: Path, shared: Path
) -> None:
    config = bound(rootfs, shared, "idmap=uids=1000-7-1", at="/mnt")
    assert await shell(config, "stat -c '%u %g' /mnt/file") == "7 1001\n"


@pytest.mark.parametrize(
    ("word", "below"), [("idmap", False), ("ridmap", True)], ids=["idmap", "ridmap"]
)
async def test_the_mounts_below_are_mapped_where_that_is_asked_for(
    rootfs: Path, tmp_path: Path, word: str, below: bool
) -> None:
    (tmp_path / "top/inner").mkdir(parents=True)
    every = [IdMapping(container_id=0, host_id=1000, size=1000)]
    mount = Mount(
        destination="/mnt",
        source=tmp_path / "top",
        options=["rbind", word],
        uid_mappings=every,
        gid_mappings=every,
    )
    with tmpfs_at(tmp_path / "top/inner"):
        mounts = await mounts_of(Config(rootfs=rootfs, mounts=[mount]))
    assert "idmapped" in mounts["/mnt"].options
    assert ("idmapped" in mounts["/mnt/inner"].options) == below


async def test_a_file_system_that_can_not_be_mapped_is_a_setup_error(
    rootfs: Path,
) -> None:
    both = {"uid_mappings": ONE_USER, "gid_mappings": ONE_GROUP}
    mount = Mount(destination="/mnt", source="/sys", options=["bind", "idmap"], **both)
    with pytest.raises(SetupError, match="prepare tree /sys"):
        await run(Config(rootfs=rootfs, mounts=[mount]), ["true"])


# -- changes of what is mounted --------------------------------------------------------


async def test_a_later_entry_changes_the_size_of_a_tmpfs(rootfs: Path) -> None:
    change = Mount(destination="/dev/shm", options=["remount", "size=64k", "noatime"])
    mounts = await mounts_of(Config(rootfs=rootfs, mounts=[change]))
    assert "size=64k" in mounts["/dev/shm"].superblock
    assert {"noatime", "nosuid", "nodev", "noexec"} <= mounts["/dev/shm"].options


async def test_a_bind_mount_is_changed_by_bind_and_remount(
    rootfs: Path, shared: Path
) -> None:
    mounts = await mounts_of(
        Config(
            rootfs=rootfs,
            mounts=[
                Mount.bind(shared, "/mnt"),
                Mount(destination="/mnt", options=["bind", "remount", "ro", "noexec"]),
            ],
        )
    )
    assert {"ro", "noexec", "nosuid", "nodev"} <= mounts["/mnt"].options


async def test_an_option_that_is_refused_later_is_told_in_the_kernels_words(
    rootfs: Path,
) -> None:
    change = Mount(destination="/dev/shm", options=["remount", "flavour=vanilla"])
    with pytest.raises(SetupError, match="reconfigure /dev/shm") as caught:
        await run(Config(rootfs=rootfs, mounts=[change]), ["true"])
    assert any("flavour" in note for note in caught.value.__cause__.__notes__)


# -- kinds of files --------------------------------------------------------------------


async def test_a_socket_and_a_fifo_can_be_bound(
    own_rootfs: Path, tmp_path: Path
) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        os.mkfifo(tmp_path / "fifo")
        config = Config(
            rootfs=own_rootfs,
            mounts=[
                Mount.bind(tmp_path / "socket", "/run/socket"),
                Mount.bind(tmp_path / "fifo", "/run/fifo"),
            ],
        )
        script = "stat -c %F /run/socket /run/fifo"
        assert await shell(config, script) == "socket\nfifo\n"
    assert stat.S_ISREG((own_rootfs / "run/socket").lstat().st_mode)


async def test_a_mount_goes_below_another_and_over_what_that_showed(
    rootfs: Path, shared: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text("other\n")
    config = Config(
        rootfs=rootfs,
        mounts=[
            Mount.bind(shared, "/mnt", readonly=True),
            Mount.bind(tmp_path / "other", "/mnt/file"),
        ],
    )
    assert await shell(config, "cat /mnt/file /mnt/link") == "other\nother\n"
    assert (shared / "file").read_text() == "from the host\n"


async def test_what_is_masked_stays_masked_when_a_mount_brings_it(
    rootfs: Path, shared: Path
) -> None:
    """Masks come after the mounts: over what is mounted there, and not below it."""
    config = Config(
        rootfs=rootfs,
        mounts=[Mount.bind(shared, "/mnt")],
        masked_paths=["/mnt/file"],
        readonly_paths=["/mnt"],
    )
    said = await shell(config, "cat /mnt/file; touch /mnt/x || true", stderr=STDOUT)
    assert "from the host" not in said
    assert "Read-only" in said


# -- in a user namespace ---------------------------------------------------------------

MAPPED = [IdMapping(container_id=0, host_id=100_000, size=65_536)]


def owned(rootfs: Path, *mounts: Mount, **settings: Any) -> Config:
    return Config(
        rootfs=rootfs,
        namespaces=Namespaces(user="new"),
        uid_mappings=MAPPED,
        gid_mappings=MAPPED,
        mounts=mounts,
        **settings,
    )


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        pytest.param([], "65534 65534", id="not mapped"),
        pytest.param(["idmap"], "1000 1001", id="the container's own mapping"),
        pytest.param(["idmap=uids=1000-100000-1;gids=1001-100000-1"], "0 0", id="host"),
        pytest.param(["idmap=uids=@1000-0-1;gids=@1001-7-1"], "0 7", id="relative"),
        pytest.param(["idmap=uids=@1000-5-1"], "5 1001", id="users only"),
    ],
)
async def test_owners_in_a_user_namespace_are_those_of_the_mapping(
    rootfs: Path, shared: Path, words: list[str], seen: str
) -> None:
    mount = Mount(destination="/mnt", source=shared, options=["rbind", *words])
    config = owned(rootfs, mount)
    assert await shell(config, "stat -c '%u %g' /mnt/file") == seen + "\n"


async def test_root_of_a_user_namespace_writes_as_root_of_the_host(
    rootfs: Path, shared: Path
) -> None:
    mount = Mount(destination="/mnt", source=shared, options=["bind", "idmap"])
    await shell(owned(rootfs, mount), "echo x > /mnt/new")
    assert (shared / "new").stat().st_uid == 0


async def test_several_trees_come_to_their_own_places(
    own_rootfs: Path, shared: Path, tmp_path: Path
) -> None:
    """Those prepared on the host are counted apart from those of the child."""
    (tmp_path / "inner").mkdir()
    os.chown(own_rootfs / "mnt", 100_000, 100_000)
    config = owned(
        own_rootfs,
        Mount(
            destination="/mnt/link",
            source=shared / "link",
            options=["bind", "copy-symlink"],
        ),
        Mount(destination="/mnt/a", source=shared, options=["bind", "idmap"]),
        Mount(
            destination="/mnt/b",
            source=shared / "file",
            options=["bind", "dest-nofollow"],
        ),
        Mount(destination="/mnt/c", source=tmp_path, options=["bind", "ridmap"]),
    )
    script = "readlink /mnt/link; ls /mnt/a /mnt/c; cat /mnt/b"
    said = await shell(config, script)
    assert said.split("\n") == [
        *("file", "/mnt/a:", "file", "link", "", "/mnt/c:", "inner"),
        *("from the host", ""),
    ]


@pytest.mark.parametrize("idmap", [False, True], ids=["bind", "idmap"])
@pytest.mark.parametrize("word", ["ro", "nosuid", "nodev", "noexec", "noatime"])
async def test_what_the_hosts_mount_has_can_not_be_cleared_from_a_user_namespace(
    rootfs: Path, shared: Path, tmp_path: Path, word: str, idmap: bool
) -> None:
    """Locked flags of mount_namespaces(7): kept, also for who may mount."""
    clearing = {"ro": "rw", "noatime": "relatime"}.get(word, word.removeprefix("no"))
    words = ["rbind", *(["idmap"] if idmap else [])]
    with bound_on_itself(shared, word):
        kept = Mount(destination="/mnt", source=shared, options=words)
        config = owned(rootfs, kept, capabilities=Capabilities.of("SYS_ADMIN"))
        script = f"mount -o remount,bind,{clearing} /mnt; cat /proc/self/mountinfo"
        mounts = parse_mounts(await shell(config, script, seccomp=None))
        assert word in mounts["/mnt"].options
        asked = Mount(destination="/mnt", source=shared, options=[*words, clearing])
        with pytest.raises(SetupError) as caught:
            await run(owned(rootfs, asked), ["true"])
    cause = caught.value.__cause__
    assert isinstance(cause, PermissionError)
    assert any("locked" in note for note in cause.__notes__)


async def test_a_failure_on_the_host_names_the_step_and_leaves_nothing(
    rootfs: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    mount = Mount(destination="/mnt", source=missing, options=["bind", "idmap"])
    for _ in range(3):
        with pytest.raises(SetupError) as caught:
            await run(owned(rootfs, mount), ["true"])
        assert caught.value.step == f"prepare tree {missing}"
        assert isinstance(caught.value.__cause__, FileNotFoundError)


# -- the root --------------------------------------------------------------------------


def with_mapped_root(path: Path, **settings: Any) -> Config:
    return Config(
        rootfs=Rootfs.directory(path, idmap=True, **settings.pop("root", {})),
        namespaces=Namespaces(user="new"),
        uid_mappings=MAPPED,
        gid_mappings=MAPPED,
        **settings,
    )


@pytest.mark.parametrize("pivot", [True, False], ids=["pivot", "no pivot"])
async def test_an_image_of_the_hosts_root_is_one_of_the_containers_root(
    own_rootfs: Path, pivot: bool
) -> None:
    script = """
stat -c '%u %g' / /bin/busybox /home/tester; mkdir /made && echo x > /made/file
stat -c %u /made/file; ls -d /dev/null /proc/self
"""
    config = with_mapped_root(own_rootfs, pivot_root=pivot)
    said = await shell(config, script)
    assert said.splitlines() == [
        *("0 0", "0 0", "1000 1000", "0", "/dev/null", "/proc/self")
    ]
    assert (own_rootfs / "made/file").stat().st_uid == 0
    # By its own user it is as it is for the host's root: not mapped, nothing is.
    plain = config.model_copy(update={"rootfs": Rootfs.directory(own_rootfs)})
    said = await shell(plain, "stat -c %u /; touch /new || true", stderr=STDOUT)
    assert said.startswith("65534\n")


async def test_a_mapped_root_need_not_be_reachable_by_its_user(
    own_rootfs: Path,
) -> None:
    own_rootfs.parent.chmod(0o700)
    mount = Mount(destination="/mnt", type="tmpfs")
    config = with_mapped_root(own_rootfs, mounts=[mount], root={"readonly": True})
    said = await shell(config, "touch /mnt/x; touch /x || id -u", stderr=STDOUT)
    assert "Read-only" in said
    assert said.endswith("\n0\n")


async def test_later_processes_and_mounts_are_as_in_any_root(
    own_rootfs: Path, shared: Path
) -> None:
    link = Mount(
        destination="/etc/link",
        source=shared / "link",
        options=["bind", "copy-symlink"],
    )
    mapped = Mount(destination="/mnt/a", source=shared, options=["bind", "idmap"])
    config = with_mapped_root(own_rootfs, mounts=[link, mapped])
    async with Container(config) as container:
        script = "readlink /etc/link; stat -c %u /mnt/a/file /etc/passwd; id -u"
        assert await shell_in(container, script) == "file\n1000\n0\n0\n"
        await container.mount(Mount(destination="/new", source=shared, type="bind"))
        assert await shell_in(container, "ls /new") == "file\nlink\n"


def test_without_a_user_namespace_there_is_no_mapping(rootfs: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(rootfs=Rootfs.directory(rootfs, idmap=True))
    assert caught.value.field == "rootfs.idmap"
