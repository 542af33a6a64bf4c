"""Device rules of v2 in the kernel; also on a hybrid machine, by its cgroup2 mount."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from aiocontainer._sys import bpf
from aiocontainer.cgroups import Cgroup
from aiocontainer.config import DeviceRule, Resources
from aiocontainer.config.resources import DEFAULT_DEVICE_RULES
from tests.support.cgroups import group_for_test, python, run_inside

pytestmark = [pytest.mark.needs("root"), pytest.mark.needs("cgroup-v2")]

TRY = """
import os, sys
modes = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}
for path, mode in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        os.close(os.open(path, modes[mode]))
        print("yes")
    except PermissionError:
        print("no")
"""


@pytest.fixture
def group() -> Iterator[Cgroup]:
    with group_for_test(mode="v2") as made:
        yield made


def answers(group: Cgroup, *opened: str) -> list[str]:
    status, output = run_inside(group, *python(TRY), *opened)
    assert status == 0, output
    return output.split()


def rule(allow: bool, minor: int, access: str) -> DeviceRule:
    return DeviceRule(allow=allow, type="c", major=1, minor=minor, access=access)


DENY = DeviceRule(allow=False)
NULL, ZERO, FULL = "/dev/null", "/dev/zero", "/dev/full"


@pytest.mark.covers("device rules by eBPF", "cgroup v2", where="guest")
def test_only_what_the_rules_allow_can_be_opened(group: Cgroup) -> None:
    group.apply(Resources(devices=(DENY, rule(True, 3, "rw"), rule(True, 5, "r"))))
    assert "devices" in group.paths
    assert answers(group, NULL, "rw", ZERO, "r", ZERO, "rw", FULL, "r") == [
        *("yes", "yes", "no", "no"),
    ]


def test_without_a_rule_for_all_the_others_are_allowed(group: Cgroup) -> None:
    group.apply(Resources(devices=(rule(False, 5, "w"),)))
    assert answers(group, ZERO, "r", ZERO, "w", FULL, "rw") == ["yes", "no", "yes"]


def test_an_update_replaces_the_program_and_leaves_one(group: Cgroup) -> None:
    group.apply(Resources(devices=(DENY, rule(True, 3, "rw"))))
    group.update(Resources(devices=(DENY, rule(True, 5, "rw"))))
    assert answers(group, NULL, "r", ZERO, "r") == ["no", "yes"]
    assert group.unified is not None
    directory = os.open(group.unified, os.O_RDONLY)
    programs = bpf.attached(directory, bpf.BPF_CGROUP_DEVICE)
    names = [bpf.name_of(program) for program in programs]
    for fd in (directory, *programs):
        os.close(fd)
    assert names == ["aiocontainer"]


def test_programs_of_others_stay_and_both_must_agree(group: Cgroup) -> None:
    assert group.unified is not None
    from aiocontainer.cgroups.v2.devices import compile_rules

    code = compile_rules((rule(False, 5, "rwm"),))
    program = bpf.load(bpf.BPF_PROG_TYPE_CGROUP_DEVICE, code, "stranger")
    directory = os.open(group.unified, os.O_RDONLY)
    bpf.attach(directory, program, bpf.BPF_CGROUP_DEVICE)
    group.apply(Resources(devices=(rule(False, 7, "rwm"),)))
    assert answers(group, NULL, "r", ZERO, "r", FULL, "r") == ["yes", "no", "no"]
    programs = bpf.attached(directory, bpf.BPF_CGROUP_DEVICE)
    names = {bpf.name_of(attached) for attached in programs}
    for fd in (directory, program, *programs):
        os.close(fd)
    assert names == {"stranger", "aiocontainer"}


def test_rules_hold_in_cgroups_below(group: Cgroup) -> None:
    child = group.child("run", nested=True)
    child.create()
    group.apply(Resources(devices=(DENY, rule(True, 3, "rw"))))
    assert answers(child, NULL, "r", ZERO, "r") == ["yes", "no"]


def test_the_default_rules_pass_the_verifier(group: Cgroup) -> None:
    group.apply(Resources(devices=DEFAULT_DEVICE_RULES))
    assert answers(group, NULL, "rw", ZERO, "rw", FULL, "rw") == ["yes"] * 3


def test_a_program_that_the_verifier_refuses_comes_with_its_words() -> None:
    with pytest.raises(PermissionError) as caught:
        bpf.load(bpf.BPF_PROG_TYPE_CGROUP_DEVICE, bpf.instruction(0x95), "broken")
    assert any("R0 !read_ok" in note for note in caught.value.__notes__)
