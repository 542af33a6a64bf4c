"""Plans of mounts: which steps, in which order, and where each is done."""

from typing import Any

import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Device,
    IdMapping,
    Mount,
    Namespaces,
    Rootfs,
)
from aiocontainer.config import MountCommand
from aiocontainer.errors import UnsupportedFeature
from aiocontainer.plan import compile as plans
from aiocontainer.plan import hot
from aiocontainer.plan import steps as s
from aiocontainer.plan.mounts import become_root, file_system, of_host

MAPPED = [IdMapping(container_id=0, host_id=100_000, size=65_536)]
OWNED: dict[str, Any] = {
    "namespaces": Namespaces(user="new"),
    "uid_mappings": MAPPED,
    "gid_mappings": MAPPED,
}


def with_mounts(*mounts: Mount, **settings: Any) -> Config:
    return Config(rootfs="/x", system_mounts=[], mounts=mounts, **settings)


def steps_of(*mounts: Mount, **settings: Any) -> list[s.Step]:
    """The steps for these mounts alone."""
    steps = list(file_system(with_mounts(*mounts, **settings)))
    start = next(i for i, x in enumerate(steps) if isinstance(x, s.RootDirectory))
    nodes = (s.MakeNodes, s.BindNodes)
    end = next(i for i, step in enumerate(steps) if isinstance(step, nodes))
    return steps[start + 1 : end]


def bound(*words: str, at: str = "/m", **settings: Any) -> Mount:
    return Mount(destination=at, source="/s", options=["bind", *words], **settings)


def test_a_plain_bind_is_one_step_as_ever() -> None:
    assert steps_of(Mount.bind("/s", "/m")) == [s.Bind(b"/s", b"/m", True, 6)]
    assert plans.frame(with_mounts(Mount.bind("/s", "/m"))).host_steps == ()


@pytest.mark.parametrize(
    ("word", "follow_source", "follow", "copy_link"),
    [
        ("src-nofollow", False, True, False),
        ("dest-nofollow", True, False, False),
        ("copy-symlink", False, True, True),
    ],
)
def test_words_about_links_take_a_prepared_tree(
    word: str, follow_source: bool, follow: bool, copy_link: bool
) -> None:
    assert steps_of(bound(word)) == [
        s.PrepareTree(b"/s", False, follow_source),
        s.AttachTree(b"/s", b"/m", 0, follow, copy_link),
    ]


def test_trees_are_numbered_as_they_are_prepared() -> None:
    steps = steps_of(bound("src-nofollow"), bound(at="/n"), bound("dest-nofollow"))
    assert [x.number for x in steps if isinstance(x, s.AttachTree)] == [0, 1]


def test_in_a_user_namespace_owners_are_translated_by_the_host() -> None:
    mounts = (
        bound("src-nofollow", at="/a"),
        bound("idmap", at="/b"),
        bound("dest-nofollow", at="/c"),
        bound("ridmap", at="/d"),
    )
    steps = steps_of(*mounts, **OWNED)
    numbers = {x.destination: x.number for x in steps if isinstance(x, s.AttachTree)}
    assert numbers == {b"/b": 0, b"/d": 1, b"/a": 2, b"/c": 3}
    host = plans.frame(with_mounts(*mounts, **OWNED)).host_steps
    text = b"0 100000 65536\n"
    assert [(x.mapping, x.map_recursive, x.locked) for x in host] == [  # type: ignore[attr-defined]
        ((text, text), False, True),
        ((text, text), True, True),
    ]


def test_the_mapping_of_a_joined_user_namespace_is_taken_from_that() -> None:
    spaces = Namespaces(user="/proc/1/ns/user", network="/proc/1/ns/net")
    config = with_mounts(bound("idmap"), namespaces=spaces)
    frame = plans.frame(config)
    (step,) = frame.host_steps
    assert isinstance(step, s.PrepareTree)
    assert isinstance(step.mapping, int)
    assert frame.namespaces[step.mapping] == b"/proc/1/ns/user"


def test_a_mapped_root_is_the_first_tree() -> None:
    root = Rootfs.directory("/x", idmap=True)
    mount = bound("idmap")
    config = Config(rootfs=root, system_mounts=[], mounts=[mount], **OWNED)
    host = list(of_host(config, None))
    assert [step.source for step in host] == [b"/x", b"/s"]  # type: ignore[attr-defined]
    steps = list(file_system(config))
    assert s.RootTree(b"/x", 0) in steps
    assert s.AttachTree(b"/s", b"/m", 1) in steps
    assert not [step for step in steps if isinstance(step, s.RootDirectory)]


def test_what_the_host_does_is_part_of_the_description() -> None:
    config = with_mounts(bound("idmap"), **OWNED)
    plan = plans.first(
        plans.frame(config), "name", config, plans.Program(("true",), ())
    )
    assert "on the host: prepare tree /s" in plan.describe().splitlines()
    assert plan.step(-2) == plan.host_steps[0]
    assert plan.step(-1) is None
    assert plan.step(-3) is None


def test_commands_and_labels_come_right_before_and_after_their_mount() -> None:
    command = MountCommand(path="/bin/true", timeout=2.5, directory="/d")
    mount = bound(
        relabel="Z", premount_commands=[command], postmount_commands=[command]
    )
    steps = steps_of(mount, mount_label="a:b:c:s0")
    kinds = [type(step) for step in steps]
    assert kinds == [s.RunHook, s.Relabel, s.Bind, s.RunHook]
    assert steps[0] == s.RunHook(
        b"premount", b"/bin/true", (b"/bin/true",), (), b"/d", 2500, b"", b""
    )


@pytest.mark.parametrize(
    ("mount", "wanted"),
    [
        pytest.param(
            Mount(destination="/t", options=["remount", "size=1m", "noexec"]),
            [
                s.Reconfigure(b"/t", ((b"size", b"1m"),)),
                s.ChangeAttributes(b"/t", 8, 0, 0, 0),
            ],
            id="size and attributes",
        ),
        pytest.param(
            Mount(destination="/t", options=["noexec"]),
            [s.ChangeAttributes(b"/t", 8, 0, 0, 0)],
            id="attributes",
        ),
        pytest.param(
            Mount(destination="/t", type="tmpfs", options=["remount", "lazytime"]),
            [
                s.Reconfigure(b"/t", ((b"lazytime", None),)),
                s.ChangeAttributes(b"/t", 0, 0, 0, 0),
            ],
            id="with its type",
        ),
    ],
)
def test_a_later_entry_changes_what_is_mounted(
    mount: Mount, wanted: list[s.Step]
) -> None:
    made = Mount(destination="/t", type="tmpfs")
    assert steps_of(made, mount)[1:] == wanted


def test_read_only_comes_last_for_what_has_to_be_written_in() -> None:
    made = Mount(destination="/t", type="tmpfs")
    change = Mount(destination="/t", options=["remount", "bind", "ro"])
    assert len(steps_of(made, change)) == 1
    late = list(become_root(with_mounts(made, change)))
    assert late[0] == s.ChangeAttributes(b"/t", 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("before", "options"),
    [
        pytest.param([], ["remount", "size=1m"], id="nothing there"),
        pytest.param([Mount.bind("/s", "/t")], ["size=1m"], id="a bind"),
        pytest.param(
            [Mount(destination="/t", type="cgroup2")], ["nsdelegate"], id="shared"
        ),
        pytest.param(
            [Mount(destination="/t", type="tmpfs"), Mount.bind("/s", "/t")],
            ["size=1m"],
            id="covered",
        ),
    ],
)
def test_a_file_system_of_others_is_never_reconfigured(
    before: list[Mount], options: list[str]
) -> None:
    change = Mount(destination="/t", options=options)
    with pytest.raises(ConfigError) as caught:
        with_mounts(*before, change)
    index = f"mounts[{len(before)}].options[{len(options) - 1}]"
    assert caught.value.field == index


@pytest.mark.parametrize(
    ("words", "namespace", "attributes"),
    [
        ([], "new", 1 | 2 | 4 | 8),
        (["ro"], "host", 1 | 2 | 4 | 8),
        (["rw"], "new", 2 | 4 | 8),
        (["rrw"], "new", 2 | 4 | 8),
        (["exec", "suid", "dev"], "new", 1 | 2 | 4 | 8),
    ],
)
def test_cgroups_are_read_only_unless_that_is_said(
    words: list[str], namespace: str, attributes: int
) -> None:
    mount = Mount(destination="/c", type="cgroup", options=words)
    spaces = Namespaces(cgroup=namespace)
    assert steps_of(mount, namespaces=spaces) == [
        s.MountCgroups(b"/c", attributes, namespace == "new", False)
    ]


def test_where_the_hosts_sysfs_is_shown_its_cgroups_are_hidden() -> None:
    sysfs = Mount(destination="/sys", type="sysfs", options=["ro"])
    settings = {**OWNED, "namespaces": Namespaces(user="new", network="host")}
    steps = steps_of(sysfs, **settings)
    assert [type(step) for step in steps] == [s.Bind, s.Mask]
    assert steps[1] == s.Mask((b"/sys/fs/cgroup",))


def test_devices_of_a_user_namespace_come_from_their_host_paths() -> None:
    devices = [
        Device(path="/dev/a", major=1, minor=3, host_path="/dev/null"),
        Device(path="/dev/b", major=1, minor=5),
    ]
    config = Config(rootfs="/x", system_devices=[], devices=devices, **OWNED)
    (step,) = (x for x in file_system(config) if isinstance(x, s.BindNodes))
    assert [node[-1] for node in step.nodes] == [b"/dev/null", b"/dev/b"]


# -- on a running container ------------------------------------------------------------


def test_the_source_is_opened_before_the_container_is_joined() -> None:
    frame = plans.frame(with_mounts())
    kinds = [type(step) for step in hot.mount(frame, bound("ro")).steps]
    assert kinds == [s.KeepProc, s.PrepareTree, s.JoinContainer, s.AttachTree, s.Finish]


def test_a_new_file_system_is_made_with_the_containers_rights() -> None:
    frame = plans.frame(with_mounts(**OWNED))
    steps = hot.mount(frame, Mount.tmpfs("/t")).steps
    assert [type(step) for step in steps] == [
        *(s.KeepProc, s.JoinContainer, s.BeRootOfUserNamespace),
        *(s.MountFilesystem, s.Finish),
    ]


def test_it_joins_the_mounts_and_who_owns_them_and_nothing_else() -> None:
    for settings, kinds in (({}, 0x0002_0000), (OWNED, 0x1002_0000)):
        plan = hot.unmount(plans.frame(with_mounts(**settings)), "/t", 0)
        (join,) = (x for x in plan.steps if isinstance(x, s.JoinContainer))
        assert join.kinds == kinds
        assert plan.clone_flags == 0
        assert plan.pid_namespace is None


def test_attributes_of_the_host_are_locked_where_a_user_namespace_owns_the_mounts() -> (
    None
):
    for settings in ({}, OWNED):
        plan = hot.mount(plans.frame(with_mounts(**settings)), bound())
        (tree,) = (x for x in plan.steps if isinstance(x, s.PrepareTree))
        assert tree.locked == bool(settings)
        assert tree.propagation == 1 << 18


@pytest.mark.parametrize(
    "mount",
    [
        pytest.param(Mount(destination="/proc", type="proc"), id="proc"),
        pytest.param(Mount(destination="/m", type="sysfs"), id="sysfs"),
        pytest.param(Mount(destination="/m", type="mqueue"), id="mqueue"),
        pytest.param(Mount(destination="/m", type="cgroup"), id="cgroup"),
        pytest.param(bound(relabel="z"), id="relabelled"),
        pytest.param(
            bound(premount_commands=[MountCommand(path="/bin/true")]), id="commands"
        ),
    ],
)
def test_what_has_to_be_there_from_the_start_is_refused(mount: Mount) -> None:
    with pytest.raises(UnsupportedFeature):
        hot.mount(plans.frame(with_mounts()), mount)


def test_nothing_special_takes_no_step_on_the_host() -> None:
    assert not list(of_host(Config(rootfs="/x"), None))
    assert not list(of_host(Config(rootfs="/x", **OWNED), None))
