"""v2 device rules: a program that the kernel asks at every open and mknod.

The last rule that matches counts, for each kind of access by itself. So the program
goes through the rules from the last to the first, and keeps in ``r3`` the accesses
that none has decided yet:

    allow rule: take its accesses off r3; nothing left? then yes
    deny rule:  does it touch what is left in r3? then no
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..._sys import bpf
from ..._sys.bpf import instruction
from ..._sys.libc import call
from ...errors import CgroupError

if TYPE_CHECKING:
    from ...config import DeviceRule

__all__ = ("apply", "compile_rules")

_NAME: Final = "aiocontainer"

# BPF_CLASS | BPF_SIZE or BPF_OP | BPF_MODE or BPF_SRC, as in
# Documentation/bpf/standardization/instruction-set.rst.
_LDX_W: Final = 0x61
_MOV_K: Final = 0xB7
_MOV_X: Final = 0xBF
_AND_K: Final = 0x57
_RSH_K: Final = 0x77
_JEQ_K: Final = 0x15
_JNE_K: Final = 0x55
_EXIT: Final = 0x95

_VERDICT, _CONTEXT, _TYPE, _LEFT, _MAJOR, _MINOR, _TOUCHED = range(7)
"""Registers; the context comes in r1, the verdict goes out in r0."""

_TYPES: Final = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_ACCESS: Final = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*


def compile_rules(rules: Sequence[DeviceRule]) -> bytes:
    """The program of some rules; what none of them matches is allowed."""
    # struct bpf_cgroup_dev_ctx: access << 16 | type, then major and minor.
    parts = [
        instruction(_LDX_W, _TYPE, _CONTEXT, 0),
        instruction(_MOV_X, _LEFT, _TYPE),
        instruction(_AND_K, _TYPE, value=0xFFFF),
        instruction(_RSH_K, _LEFT, value=16),
        instruction(_LDX_W, _MAJOR, _CONTEXT, 4),
        instruction(_LDX_W, _MINOR, _CONTEXT, 8),
    ]
    for rule in reversed(rules):
        parts.append(_rule(rule))
        if _matches_all(rule):  # the verifier refuses code that is never reached
            return b"".join(parts)
    return b"".join((*parts, _answer(allow=True)))


def _matches_all(rule: DeviceRule) -> bool:
    return rule.type == "a" and len(rule.access) == len(_ACCESS)


def _answer(*, allow: bool) -> bytes:
    return instruction(_MOV_K, _VERDICT, value=int(allow)) + instruction(_EXIT)


def _rule(rule: DeviceRule) -> bytes:
    body = _decide(rule)
    tests = []
    if rule.type != "a":
        tests.append((_TYPE, _TYPES[rule.type]))
    if rule.major is not None:
        tests.append((_MAJOR, rule.major))
    if rule.minor is not None:
        tests.append((_MINOR, rule.minor))
    code = body
    for register, value in reversed(tests):
        skip = len(code) // 8
        code = instruction(_JNE_K, register, offset=skip, value=value) + code
    return code


def _decide(rule: DeviceRule) -> bytes:
    """What is done for a device that matches."""
    answer = _answer(allow=rule.allow)
    access = sum(_ACCESS[letter] for letter in rule.access)
    if access == sum(_ACCESS.values()):
        return answer
    skip = len(answer) // 8
    if rule.allow:
        take_off = instruction(_AND_K, _LEFT, value=~access)
        return take_off + instruction(_JNE_K, _LEFT, offset=skip) + answer
    touched = instruction(_MOV_X, _TOUCHED, _LEFT)
    touched += instruction(_AND_K, _TOUCHED, value=access)
    return touched + instruction(_JEQ_K, _TOUCHED, offset=skip) + answer


def apply(directory: str, rules: Sequence[DeviceRule]) -> bool:
    """Put rules in force, in place of those that were put here before, at once.

    Returns:
        Whether this user may. Without it there is also no making of device nodes.

    Raises:
        CgroupError: the kernel refused for another reason.
    """
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        cgroup = call("open", os.open, directory, flags)
        try:
            _attach(cgroup, compile_rules(rules))
        finally:
            os.close(cgroup)
    except OSError as error:
        # Not EACCES: that is how the verifier refuses a program.
        if error.errno in (errno.EPERM, errno.ENOSYS):
            return False
        reason = f"device rules were refused: {error.strerror}"
        raise CgroupError(directory, reason) from error
    return True


def _attach(cgroup: int, code: bytes) -> None:
    program = bpf.load(bpf.BPF_PROG_TYPE_CGROUP_DEVICE, code, _NAME)
    present: list[int] = []
    try:
        present = bpf.attached(cgroup, bpf.BPF_CGROUP_DEVICE)
        # Others may have programs here, as systemd does for a DevicePolicy.
        ours = next((fd for fd in present if bpf.name_of(fd) == _NAME), None)
        bpf.attach(cgroup, program, bpf.BPF_CGROUP_DEVICE, ours)
    finally:
        for fd in (program, *present):
            os.close(fd)
