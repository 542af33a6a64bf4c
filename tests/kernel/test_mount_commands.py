"""Programs of the host that are run before and after a mount."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    IdMapping,
    Mount,
    Namespaces,
    SetupError,
    UnsupportedFeature,
    run,
)
from aiocontainer.config import MountCommand
from tests.support.capabilities import needs
from tests.support.inside import shell, shell_in

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def command(script: str, **settings: Any) -> MountCommand:
    return MountCommand(path="/bin/sh", args=["sh", "-c", script], **settings)


def with_commands(
    rootfs: Path, before: str | None = None, after: str | None = None, **settings: Any
) -> Config:
    mount = Mount(
        destination="/mnt",
        type="tmpfs",
        premount_commands=[command(before, **settings)] if before else [],
        postmount_commands=[command(after, **settings)] if after else [],
    )
    return Config(rootfs=rootfs, mounts=[mount])


@pytest.mark.covers("commands around mounts")
async def test_they_run_around_their_mount_and_see_the_host(own_rootfs: Path) -> None:
    place = own_rootfs / "mnt"
    before = f"grep -c {place} /proc/self/mountinfo > {{}}/before; true"
    after = f"echo 'from the host' > {place}/file"
    folder = own_rootfs.parent
    config = with_commands(own_rootfs, before.format(folder), after)
    try:
        assert await shell(config, "cat /mnt/file") == "from the host\n"
        assert (folder / "before").read_text() == "0\n"
        assert not list(place.iterdir())
    finally:
        (folder / "before").unlink(missing_ok=True)


async def test_several_run_in_their_order_between_the_other_mounts(
    own_rootfs: Path,
) -> None:
    script = f"cd {own_rootfs}; echo $WORD $(ls mnt | wc -l) >> dev/shm/log"
    commands = [command(script, env={"WORD": word}) for word in ("one", "two")]
    mounts = [
        Mount(
            destination="/mnt",
            type="tmpfs",
            premount_commands=commands,
            postmount_commands=[command(f"touch {own_rootfs}/mnt/x")],
        ),
        Mount(destination="/opt", type="tmpfs", premount_commands=commands[:1]),
    ]
    config = Config(rootfs=own_rootfs, mounts=mounts)
    assert await shell(config, "cat /dev/shm/log") == "one 0\ntwo 0\none 1\n"


async def test_a_command_gets_its_own_environment_directory_and_nothing_else(
    rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    script = f"{{ pwd; env; cat; ls /proc/self/fd; }} > {tmp_path}/said"
    settings = {"env": {"PATH": os.environ["PATH"], "OWN": "1"}, "directory": tmp_path}
    inheritable = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        await shell(with_commands(rootfs, script, **settings), "true")
    finally:
        os.close(inheritable)
    said = (tmp_path / "said").read_text().split()
    assert said[0] == str(tmp_path)
    assert "OWN=1" in said
    assert not [word for word in said if word.startswith("SECRET")]
    assert [word for word in said if word.isdigit()] == ["0", "1", "2", "3"]  # ls's own


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_command_that_fails_ends_the_start_and_says_why(
    rootfs: Path, when: str
) -> None:
    config = with_commands(rootfs, **{when: "echo on stdout; echo oh no >&2; exit 3"})
    with pytest.raises(SetupError, match="exit status 3: on stdout\noh no") as caught:
        await run(config, ["true"])
    assert (
        caught.value.step
        == f"run hook {'pre' if when == 'before' else 'post'}mount " + ("/bin/sh")
    )


async def test_a_command_that_is_not_there_is_named(rootfs: Path) -> None:
    mount = Mount(
        destination="/mnt",
        type="tmpfs",
        premount_commands=[MountCommand(path="/nonexistent")],
    )
    with pytest.raises(SetupError, match="/nonexistent") as caught:
        await run(Config(rootfs=rootfs, mounts=[mount]), ["true"])
    assert isinstance(caught.value.__cause__, FileNotFoundError)


async def test_a_command_has_a_bounded_time_and_dies_with_its_children(
    rootfs: Path,
) -> None:
    """The leak check sees that nothing is left of it."""
    config = with_commands(rootfs, "sleep 1000 & sleep 1000", timeout=0.1)
    began = time.monotonic()
    with pytest.raises(SetupError, match=r"took longer than 0\.1 s"):
        await run(config, ["true"])
    assert time.monotonic() - began < 5


async def test_a_cancelled_start_ends_its_commands(rootfs: Path) -> None:
    import anyio

    config = with_commands(rootfs, "sleep 1000", timeout=1000)
    with anyio.move_on_after(0.15) as scope:
        await run(config, ["true"])
    assert scope.cancelled_caught


async def test_in_a_shared_pid_namespace_they_are_refused(rootfs: Path) -> None:
    commands = [MountCommand(path="/bin/true")]
    for field in ("premount_commands", "postmount_commands"):
        mount = Mount(destination="/mnt", type="tmpfs", **{field: commands})
        with pytest.raises(ConfigError) as caught:
            Config(
                rootfs=rootfs,
                mounts=[mount],
                namespaces=Namespaces(pid="/proc/self/ns/pid"),
            )
        assert caught.value.field == f"mounts[0].{field}"


async def test_on_a_running_container_there_are_none(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await shell_in(container, "true")
        commands = [MountCommand(path="/bin/true")]
        with pytest.raises(UnsupportedFeature):
            await container.mount(
                Mount(destination="/mnt", type="tmpfs", premount_commands=commands)
            )


async def test_in_a_user_namespace_they_have_its_rights_only(
    rootfs: Path, tmp_path: Path
) -> None:
    ids = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
    place = Path(rootfs.parent) / "id"
    place.touch()
    place.chmod(0o666)
    config = with_commands(
        rootfs, f"id -u > {place}; cat /proc/self/uid_map >> {place}"
    )
    config = Config(
        rootfs=rootfs,
        mounts=config.mounts,
        namespaces=Namespaces(user="new"),
        uid_mappings=ids,
        gid_mappings=ids,
    )
    try:
        await shell(config, "true")
        assert place.read_text().split() == ["0", "0", "100000", "65536"]
    finally:
        place.unlink()
