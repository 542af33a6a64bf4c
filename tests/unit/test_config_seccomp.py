"""Filter profiles as Docker, Podman and the OCI runtime-spec write them."""

import json
from typing import Any

import pytest

from aiocontainer.config import ArgRule, Seccomp, SyscallRule
from aiocontainer.errors import ConfigError

DOCKER: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [
        {
            "architecture": "SCMP_ARCH_X86_64",
            "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        },
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
    ],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {
            "names": ["ptrace"],
            "action": "SCMP_ACT_ALLOW",
            "args": None,
            "comment": "",
            "includes": {"minKernel": "4.8"},
            "excludes": {},
        },
        {
            "names": ["mount"],
            "action": "SCMP_ACT_ALLOW",
            "includes": {"caps": ["CAP_SYS_ADMIN"]},
        },
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [
                {
                    "index": 0,
                    "value": 2114060288,
                    "valueTwo": 0,
                    "op": "SCMP_CMP_MASKED_EQ",
                }
            ],
            "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]},
        },
        {
            "names": ["clone3"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 38,
            "excludes": {"caps": ["CAP_SYS_ADMIN"]},
        },
        {
            "names": ["arch_prctl"],
            "action": "SCMP_ACT_ALLOW",
            "includes": {"arches": ["amd64", "x32"]},
        },
    ],
}


def test_a_docker_profile_is_read_with_its_conditions() -> None:
    profile = Seccomp.from_docker(json.dumps(DOCKER))
    assert profile.default_action == "ERRNO"
    assert profile.default_errno == 1
    assert profile.architectures == ("X86_64", "X86", "X32", "AARCH64")
    plain, ptrace, mount, clone, clone3, arch_prctl = profile.syscalls
    assert plain == SyscallRule(names=("read", "write"))
    assert ptrace.min_kernel == (4, 8)
    assert mount.when_capabilities == {"CAP_SYS_ADMIN"}
    assert clone.args == (ArgRule(index=0, op="MASKED_EQ", value=2114060288),)
    assert clone.unless_capabilities == {"CAP_SYS_ADMIN"}
    assert "S390X" not in clone.architectures
    assert "X86_64" in clone.architectures
    assert (clone3.action, clone3.errno) == ("ERRNO", 38)
    assert arch_prctl.architectures == ("X86_64", "X32")


@pytest.mark.parametrize("kind", [json.dumps, lambda d: json.dumps(d).encode(), dict])
def test_a_profile_may_be_text_bytes_or_read_already(kind: Any) -> None:
    assert Seccomp.from_docker(kind(DOCKER)) == Seccomp.from_docker(DOCKER)


def profile(*rules: dict[str, Any], **fields: Any) -> Seccomp:
    return Seccomp.from_docker(
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **fields}
    )


def test_podman_writes_errno_by_name_too() -> None:
    found = profile(
        {"names": ["a"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "errnoRet": 1},
        defaultErrno="ENOSYS",
        defaultErrnoRet=38,
    )
    assert found.default_errno == 38
    assert found.syscalls[0].errno == 1


def test_conditions_on_one_argument_are_alternatives() -> None:
    args = [{"index": 0, "value": n, "op": "SCMP_CMP_EQ"} for n in (1, 2)]
    found = profile({"names": ["a"], "action": "SCMP_ACT_ALLOW", "args": args})
    assert [rule.args[0].value for rule in found.syscalls] == [1, 2]


def test_conditions_on_two_arguments_hold_together() -> None:
    args = [{"index": n, "value": 1, "op": "SCMP_CMP_EQ"} for n in (0, 1)]
    found = profile({"names": ["a"], "action": "SCMP_ACT_ALLOW", "args": args})
    assert len(found.syscalls) == 1
    assert len(found.syscalls[0].args) == 2


def test_a_rule_that_says_what_the_default_says_hides_no_other() -> None:
    found = profile(
        {"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["a"], "action": "SCMP_ACT_ALLOW"},
    )
    assert [rule.action for rule in found.syscalls] == ["ALLOW"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("SCMP_ACT_KILL", "KILL_THREAD"),
        ("SCMP_ACT_KILL_PROCESS", "KILL_PROCESS"),
        ("SCMP_ACT_KILL_THREAD", "KILL_THREAD"),
        ("SCMP_ACT_TRAP", "TRAP"),
        ("SCMP_ACT_TRACE", "TRACE"),
        ("SCMP_ACT_LOG", "LOG"),
        ("SCMP_ACT_ALLOW", "ALLOW"),
        ("SCMP_ACT_NOTIFY", "NOTIFY"),
    ],
)
def test_every_action_of_the_spec_is_known(word: str, meant: str) -> None:
    assert profile({"names": ["a"], "action": word}).syscalls[0].action == meant


def test_the_rest_of_the_spec_is_read() -> None:
    found = profile(
        {"name": "old_spelling", "action": "SCMP_ACT_ALLOW"},
        architectures=["SCMP_ARCH_ARM"],
        flags=["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
        listenerPath="/run/agent.sock",
        listenerMetadata="x",
    )
    assert found.syscalls[0].names == ("old_spelling",)
    assert found.architectures == ("ARM",)
    assert found.flags == ("LOG", "TSYNC")
    assert (found.listener_path, found.listener_metadata) == ("/run/agent.sock", "x")


ALLOW = "SCMP_ACT_ALLOW"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        pytest.param("", "", id="no JSON"),
        pytest.param("[" * 100_000, "", id="too deep"),
        pytest.param("[]", "", id="a list"),
        pytest.param(b"\xff", "", id="no UTF-8"),
        pytest.param(7, "", id="a number"),
        pytest.param({}, "defaultAction", id="nothing"),
        pytest.param({"defaultAction": "ALLOW!"}, "defaultAction", id="action"),
        pytest.param({"defaultAction": ALLOW, "x": 1}, "x", id="unknown field"),
        pytest.param(
            {"defaultAction": ALLOW, "syscalls": {}}, "syscalls", id="syscalls"
        ),
        pytest.param(
            {"defaultAction": ALLOW, "syscalls": [1]}, "syscalls[0]", id="rule"
        ),
        pytest.param(
            {"defaultAction": ALLOW, "architectures": ["VAX"]},
            "architectures[0]",
            id="architecture",
        ),
        pytest.param(
            {"defaultAction": ALLOW, "syscalls": [{"names": ["a"]}]},
            "syscalls[0].action",
            id="no action",
        ),
        pytest.param(
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"action": ALLOW}]},
            "syscalls[0].names",
            id="no names",
        ),
        pytest.param(
            {
                "defaultAction": ALLOW,
                "syscalls": [
                    {"names": ["a"], "action": ALLOW, "includes": {"arches": ["vax"]}}
                ],
            },
            "syscalls[0].includes.arches[0]",
            id="machine",
        ),
        pytest.param(
            {
                "defaultAction": ALLOW,
                "syscalls": [
                    {"names": ["a"], "action": ALLOW, "includes": {"minKernel": "new"}}
                ],
            },
            "syscalls[0].includes.minKernel",
            id="kernel",
        ),
        pytest.param(
            {
                "defaultAction": ALLOW,
                "syscalls": [
                    {"names": ["a"], "action": "SCMP_ACT_ERRNO", "errno": "E"}
                ],
            },
            "syscalls[0].errno",
            id="errno",
        ),
    ],
)
def test_what_is_no_profile_is_a_config_error(wrong: Any, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Seccomp.from_docker(wrong)
    assert caught.value.field == field
