"""The library's default filter, in the forms that the floor and the peers take."""

import os

from aiocontainer.config import (
    DEFAULT_CAPABILITIES,
    DEFAULT_SECCOMP,
    SyscallRule,
)
from aiocontainer.plan.filters import compile_filter

_ENTRIES = {"x86_64": ("X86_64", "X86"), "aarch64": ("AARCH64", "ARM")}


def bpf() -> bytes:
    """As the kernel takes it: the very bytes that our containers load."""
    return compile_filter(DEFAULT_SECCOMP, DEFAULT_CAPABILITIES.bounding).bpf


def oci() -> dict[str, object]:
    """As a bundle has it.

    Conditions that forbid a part of an otherwise allowed call are left out: libseccomp
    can't have both, and it is a few instructions.
    """
    entries = _ENTRIES.get(os.uname().machine, ())
    return {
        "defaultAction": f"SCMP_ACT_{DEFAULT_SECCOMP.default_action}",
        "architectures": [f"SCMP_ARCH_{entry}" for entry in entries],
        "syscalls": [_rule(rule) for rule in DEFAULT_SECCOMP.syscalls if _holds(rule)],
    }


def _holds(rule: SyscallRule) -> bool:
    if rule.action != "ALLOW" and rule.args:
        return False
    bounding = DEFAULT_CAPABILITIES.bounding
    return rule.when_capabilities <= bounding and not (
        rule.unless_capabilities & bounding
    )


def _rule(rule: SyscallRule) -> dict[str, object]:
    found: dict[str, object] = {
        "names": list(rule.names),
        "action": f"SCMP_ACT_{rule.action}",
    }
    if rule.errno is not None:
        found["errnoRet"] = rule.errno
    if rule.args:
        found["args"] = [
            {
                "index": arg.index,
                "value": arg.value,
                "valueTwo": arg.value_two,
                "op": f"SCMP_CMP_{arg.op}",
            }
            for arg in rule.args
        ]
    return found
