"""What is written for security modules, on machines that have them and others."""

from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, ConfigError, UnsupportedFeature
from aiocontainer.config import ProcessSettings
from aiocontainer.plan import compile as plans
from aiocontainer.plan import lsm, steps
from aiocontainer.plan.parts import Program

LABEL = "system_u:system_r:container_t:s0:c1,c2"
MOUNT_LABEL = "system_u:object_r:container_file_t:s0:c1,c2"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The files of a machine with both modules, as the kernel has them."""
    for name, text in (
        ("sys/module/apparmor/parameters/enabled", "Y\n"),
        ("sys/fs/selinux/enforce", "1"),
        ("sys/fs/selinux/policyvers", "33"),
        ("proc/self/attr/apparmor/exec", ""),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def config(**settings: Any) -> Config:
    return Config(rootfs="/srv", **settings)


def written(machine: Path, **settings: Any) -> tuple[tuple[bytes, bytes], ...]:
    made = config(**settings)
    root = str(machine)
    opened: tuple[bytes, ...] = ()
    values: tuple[tuple[bytes, bytes], ...] = ()
    for step in (*lsm.late_attributes(made, root), *lsm.attributes(made, made, root)):
        match step:
            case steps.OpenAttributes(files=files):
                opened += files
            case steps.WriteAttributes(values=more):
                values += more
    assert opened == tuple(file for file, _ in values)
    return values


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, ()),
        ({"apparmor_profile": "mine"}, ((b"apparmor/exec", b"exec mine"),)),
        ({"apparmor_profile": "unconfined"}, ((b"apparmor/exec", b"exec unconfined"),)),
        (
            {"selinux_label": LABEL},
            ((b"exec", LABEL.encode()), (b"keycreate", LABEL.encode())),
        ),
        (
            {"selinux_label": LABEL, "session_keyring": False},
            ((b"exec", LABEL.encode()),),
        ),
    ],
)
@pytest.mark.covers("SELinux process label", "process.selinuxLabel", where="fake")
def test_attributes_go_to_the_files_of_their_module(
    machine: Path, settings: dict[str, Any], values: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert written(machine, **settings) == values


def test_an_older_kernel_has_one_file_for_all_modules(machine: Path) -> None:
    (machine / "proc/self/attr/apparmor/exec").unlink()
    values = written(machine, apparmor_profile="mine")
    assert values == ((b"exec", b"exec mine"),)


@pytest.mark.parametrize(
    ("gone", "settings", "feature"),
    [
        ("sys/module/apparmor/parameters/enabled", {"apparmor_profile": "m"}, "AppArm"),
        ("sys/fs/selinux/enforce", {"selinux_label": LABEL}, "SELinux"),
        ("sys/fs/selinux/policyvers", {"mount_label": MOUNT_LABEL}, "SELinux"),
    ],
)
def test_a_module_that_is_not_there_is_named(
    machine: Path, gone: str, settings: dict[str, Any], feature: str
) -> None:
    lsm.check(config(**settings), str(machine))
    (machine / gone).unlink()
    with pytest.raises(UnsupportedFeature, match=feature) as raised:
        lsm.check(config(**settings), str(machine))
    assert raised.value.hint


def test_being_unconfined_takes_no_module(tmp_path: Path) -> None:
    assert written(tmp_path, apparmor_profile="unconfined") == ()


def test_apparmor_that_was_switched_off_is_not_there(machine: Path) -> None:
    (machine / "sys/module/apparmor/parameters/enabled").write_text("N\n")
    assert not lsm.has_apparmor(str(machine))


def test_attributes_are_opened_first_and_those_of_the_exec_written_after_hooks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lsm, "has_selinux", lambda _root: True)
    hook = {"path": "/bin/true"}
    made = config(selinux_label=LABEL, hooks={"create_container": [hook]})
    frame = plans.frame(made)
    program = Program(("true",), ())
    calls = [step.call for step in plans.first(frame, "n", made, program).steps]
    assert calls[:2] == ["open_attributes", "write_attributes"]
    assert calls.index("new_session_keyring") > 1
    late = calls.index("write_attributes", 2)
    assert calls.index("run_hook") < late < calls.index("change_identity")
    calls = [step.call for step in plans.join(frame, made, program, 1).steps]
    assert calls[:2] == ["open_attributes", "write_attributes"]
    plain = config()
    steps = plans.first(plans.frame(plain), "name", plain, program).steps
    assert "write_attributes" not in {step.call for step in steps}


@pytest.mark.covers("SELinux mount label", "linux.mountLabel", where="fake")
def test_new_file_systems_get_the_mount_label_but_those_of_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lsm, "has_selinux", lambda _root: True)
    option = (b"context", MOUNT_LABEL.encode())
    for rootfs in ("/srv", {"kind": "overlay", "lower": ["/srv"]}, {"kind": "host"}):
        made = Config(rootfs=rootfs, mount_label=MOUNT_LABEL)  # type: ignore[arg-type]
        labelled, plain = set(), set()
        for step in plans.frame(made).build.steps:
            kind = getattr(step, "kind", step.call.encode())
            options = getattr(step, "options", getattr(step, "overlay_options", ()))
            (labelled if option in options else plain).add(kind)
        assert {b"tmpfs", b"devpts"} <= labelled
        assert {b"proc", b"sysfs", b"mqueue"} <= plain
        if rootfs != "/srv":
            assert labelled & {b"root_overlay", b"root_tmpfs"}


@pytest.mark.parametrize(
    ("shared", "label"),
    [(True, "system_u:object_r:container_file_t:s0"), (False, MOUNT_LABEL)],
)
def test_a_shared_volume_has_no_categories(shared: bool, label: str) -> None:
    assert lsm.file_label(MOUNT_LABEL, shared=shared) == label


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("apparmor_profile", value) for value in ("", "a b", "a\nb", "a\0", "é")),
        *(("selinux_label", value) for value in ("", "a:b", "a:b:c d", "x" * 5000)),
        *(("mount_label", value) for value in ("", "a:b", 'a:b:c"\n')),
        ("apparmor_profile", 1),
    ],
)
def test_wrong_names_are_told_before_anything_is_touched(
    field: str, value: object
) -> None:
    with pytest.raises(ConfigError) as raised:
        config(**{field: value})
    assert raised.value.field == field


def test_names_are_settings_of_each_process() -> None:
    settings = ProcessSettings(apparmor_profile="a//&b", selinux_label=LABEL)
    assert settings.apparmor_profile == "a//&b"
