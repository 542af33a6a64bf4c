"""Words of mount options that say how a bind mount is made, or whose its files are."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import STDOUT, Config, IdMapping, Mount, SetupError, run
from tests.support.capabilities import needs
from tests.support.filesystems import tmpfs_at
from tests.support.inside import mounts_of, shell

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory of the host with a file of user 1000, and a link to that."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "file").write_text("from the host\n")
    os.chown(folder / "file", 1000, 1001)
    (folder / "link").symlink_to("file")
    return folder


def bound(rootfs: Path, source: Path, *words: str, at: str = "/mnt/it") -> Config:
    mount = Mount(destination=at, source=source, options=["bind", *words])
    return Config(rootfs=rootfs, mounts=[mount])


# -- links at either end ---------------------------------------------------------------


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
