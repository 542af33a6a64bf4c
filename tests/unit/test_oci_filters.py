"""Filters keep their meaning on the way through OCI, which knows no order of rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocontainer.config import DEFAULT_SECCOMP, Config, Seccomp
from aiocontainer.config.oci.write_seccomp import complement
from aiocontainer.errors import UnsupportedFeature
from aiocontainer.plan.filters import compile_filter

from ..support.bpf import run as run_filter
from ..support.oci_documents import with_field


def ways(seccomp: Seccomp, caps: frozenset[str], calls: list[Any]) -> list[int]:
    program = compile_filter(seccomp, caps).bpf
    return [run_filter(program, X86_64, number, args) for number, args in calls]


X86_64 = 0xC000003E
IOCTL, CLONE, CLONE3, SOCKET, READ, REBOOT = 16, 56, 435, 41, 0, 169
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
CALLS: list[tuple[int, tuple[int, ...]]] = [
    *((IOCTL, (0, request)) for request in (TIOCSTI, TIOCLINUX, 0x5413, 0x5401, 0)),
    *((IOCTL, (0, request | 1 << 32)) for request in (TIOCSTI, TIOCLINUX, 0x5413)),
    *((IOCTL, (0, TIOCSTI ^ 1 << n)) for n in range(32)),
    *((IOCTL, (0, TIOCLINUX ^ 1 << n)) for n in range(32)),
    *((CLONE, (flags,)) for flags in (0, 0x11, 0x10000000, 0x7E020000)),
    *((SOCKET, (family,)) for family in (0, 1, 2, 10, 16, 17, 38, 40)),
    (CLONE3, ()),
    (READ, ()),
    (REBOOT, ()),
]


@pytest.mark.parametrize("caps", [(), ("CAP_SYS_ADMIN", "CAP_SYS_BOOT")])
def test_the_default_filter_decides_the_same_after_the_way_through_oci(
    caps: tuple[str, ...],
) -> None:
    config = Config(
        rootfs="/x", capabilities={"bounding": caps}, seccomp=DEFAULT_SECCOMP
    )
    again = Config.from_oci(config.to_oci()).seccomp
    assert again is not None
    held = frozenset(caps)
    assert ways(again, frozenset(), CALLS) == ways(DEFAULT_SECCOMP, held, CALLS)


def test_no_two_rules_of_a_written_filter_hold_at_once() -> None:
    document = Config(rootfs="/x").to_oci()["linux"]["seccomp"]
    rules = [r for r in document["syscalls"] if "ioctl" in r["names"]]
    assert rules
    for request in (0, TIOCSTI, TIOCLINUX, 0x5413, 2**32 - 1):
        holding = [
            rule
            for rule in rules
            if request & rule["args"][0]["value"] == rule["args"][0]["valueTwo"]
        ]
        assert len(holding) == (request not in (TIOCSTI, TIOCLINUX))


@given(
    st.integers(0, 2**64 - 1),
    st.sets(st.integers(0, 2**64 - 1), max_size=4),
    st.integers(0, 2**64 - 1),
)
def test_a_complement_is_exact_and_without_overlap(
    mask: int, excluded: set[int], number: int
) -> None:
    values = {value & mask for value in excluded}
    for tried in (number, *excluded, *(v ^ 1 for v in values)):
        fitting = [v for bits, v in complement(mask, values) if tried & bits == v]
        assert len(fitting) == (tried & mask not in values)


def test_rules_that_need_an_order_are_refused() -> None:
    condition = {"index": 0, "op": "LT", "value": 5}
    rules = [
        {"names": ["read"], "action": "LOG", "args": [condition]},
        {"names": ["read"], "action": "ALLOW"},
    ]
    config = Config(rootfs="/x", seccomp={"syscalls": rules})
    with pytest.raises(UnsupportedFeature, match="order the rules of read"):
        config.to_oci()
    twice = [{**rules[0], "args": [condition, {**condition, "op": "GT", "value": 1}]}]
    config = Config(rootfs="/x", seccomp={"syscalls": twice})
    with pytest.raises(UnsupportedFeature, match="two conditions on one argument"):
        config.to_oci()


def test_a_rule_hidden_by_an_earlier_one_is_not_written() -> None:
    rules = [
        {"names": ["read"], "action": "ERRNO"},
        {"names": ["read", "write"], "action": "ALLOW"},
    ]
    seccomp = Config(rootfs="/x", seccomp={"syscalls": rules}).to_oci()["linux"]
    assert seccomp["seccomp"]["syscalls"] == [
        {"names": ["write"], "action": "SCMP_ACT_ALLOW"}
    ]


READ_5 = [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize(
    ("conditional", "plain", "stays"),
    [
        # Where the common runtimes would refuse all, no condition permits some.
        ("ALLOW", "KILL_PROCESS", False),
        ("LOG", "TRAP", False),
        ("KILL_PROCESS", "ALLOW", True),
        ("ALLOW", "ALLOW", True),
    ],
)
def test_a_rule_without_conditions_is_not_weakened_by_one_with_some(
    conditional: str, plain: str, stays: bool, late: bool
) -> None:
    rules = [
        {"names": ["read"], "action": f"SCMP_ACT_{conditional}", "args": READ_5},
        {"names": ["read", "write"], "action": f"SCMP_ACT_{plain}"},
    ]
    document = with_field(
        "linux.seccomp",
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": list(reversed(rules)) if late else rules,
        },
    )
    found = Config.from_oci(document).seccomp
    assert found is not None
    assert len(found.syscalls) == 1 + stays
