"""The program of device rules, run by a small interpreter of its instructions."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocontainer.cgroups.v2.devices import compile_rules
from aiocontainer.config import DeviceRule
from aiocontainer.config.resources import DEFAULT_DEVICE_RULES

TYPES = {"b": 1, "c": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}


def run(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """What the program answers, by the instructions that ours are made of."""
    code = list(struct.iter_unpack("=BBhi", program))
    wanted = sum(ACCESS[letter] for letter in access)
    context = {0: wanted << 16 | TYPES[kind], 4: major, 8: minor}
    registers = dict.fromkeys(range(7), 0)
    position = 0
    while True:
        opcode, numbers, offset, value = code[position]
        to, source = numbers & 15, numbers >> 4
        position += 1
        match opcode:
            case 0x61:
                registers[to] = context[offset]
            case 0xB7:
                registers[to] = value
            case 0xBF:
                registers[to] = registers[source]
            case 0x57:
                registers[to] &= value
            case 0x77:
                registers[to] >>= value
            case 0x15:
                position += offset if registers[to] == value else 0
            case 0x55:
                position += offset if registers[to] != value else 0
            case 0x95:
                return bool(registers[0])
            case _:
                pytest.fail(f"unknown instruction {opcode:#x}")


def by_the_rules(
    rules: list[DeviceRule], kind: str, major: int, minor: int, access: str
) -> bool:
    """The last rule that matches counts, for each kind of access."""
    for letter in access:
        answer = True
        for rule in rules:
            if (
                rule.type in ("a", kind)
                and rule.major in (None, major)
                and rule.minor in (None, minor)
                and letter in rule.access
            ):
                answer = rule.allow
        if not answer:
            return False
    return True


ACCESSES = st.sampled_from(("r", "w", "m", "rw", "rm", "wm", "rwm"))
NUMBERED = st.builds(
    DeviceRule,
    allow=st.booleans(),
    type=st.sampled_from("cb"),
    major=st.sampled_from((None, 1, 2)),
    minor=st.sampled_from((None, 3, 4)),
    access=ACCESSES,
)
RULES = st.lists(
    st.one_of(NUMBERED, st.builds(DeviceRule, allow=st.booleans(), access=ACCESSES)),
    max_size=8,
)


@given(
    RULES,
    st.sampled_from("cb"),
    st.sampled_from((1, 2, 9)),
    st.sampled_from((3, 4, 9)),
    ACCESSES,
)
def test_the_program_answers_as_the_rules_say(
    rules: list[DeviceRule], kind: str, major: int, minor: int, access: str
) -> None:
    answer = run(compile_rules(rules), kind, major, minor, access)
    assert answer == by_the_rules(rules, kind, major, minor, access)


@given(RULES)
def test_no_instruction_is_out_of_reach(rules: list[DeviceRule]) -> None:
    """The kernel's verifier refuses programs that have one."""
    code = list(struct.iter_unpack("=BBhi", compile_rules(rules)))
    reached, pending = set(), [0]
    while pending:
        position = pending.pop()
        if position in reached:
            continue
        reached.add(position)
        opcode, _, offset, _ = code[position]
        if opcode in (0x15, 0x55):
            pending.append(position + 1 + offset)
        if opcode != 0x95:
            pending.append(position + 1)
    assert reached == set(range(len(code)))


@pytest.mark.parametrize(
    ("device", "answer"),
    [
        (("c", 1, 3, "rwm"), True),
        (("c", 136, 7, "rw"), True),
        (("c", 10, 200, "m"), True),
        (("c", 10, 200, "r"), False),
        (("b", 8, 0, "r"), False),
        (("c", 1, 1, "r"), False),
    ],
)
def test_the_defaults_allow_the_usual_devices_only(
    device: tuple[str, int, int, str], answer: bool
) -> None:
    assert run(compile_rules(DEFAULT_DEVICE_RULES), *device) == answer
