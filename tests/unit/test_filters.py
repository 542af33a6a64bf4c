"""Filters: what a compiled program answers, run by a small interpreter of BPF."""

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocontainer._sys import libseccomp
from aiocontainer.config import (
    DEFAULT_CAPABILITIES,
    DEFAULT_SECCOMP,
    ArgRule,
    Seccomp,
    SyscallRule,
)
from aiocontainer.errors import ConfigError, UnsupportedFeature
from aiocontainer.plan import bpf
from aiocontainer.plan.filters import CompiledFilter, compile_filter, compile_for
from aiocontainer.plan.syscalls import ABIS, NEWER, calls_of

from ..support.bpf import run

KERNEL = (6, 1)
ALLOW = 0x7FFF0000
EPERM = 0x00050001
ENOSYS = 0x00050026
LOG = 0x7FFC0000
X86_64 = ABIS["X86_64"].audit_arch
X86 = ABIS["X86"].audit_arch
AARCH64 = ABIS["AARCH64"].audit_arch
ARM = ABIS["ARM"].audit_arch


def number_of(name: str, abi: str) -> int:
    return next(iter(calls_of(ABIS[abi], name, libseccomp.resolve)))[0]


def default_for(machine: str = "x86_64", *capabilities: str) -> bytes:
    held = DEFAULT_CAPABILITIES.bounding.union(capabilities)
    return compile_for(DEFAULT_SECCOMP, held, machine, KERNEL).bpf


IOCTL = 16


def test_every_name_of_the_default_is_a_system_call_somewhere() -> None:
    names = {name for rule in DEFAULT_SECCOMP.syscalls for name in rule.names}
    known = {
        name
        for name in names
        for abi in ABIS.values()
        if any(calls_of(abi, name, libseccomp.resolve))
    }
    assert names - known <= {"riscv_hwprobe"}  # since libseccomp 2.6


def test_our_numbers_agree_with_libseccomp() -> None:
    for abi in (ABIS["X86_64"], ABIS["AARCH64"], ABIS["RISCV64"]):
        for name, number in NEWER.items():
            assert libseccomp.resolve(name, abi.token) in (number, None), name


def test_our_numbers_agree_with_the_kernel_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h")
    if not header.exists():
        pytest.skip("headers of x86 only")
    pairs = re.findall(r"__NR_(\w+) (\d+)", header.read_text())
    assert pairs
    for name, number in pairs:
        direct = [n for n, part in calls_of(ABIS["X86"], name, _resolve) if not part]
        assert direct in ([], [int(number)]), name
        assert direct or name not in ("socket", "shmget", "msgrcv")


def _resolve(name: str, token: int) -> int | None:
    return libseccomp.resolve(name, token)


def test_the_earlier_rule_counts() -> None:
    refuse = SyscallRule(
        names=("ioctl",), action="ERRNO", errno=13, args=(argument(1, "EQ", 7),)
    )
    allow = SyscallRule(names=("ioctl",))
    first = compiled(refuse, allow)
    assert run(first, X86_64, IOCTL, (0, 7)) == 0x0005000D
    assert run(first, X86_64, IOCTL, (0, 8)) == ALLOW
    assert run(compiled(allow, refuse), X86_64, IOCTL, (0, 7)) == ALLOW


def argument(index: int, op: str, value: int, two: int = 0) -> ArgRule:
    return ArgRule.model_validate(
        {"index": index, "op": op, "value": value, "value_two": two}
    )


def compiled(*rules: SyscallRule, **fields: object) -> bytes:
    profile = Seccomp.model_validate({"syscalls": rules, **fields})
    return compile_for(profile, frozenset(), "x86_64", KERNEL).bpf


@pytest.mark.parametrize("default", ["ALLOW", "LOG"])
def test_a_profile_that_permits_by_default_permits_newer_calls(default: str) -> None:
    program = compiled(default_action=default)
    assert run(program, X86_64, 2000) in (ALLOW, LOG)


@pytest.mark.parametrize("default", ["KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO"])
def test_a_profile_that_refuses_by_default_answers_enosys_to_newer_calls(
    default: str,
) -> None:
    program = compiled(SyscallRule(names=("read",)), default_action=default)
    assert run(program, X86_64, 2000) == ENOSYS
    assert run(program, X86_64, 423) != ENOSYS


def test_a_profile_of_old_does_not_make_old_calls_look_new() -> None:
    program = compiled(SyscallRule(names=("read",)))
    assert run(program, X86_64, number_of("execveat", "X86_64")) == EPERM
    assert run(program, X86_64, number_of("clone3", "X86_64")) == ENOSYS


def test_x32_has_rules_of_its_own_when_asked_for() -> None:
    program = compiled(
        SyscallRule(names=("read", "execve")), architectures=("X86_64", "X32")
    )
    assert run(program, X86_64, 0x40000000) == ALLOW
    assert run(program, X86_64, 0x40000000 | 520) == ALLOW
    assert run(program, X86_64, 0x40000000 | 59) == EPERM
    assert run(program, X86_64, 59) == ALLOW


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, 0),
        ({"flags": ("TSYNC",)}, 0),
        ({"flags": ("LOG", "SPEC_ALLOW")}, 6),
        ({"flags": ("WAIT_KILLABLE_RECV",)}, 0),
    ],
)
def test_flags_are_those_of_the_kernel(fields: dict[str, object], wanted: int) -> None:
    profile = Seccomp.model_validate(fields)
    assert compile_filter(profile, frozenset()).flags == wanted


def test_a_notifying_rule_asks_for_a_listener() -> None:
    rule = SyscallRule(names=("mkdir",), action="NOTIFY")
    profile = Seccomp(syscalls=(rule,), flags=("WAIT_KILLABLE_RECV",))
    assert compile_filter(profile, frozenset()).flags == 8 | 32


@pytest.mark.covers("cache of compiled filters")
def test_equal_questions_are_compiled_once() -> None:
    one = compile_filter(DEFAULT_SECCOMP, frozenset({"CAP_CHOWN"}))
    copy = Seccomp.model_validate_json(DEFAULT_SECCOMP.model_dump_json())
    assert compile_filter(copy, frozenset({"CAP_KILL"})) is one


def test_too_long_a_filter_is_refused_before_the_kernel_does() -> None:
    rules = [
        SyscallRule(names=("read",), args=(argument(0, "EQ", n),)) for n in range(1000)
    ]
    with pytest.raises(ConfigError, match="too long"):
        compiled(*rules)


def test_a_machine_without_tables_is_said_to_be_so() -> None:
    with pytest.raises(UnsupportedFeature, match="vax"):
        compile_for(DEFAULT_SECCOMP, frozenset(), "vax", KERNEL)


def test_a_missing_libseccomp_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libseccomp, "_SONAME", "libnothing.so.2")
    libseccomp._library.cache_clear()
    profile = Seccomp(syscalls=(SyscallRule(names=("getpid",)),))
    with pytest.raises(UnsupportedFeature) as caught:
        compile_filter(profile, frozenset())
    libseccomp._library.cache_clear()
    assert "libseccomp2" in str(caught.value.hint)


def test_a_whole_filter_is_well_formed() -> None:
    for machine in ("x86_64", "aarch64", "riscv64", "ppc64le"):
        program = default_for(machine)
        code = list(struct.iter_unpack("=HBBI", program))
        assert len(code) < bpf.INSTRUCTIONS_MAX
        assert code[-1][0] == 0x06
        for at, (op, jt, jf, k) in enumerate(code):
            jump = k if op == 0x05 else max(jt, jf)
            assert at + 1 + jump < len(code) or op == 0x06


def test_the_result_is_immutable() -> None:
    with pytest.raises(AttributeError):
        CompiledFilter(b"", 0).flags = 1  # type: ignore[misc]


# Anything the compiler may do wrong shows against this plain reading of the model.

NAMES = ["read", "write", "openat", "ioctl", "clone3", "mseal"]
NUMBERS = {name: number_of(name, "X86_64") for name in NAMES}
EDGES = sorted({0, 1, 5, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**63, 2**64 - 1})


def holds(arg: ArgRule, args: tuple[int, ...]) -> bool:
    actual = args[arg.index]
    return {
        "EQ": actual == arg.value,
        "NE": actual != arg.value,
        "LT": actual < arg.value,
        "LE": actual <= arg.value,
        "GT": actual > arg.value,
        "GE": actual >= arg.value,
        "MASKED_EQ": actual & arg.value == arg.value_two,
    }[arg.op]


RETURNS = {
    "ALLOW": ALLOW,
    "LOG": LOG,
    "KILL_PROCESS": 0x80000000,
    "KILL_THREAD": 0,
    "TRAP": 0x00030000,
}


def expected(profile: Seccomp, name: str, args: tuple[int, ...]) -> int:
    for rule in profile.syscalls:
        if name in rule.names and all(holds(arg, args) for arg in rule.args):
            return RETURNS.get(rule.action, 0x00050000 | (rule.errno or 1))
    return RETURNS.get(profile.default_action, EPERM)


@st.composite
def argument_rules(draw: st.DrawFn) -> ArgRule:
    op = draw(st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"]))
    value = draw(st.sampled_from(EDGES))
    two = draw(st.sampled_from(EDGES)) & value if op == "MASKED_EQ" else 0
    return argument(draw(st.integers(0, 5)), op, value, two)


@st.composite
def rules(draw: st.DrawFn) -> SyscallRule:
    action = draw(st.sampled_from([*RETURNS, "ERRNO"]))
    return SyscallRule.model_validate(
        {
            "names": draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)),
            "action": action,
            "errno": draw(st.integers(2, 4095)) if action == "ERRNO" else None,
            "args": draw(st.lists(argument_rules(), max_size=4)),
        }
    )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(rules(), max_size=8),
    st.sampled_from([*RETURNS, "ERRNO"]),
    st.lists(st.tuples(*[st.sampled_from(EDGES)] * 6), min_size=1, max_size=10),
)
def test_a_compiled_filter_answers_as_the_model_reads(
    chosen: list[SyscallRule], default: str, calls: list[tuple[int, ...]]
) -> None:
    everything = SyscallRule(names=tuple(NAMES), action="LOG")
    fields = {"default_action": default, "syscalls": (*chosen, everything)}
    profile = Seccomp.model_validate(fields)
    program = compile_for(profile, frozenset(), "x86_64", KERNEL).bpf
    for name, number in NUMBERS.items():
        for args in calls:
            assert run(program, X86_64, number, args) == expected(profile, name, args)
