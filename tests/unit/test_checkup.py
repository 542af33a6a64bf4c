"""What facts of a machine mean: each lack has a cause and a cure."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from aiocontainer.checkup import Finding, Machine, judge, render
from aiocontainer.checkup.machine import Answer, Cgroups
from aiocontainer.plan.host import HostFacts
from aiocontainer.plan.users import IdFacts

NAMES = "user_namespace proc_mount sysfs_mount overlay seccomp seccomp_notify landlock"
NAMES += " clone3 memfd_exec mount_namespace pid_namespace uts_namespace ipc_namespace"
NAMES += " network_namespace cgroup_namespace time_namespace"
CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma")

ROOT_FACTS = replace(
    HostFacts.read(), effective=-1, uid=0, real_uid=0, no_new_privs=False
)
USER_FACTS = replace(ROOT_FACTS, effective=0, uid=1000, real_uid=1000)
RANGES = ((100_000, 65_536),)

ROOT = Machine(
    kernel="6.12.3-amd64",
    host=ROOT_FACTS,
    ids=IdFacts(RANGES, RANGES, "/usr/bin/newuidmap", "/usr/bin/newgidmap"),
    probes=dict.fromkeys(NAMES.split(), Answer()),
    sysctls={"user/max_user_namespaces": "1000"},
    programs={
        "pasta": "/usr/bin/pasta",
        "slirp4netns": "/s",
        "criu": "/c",
        "nft": "/n",
    },
    lsms=frozenset({"apparmor", "selinux"}),
    cgroups=Cgroups(
        mode="v2",
        own="/sys/fs/cgroup/aiocontainer",
        kind=2,
        mounted=CONTROLLERS,
        within_reach=frozenset({*CONTROLLERS, "devices", "freezer"}),
        user_manager=False,
    ),
    runtime_directory=True,
)
USER = replace(ROOT, host=USER_FACTS)


def refused(machine: Machine, **codes: int) -> Machine:
    answers = {name: Answer(code, "call", "words") for name, code in codes.items()}
    return replace(machine, probes={**machine.probes, **answers})


def with_sysctl(machine: Machine, name: str, value: str) -> Machine:
    return replace(machine, sysctls={**machine.sysctls, name: value})


def without_cgroup(machine: Machine, **fields: Any) -> Machine:
    nothing: Mapping[str, Any] = {"kind": 0, "own": "", "within_reach": frozenset()}
    return replace(machine, cgroups=replace(machine.cgroups, **nothing, **fields))


def reach(machine: Machine, *controllers: str) -> Machine:
    cgroups = replace(machine.cgroups, within_reach=frozenset(controllers))
    return replace(machine, cgroups=cgroups)


def found(machine: Machine, name: str) -> Finding:
    (finding,) = (f for f in judge(machine) if f.name == name)
    return finding


def test_where_all_is_there_nothing_lacks() -> None:
    assert [f.name for f in judge(ROOT) if not f.works] == []
    assert [f.name for f in judge(ROOT) if f.cause] == []


def test_each_thing_is_told_once() -> None:
    names = [f.name for f in judge(ROOT)]
    assert len(names) == len(set(names))


NO_USERNS = refused(USER, user_namespace=errno.EPERM)
CLONE = "kernel/unprivileged_userns_clone"
APPARMOR = "kernel/apparmor_restrict_unprivileged_userns"
MAXIMUM = "user/max_user_namespaces"

LACKS: dict[str, tuple[Machine, str, str, str]] = {
    "old-kernel": (replace(ROOT, kernel="5.10.0-28"), "kernel", "5.12", "newer"),
    "userns-debian": (
        with_sysctl(NO_USERNS, CLONE, "0"),
        "userns",
        "unprivileged_userns_clone is 0",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    "userns-ubuntu": (
        with_sysctl(NO_USERNS, APPARMOR, "1"),
        "userns",
        "AppArmor",
        "profile",
    ),
    "userns-limit": (
        with_sysctl(refused(USER, user_namespace=errno.ENOSPC), MAXIMUM, "0"),
        "userns",
        "max_user_namespaces is 0",
        "sysctl user.max_user_namespaces=",
    ),
    "userns-not-built": (
        refused(USER, user_namespace=errno.EINVAL),
        "userns",
        "built without",
        "CONFIG_USER_NS",
    ),
    "userns-nested": (refused(USER, user_namespace=errno.EUSERS), "userns", "32", ""),
    "userns-filtered": (NO_USERNS, "userns", "filter", "seccomp="),
    "subuid": (
        replace(USER, ids=replace(USER.ids, uids=())),
        "userns.range",
        "/etc/subuid",
        "usermod --add-subuids",
    ),
    "newuidmap": (
        replace(USER, ids=replace(USER.ids, newuidmap=None)),
        "userns.range",
        "newuidmap",
        "install the package uidmap",
    ),
    "one-id-inside": (
        replace(
            ROOT,
            host=replace(ROOT.host, is_initial=False),
            ids=replace(ROOT.ids, own_uids=((0, 1),)),
        ),
        "userns.range",
        "has one id itself",
        "--map-auto",
    ),
    "no-new-privs": (
        replace(
            USER,
            host=replace(USER.host, no_new_privs=True),
            ids=replace(USER.ids, newuidmap=None),
        ),
        "userns.range",
        "no_new_privs",
        "NoNewPrivileges=no",
    ),
    "time": (
        refused(ROOT, time_namespace=errno.EINVAL),
        "timens",
        "built without",
        "CONFIG_TIME_NS",
    ),
    "namespaces-used-up": (
        refused(ROOT, network_namespace=errno.ENOSPC),
        "netns",
        "limit",
        "user.max_",
    ),
    "namespaces-without-userns": (
        refused(NO_USERNS, mount_namespace=errno.EPERM),
        "mountns",
        "user namespace",
        "see userns",
    ),
    "proc-covered": (refused(USER, proc_mount=errno.EPERM), "proc", "covered", "masks"),
    "sysfs-covered": (refused(USER, sysfs_mount=errno.EPERM), "sysfs", "/sys", ""),
    "overlay": (
        refused(ROOT, overlay=errno.ENODEV),
        "overlay",
        "built without",
        "modprobe overlay",
    ),
    "memfd": (
        with_sysctl(refused(USER, memfd_exec=errno.EACCES), "vm/memfd_noexec", "2"),
        "sealed",
        "vm.memfd_noexec is 2",
        "sysctl vm.memfd_noexec=1",
    ),
    "clone3": (refused(ROOT, clone3=errno.ENOSYS), "clone3", "filter", "profile"),
    "seccomp": (
        refused(ROOT, seccomp=errno.EINVAL),
        "seccomp",
        "built without",
        "CONFIG_SECCOMP_FILTER",
    ),
    "landlock-off": (
        refused(ROOT, landlock=errno.EOPNOTSUPP),
        "landlock",
        "active",
        "lsm=",
    ),
    "landlock-not-built": (
        refused(ROOT, landlock=errno.ENOSYS),
        "landlock",
        "built without",
        "CONFIG_SECURITY_LANDLOCK",
    ),
    "apparmor": (replace(ROOT, lsms=frozenset()), "apparmor", "active", "lsm="),
    "no-cgroups": (
        without_cgroup(ROOT, mode="none"),
        "cgroup",
        "mounted",
        "mount cgroup2",
    ),
    "cgroup-v1-user": (without_cgroup(USER, mode="v1"), "cgroup", "v1", "unified"),
    "cgroup-outside-manager": (
        without_cgroup(USER, user_manager=True),
        "cgroup",
        "manager",
        "systemd-run --user --scope",
    ),
    "cgroup-undelegated": (without_cgroup(USER), "cgroup", "delegated", "Delegate=yes"),
    "controller-undelegated": (
        reach(USER, "memory"),
        "cgroup.cpu",
        "delegated",
        "Delegate=cpu",
    ),
    "controller-not-passed-on": (
        reach(ROOT, "memory"),
        "cgroup.cpu",
        "passed on",
        "cgroup.subtree_control",
    ),
    "controller-not-there": (
        replace(
            ROOT,
            cgroups=replace(ROOT.cgroups, mounted=("cpu",), within_reach=frozenset()),
        ),
        "cgroup.memory",
        "no hierarchy",
        "cgroup_disable=memory",
    ),
    "device-rules": (reach(USER, "cpu"), "cgroup.devices", "CAP_BPF", "none is needed"),
    "pasta": (replace(ROOT, programs={}), "network.user", "pasta", "passt"),
    "criu": (replace(ROOT, programs={}), "checkpoint", "criu", "criu"),
    "runtime-directory": (
        replace(USER, runtime_directory=False),
        "state",
        "XDG_RUNTIME_DIR",
        "pam_systemd",
    ),
}


@pytest.mark.parametrize("case", LACKS)
def test_a_lack_has_its_cause_and_its_cure(case: str) -> None:
    machine, name, cause, cure = LACKS[case]
    finding = found(machine, name)
    assert not finding.works
    assert cause in finding.cause
    assert cure in finding.cure
    assert finding.cure


def test_what_the_unprivileged_need_is_a_note_for_root() -> None:
    lacking = refused(ROOT, user_namespace=errno.EPERM)
    assert not found(lacking, "userns").needed
    assert found(refused(USER, user_namespace=errno.EPERM), "userns").needed


def test_a_report_is_text_for_people_and_json_for_programs() -> None:
    findings = judge(refused(USER, user_namespace=errno.EPERM))
    text = render(findings)
    assert "  NO  userns" in text
    assert "cause: " in text
    assert max(map(len, text.splitlines())) <= 88
    told = json.loads(json.dumps([f.to_dict() for f in findings]))
    assert {"name", "works", "detail", "cause", "cure", "needed"} == set(told[0])
