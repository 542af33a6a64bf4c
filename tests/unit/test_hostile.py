"""The hostile root file systems are built as their names say, and changes are seen."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hostile import Case, Scene, host_snapshot
from tests.support.hostile_programs import hostile_cases


@pytest.mark.needs("root")
@pytest.mark.parametrize("case", hostile_cases())
def test_building_a_case_leaves_the_host_alone(
    case: Case, own_rootfs: Path, tmp_path: Path
) -> None:
    scene = Scene.set(own_rootfs, tmp_path)
    before = host_snapshot(scene.canary)
    case.build(scene)
    case.settings(scene)
    assert host_snapshot(scene.canary) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda tree: (tree / "file").write_text("x"), id="content"),
        pytest.param(lambda tree: (tree / "new").touch(), id="new-file"),
        pytest.param(lambda tree: (tree / "file").chmod(0o600), id="mode"),
        pytest.param(lambda tree: (tree / "empty").rmdir(), id="removal"),
        pytest.param(lambda tree: os.utime(tree / "directory/secret"), id="time"),
        pytest.param(
            lambda tree: os.replace(tree / "file", tree / "directory/secret"),
            id="rename",
        ),
    ],
)
def test_a_snapshot_shows_each_change(
    change: Callable[[Path], object], tmp_path: Path
) -> None:
    scene = Scene.set(tmp_path / "root", tmp_path)
    before = host_snapshot(scene.canary)
    assert host_snapshot(scene.canary) == before
    change(scene.canary)
    assert host_snapshot(scene.canary) != before
