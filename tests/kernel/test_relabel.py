"""Volumes that get the container's SELinux label: z and Z."""

import os
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, ConfigError, IdMapping, Mount, Namespaces
from aiocontainer.plan import compile as plans
from aiocontainer.plan import steps as s
from aiocontainer.plan.mounts import file_system, of_host
from aiocontainer.proc.helper import relabel
from tests.support.capabilities import needs, outcome_in_child
from tests.support.filesystems import tmpfs_at
from tests.support.hostile import host_snapshot

LABEL = "system_u:object_r:container_file_t:s0:c1,c2"
SHARED = "system_u:object_r:container_file_t:s0"
ATTRIBUTE = "security.selinux"
as_root = needs("root")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/file").write_text("x")
    (folder / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "fifo")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").touch()
    return folder


def label_of(path: Path) -> str | None:
    try:
        return os.getxattr(path, ATTRIBUTE, follow_symlinks=False).decode()
    except OSError:
        return None


def relabelled(source: Path, label: str = LABEL) -> None:
    """Have a child do the step, as the helper would."""
    step = lambda: relabel.relabel(None, os.fsencode(source), label.encode())  # type: ignore[arg-type] # noqa: E731
    if (words := outcome_in_child(step)) is not None:
        raise OSError(words)


@as_root
@pytest.mark.covers("relabelling by z and Z")
def test_everything_below_gets_the_label_and_nothing_outside(
    volume: Path, tmp_path: Path
) -> None:
    before = host_snapshot(tmp_path / "outside")
    relabelled(volume)
    below = [path for path in volume.rglob("*") if not path.is_symlink()]
    assert len(below) == 4
    for path in (volume, *below):
        assert label_of(path) == LABEL + "\0", path
    assert host_snapshot(tmp_path / "outside") == before


@as_root
def test_a_file_and_a_link_to_a_volume_can_be_labelled(
    volume: Path, tmp_path: Path
) -> None:
    relabelled(volume / "deep/er/file")
    assert label_of(volume / "deep/er/file") == LABEL + "\0"
    assert label_of(volume / "deep/er") is None
    (tmp_path / "to").symlink_to("volume")
    relabelled(tmp_path / "to", SHARED)
    assert label_of(volume) == SHARED + "\0"


@as_root
def test_what_has_the_label_is_left_as_it_is(volume: Path) -> None:
    relabelled(volume)
    before = host_snapshot(volume)
    relabelled(volume)
    assert host_snapshot(volume) == before


@as_root
@needs("mount-namespace")
def test_other_file_systems_below_are_left_alone(volume: Path) -> None:
    (volume / "other").mkdir()
    with tmpfs_at(volume / "other"):
        (volume / "other/file").touch()
        relabelled(volume)
        assert label_of(volume / "other/file") is None


@as_root
@pytest.mark.parametrize("path", ["/", "/usr", "/etc", "/var/lib", "/home", "/tmp"])
def test_directories_of_the_host_are_refused_under_any_name(
    tmp_path: Path, path: str
) -> None:
    if not os.path.exists(path):
        pytest.skip(f"no {path}")
    (tmp_path / "name").symlink_to(path)
    before = label_of(Path(path))
    with pytest.raises(OSError, match="Operation not permitted"):
        relabelled(tmp_path / "name")
    assert label_of(Path(path)) == before


@pytest.mark.parametrize("source", ["/", "/usr", "/etc", "/usr/"])
def test_the_worst_of_them_are_config_errors(source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Mount(destination="/mnt", source=source, type="bind", relabel="z")
    assert caught.value.field == "relabel"


@pytest.mark.parametrize(
    "mount",
    [
        {"type": "tmpfs", "relabel": "z"},
        {"type": "bind", "source": "/srv", "relabel": "zZ"},
        {"type": "bind", "source": "/srv", "relabel": True},
    ],
)
def test_only_binds_are_relabelled_by_z_or_Z(mount: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Mount(destination="/mnt", **mount)
    assert caught.value.field == "relabel"


MAPPED = [IdMapping(container_id=0, host_id=100_000, size=65_536)]


@pytest.mark.parametrize(("letter", "label"), [("z", SHARED), ("Z", LABEL)])
def test_the_label_is_that_of_the_container_or_one_for_all(
    letter: Any, label: str
) -> None:
    mount = Mount(destination="/mnt", source="/srv/x", type="bind", relabel=letter)
    config = Config(rootfs="/x", mounts=[mount], mount_label=LABEL)
    steps = list(file_system(config))
    wanted = s.Relabel(b"/srv/x", label.encode())
    assert wanted in steps
    kinds = [type(step) for step in steps[steps.index(wanted) :]]
    assert kinds[:2] == [s.Relabel, s.Bind]
    assert not list(of_host(config, None))


def test_in_a_user_namespace_the_host_does_it() -> None:
    mount = Mount(destination="/mnt", source="/srv/x", type="bind", relabel="Z")
    config = Config(
        rootfs="/x",
        mounts=[mount],
        mount_label=LABEL,
        namespaces=Namespaces(user="new"),
        uid_mappings=MAPPED,
        gid_mappings=MAPPED,
    )
    assert list(of_host(config, None)) == [s.Relabel(b"/srv/x", LABEL.encode())]
    assert not [x for x in file_system(config) if isinstance(x, s.Relabel)]


def test_without_a_label_nothing_is_done() -> None:
    mount = Mount(destination="/mnt", source="/srv/x", type="bind", relabel="Z")
    plan = plans.frame(Config(rootfs="/x", mounts=[mount]))
    assert not [step for step in plan.build.steps if isinstance(step, s.Relabel)]
