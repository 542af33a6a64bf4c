"""`aiocontainer.doctor`, on this machine, as root and as somebody else."""

from __future__ import annotations

import os
from typing import Any

import aiocontainer
from tests.support.capabilities import lack, needs
from tests.support.unprivileged import NAMELESS, SUB_IDS, found_as

pytestmark = [needs("root", "mount-namespace")]

PROGRAM = """
import json
import aiocontainer
print(json.dumps([finding.to_dict() for finding in aiocontainer.doctor()]))
"""

SAME = {
    "mountns": "mount-namespace",
    "pidns": "pid-namespace",
    "utsns": "uts-namespace",
    "ipcns": "ipc-namespace",
    "netns": "network-namespace",
    "cgroupns": "cgroup-namespace",
    "timens": "time-namespace",
    "userns": "user-namespace",
    "overlay": "overlay",
    "seccomp": "seccomp",
    "landlock": "landlock",
}


def as_user(**options: Any) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in found_as(PROGRAM, **options)}


def test_it_finds_what_the_tests_find() -> None:
    findings = {finding.name: finding for finding in aiocontainer.doctor()}
    assert {name: findings[name].works for name in SAME} == {
        name: lack(probe) is None for name, probe in SAME.items()
    }
    assert all(finding.works for finding in findings.values() if finding.needed)


def test_nothing_is_changed_by_looking() -> None:
    before = sorted(os.listdir("/proc/self/task")), os.getcwd(), os.getpid()
    aiocontainer.doctor()
    assert (sorted(os.listdir("/proc/self/task")), os.getcwd(), os.getpid()) == before


@needs("user-namespace")
def test_a_user_is_told_of_the_ranges_that_lack() -> None:
    findings = as_user(uid=NAMELESS)
    assert findings["userns"]["works"]
    assert not findings["userns.range"]["works"]
    assert "newuidmap" in findings["userns.range"]["cause"] or (
        "/etc/subuid" in findings["userns.range"]["cause"]
    )
    assert not findings["privileges"]["works"]


@needs("user-namespace", "newuidmap")
def test_a_user_with_ranges_has_them() -> None:
    assert as_user(sub_ids=SUB_IDS)["userns.range"]["works"]


@needs("user-namespace")
def test_a_covered_proc_is_found_out() -> None:
    before = ["mount -t tmpfs none /proc/acpi || mount -t tmpfs none /proc/scsi"]
    findings = as_user(before=before)
    assert not findings["proc"]["works"]
    assert "covered" in findings["proc"]["cause"]
