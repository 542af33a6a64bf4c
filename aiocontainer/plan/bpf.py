"""Classic BPF for seccomp: instructions, conditions on arguments, decision trees.

A program here is a list of instructions whose jumps are relative and forward, so that
programs can be put one after the other.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from aiocontainer.config.seccomp import ArgRule

__all__ = (
    "INSTRUCTIONS_MAX",
    "LARGEST",
    "Instruction",
    "answer",
    "assemble",
    "choose",
    "condition",
    "dispatch",
    "returns",
)

INSTRUCTIONS_MAX: Final = 4096
"""BPF_MAXINSNS, of ``include/uapi/linux/bpf_common.h``."""

LARGEST: Final = 0xFFFF_FFFF

# Opcodes from include/uapi/linux/bpf_common.h, of those that seccomp accepts.
_LD_ABS: Final = 0x20
_AND: Final = 0x54
_JA: Final = 0x05
_JEQ: Final = 0x15
_JGT: Final = 0x25
_JGE: Final = 0x35
_RET: Final = 0x06
_RET_A: Final = 0x16
_ACTION: Final = 0xFFFF_0000
"""SECCOMP_RET_ACTION_FULL, of ``include/uapi/linux/seccomp.h``."""

# Offsets in struct seccomp_data, of include/uapi/linux/seccomp.h. The upper half of an
# argument comes last: all machines we compile for are little-endian.
_NUMBER: Final = 0
_ARCH: Final = 4
_ARGS: Final = 16


class Instruction(NamedTuple):
    """A ``struct sock_filter``."""

    code: int
    k: int
    jt: int = 0
    jf: int = 0


def assemble(program: Sequence[Instruction]) -> bytes:
    """The program as an array of ``struct sock_filter``."""
    return b"".join(struct.pack("=HBBI", i.code, i.jt, i.jf, i.k) for i in program)


def returns(program: bytes, value: int) -> bool:
    """Whether a program may end with this ``SECCOMP_RET_*``, whatever its data: a
    computed one may be any."""
    return any(
        code == _RET_A or (code == _RET and k & _ACTION == value)
        for code, _, _, k in struct.iter_unpack("=HBBI", program)
    )


def answer(value: int) -> list[Instruction]:
    """End with a ``SECCOMP_RET_*``."""
    return [Instruction(_RET, value)]


def dispatch(
    programs: Sequence[tuple[int, list[Instruction]]], otherwise: list[Instruction]
) -> list[Instruction]:
    """Run the program of the call's ``AUDIT_ARCH_*``.

    Numbers mean something else on each, so this has to come first.
    """
    rest = otherwise
    for arch, program in reversed(programs):
        body = [Instruction(_LD_ABS, _NUMBER), *program]
        rest = [*_branch(_JEQ, arch, body, rest)]
    return [Instruction(_LD_ABS, _ARCH), *rest]


def choose(ranges: Sequence[tuple[int, list[Instruction]]]) -> list[Instruction]:
    """A binary tree over the call's number, which is loaded.

    Args:
        ranges: first number of each range and what to do there, in order; the first
            begins at 0, each ends where the next begins.
    """
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = choose(ranges[:middle]), choose(ranges[middle:])
    return _branch(_JGE, ranges[middle][0], above, below)


def _branch(
    test: int, value: int, yes: list[Instruction], no: list[Instruction]
) -> list[Instruction]:
    """``no`` comes first; where it is longer than a conditional jump reaches (255), an
    unconditional one is put between."""
    if len(no) <= 255:
        return [Instruction(test, value, jt=len(no)), *no, *yes]
    return [Instruction(test, value, jf=1), Instruction(_JA, len(no)), *no, *yes]


def condition(args: Sequence[ArgRule], then: list[Instruction]) -> list[Instruction]:
    """``then`` if all conditions hold; else what follows."""
    program = then
    for arg in reversed(args):
        program = _compare(arg, program)
    return program


def _compare(arg: ArgRule, then: list[Instruction]) -> list[Instruction]:
    low, high = _halves(arg.value)
    load_low = Instruction(_LD_ABS, _ARGS + 8 * arg.index)
    load_high = Instruction(_LD_ABS, _ARGS + 8 * arg.index + 4)
    size = len(then)
    match arg.op:
        case "MASKED_EQ":
            return _masked(arg, load_low, load_high, then)
        case "EQ":
            tests = [
                load_high,
                Instruction(_JEQ, high, jf=2 + size),
                load_low,
                Instruction(_JEQ, low, jf=size),
            ]
        case "NE":
            tests = [
                load_high,
                Instruction(_JEQ, high, jf=2),
                load_low,
                Instruction(_JEQ, low, jt=size),
            ]
        case "GT" | "GE":
            last = _JGT if arg.op == "GT" else _JGE
            tests = [
                load_high,
                Instruction(_JGT, high, jt=3),
                Instruction(_JEQ, high, jf=2 + size),
                load_low,
                Instruction(last, low, jf=size),
            ]
        case "LT" | "LE":
            last = _JGE if arg.op == "LT" else _JGT
            tests = [
                load_high,
                Instruction(_JGT, high, jt=3 + size),
                Instruction(_JEQ, high, jf=2),
                load_low,
                Instruction(last, low, jt=size),
            ]
    return [*tests, *then]


def _masked(
    arg: ArgRule, load_low: Instruction, load_high: Instruction, then: list[Instruction]
) -> list[Instruction]:
    program = then
    masks, values = _halves(arg.value), _halves(arg.value_two)
    for load, mask, value in zip((load_low, load_high), masks, values, strict=True):
        if mask:
            test = Instruction(_JEQ, value, jf=len(program))
            mask_it = [] if mask == LARGEST else [Instruction(_AND, mask)]
            program = [load, *mask_it, test, *program]
    return program


def _halves(value: int) -> tuple[int, int]:
    return value & LARGEST, value >> 32
