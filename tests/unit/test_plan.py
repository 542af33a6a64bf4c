"""Plans: pure, printable, and in an order that has reasons."""

from pathlib import Path

import pytest

from aiocontainer import Capabilities, Config, IdMapping, Mount, Namespaces, Rootfs
from aiocontainer.config import override
from aiocontainer.errors import ConfigError
from aiocontainer.plan import compile as plans
from aiocontainer.plan import steps as s
from aiocontainer.plan.host import HostFacts
from aiocontainer.plan.settle import settle

STDIO = ((0, 1), (1, 2), (2, 3))
TRUE = plans.Program(("true",), STDIO)


def first(config: Config, program: plans.Program = TRUE, **changes: object):
    settings = override(config, **changes) if changes else config
    return plans.first(plans.frame(config), "name", settings, program)


def order(plan: plans.Plan) -> list[type[s.Step]]:
    return [type(step) for step in plan.steps]


def comes_before(plan: plans.Plan, *kinds: type[s.Step]) -> bool:
    places = [order(plan).index(kind) for kind in kinds]
    return places == sorted(places)


def test_the_cgroup_is_joined_before_its_namespace_is_made() -> None:
    # A cgroup namespace takes the cgroup of its maker as its root.
    assert comes_before(first(Config(rootfs="/x")), s.JoinCgroups, s.Unshare)


def test_nothing_is_mounted_before_propagation_is_cut() -> None:
    plan = first(Config(rootfs="/x"))
    assert comes_before(plan, s.SetPropagation, s.RootDirectory, s.MountFilesystem)


def test_what_is_masked_is_mounted_first_and_the_root_is_left_after() -> None:
    plan = first(Config(rootfs="/x"))
    assert comes_before(plan, s.MountFilesystem, s.MakeReadonly, s.Mask, s.Pivot)


def test_users_are_looked_up_in_the_containers_files_alone() -> None:
    assert comes_before(first(Config(rootfs="/x")), s.Pivot, s.FindUser)


def test_with_no_new_privs_the_filter_is_loaded_last_of_all() -> None:
    plan = first(Config(rootfs="/x"))
    assert s.LoadFilter not in order(plan)
    assert isinstance(plan.steps[-1], s.Execute)
    assert plan.steps[-1].bpf


def test_without_it_the_filter_is_loaded_while_there_is_privilege() -> None:
    plan = first(Config(rootfs="/x", no_new_privs=False))
    assert comes_before(plan, s.LoadFilter, s.ChangeIdentity, s.Execute)
    assert plan.steps[-1].bpf is None


def test_limits_are_raised_before_the_right_to_do_so_is_given_up() -> None:
    plan = first(Config(rootfs="/x", rlimits={"nofile": 100}))
    assert comes_before(plan, s.RaiseLimits, s.ChangeIdentity, s.Execute)


def test_a_readonly_root_is_made_so_after_all_else_was_made_in_it() -> None:
    plan = first(Config(rootfs=Rootfs.directory("/x", readonly=True)))
    assert comes_before(plan, s.MountFilesystem, s.Mask, s.RootAttributes)


def test_a_readonly_tmpfs_is_filled_before_it_is_readonly() -> None:
    mounts = (
        Mount(destination="/t", source="tmpfs", type="tmpfs", options=("ro",)),
        Mount.bind("/etc/hosts", "/t/hosts"),
    )
    plan = first(Config(rootfs="/x", mounts=mounts))
    destinations = [
        (type(step), step.destination)
        for step in plan.steps
        if getattr(step, "destination", b"").startswith(b"/t")
    ]
    assert destinations == [
        (s.MountFilesystem, b"/t"),
        (s.Bind, b"/t/hosts"),
        (s.ChangeAttributes, b"/t"),
    ]


def test_a_user_namespace_has_its_maps_written_before_the_child_goes_on() -> None:
    mapping = (IdMapping(container_id=0, host_id=100000, size=65536),)
    config = Config(
        rootfs="/x",
        namespaces=Namespaces(user="new"),
        uid_mappings=mapping,
        gid_mappings=mapping,
    )
    plan = first(config)
    assert dict(plan.proc_files) == {
        "gid_map": b"0 100000 65536\n",
        "uid_map": b"0 100000 65536\n",
    }
    assert comes_before(plan, s.BeRootOfUserNamespace, s.RootDirectory)
    assert s.MakeNodes not in order(plan), "mknod is refused in a user namespace"


def test_a_later_process_gets_what_the_first_got_but_no_file_system() -> None:
    config = Config(rootfs="/x")
    frame = plans.frame(config)
    plan = plans.join(frame, config, TRUE, 4)
    assert plan.clone_flags == 0
    assert s.JoinContainer in order(plan)
    assert not {s.RootDirectory, s.MountFilesystem, s.Mask} & set(order(plan))
    alike = (s.NoNewPrivs, s.ChangeIdentity, s.Execute)
    own = [step for step in first(config).steps if isinstance(step, alike)]
    assert [step for step in plan.steps if isinstance(step, alike)] == own


def test_dropping_leaves_only_what_was_asked_for() -> None:
    config = Config(rootfs="/x", capabilities=Capabilities.of("CAP_KILL"))
    (identity,) = (x for x in first(config).steps if isinstance(x, s.ChangeIdentity))
    assert identity.effective == identity.permitted == 1 << 5
    assert identity.drop_bounding == HostFacts.read().capabilities & ~(1 << 5)


def test_a_plan_can_be_read() -> None:
    text = first(Config(rootfs="/srv/x")).describe()
    assert "root directory /srv/x" in text
    assert "mount filesystem proc on /proc" in text
    assert text.endswith("execute true")


def test_a_plan_is_made_of_plain_values() -> None:
    plain = (int, bytes, str, bool, type(None))

    def check(value: object) -> None:
        if isinstance(value, tuple):
            for item in value:
                check(item)
        else:
            assert type(value) in plain, value

    check(first(Config(rootfs="/x", rlimits={"nofile": 9}, groups=("a", 3))).wire)


def test_the_same_config_is_compiled_once() -> None:
    config = Config(rootfs="/x")
    assert plans.frame(config) is plans.frame(config)
    assert settle(config) is settle(config)
    assert plans.frame(config) is not plans.frame(Config(rootfs="/x"))


def test_the_hosts_mounts_cant_be_the_containers(tmp_path: Path) -> None:
    config = Config(
        rootfs=tmp_path,
        namespaces=Namespaces(mount="host"),
        system_mounts=(),
        masked_paths=(),
        readonly_paths=(),
    )
    with pytest.raises(ConfigError) as refused:
        plans.frame(config)
    assert refused.value.field == "namespaces.mount"
