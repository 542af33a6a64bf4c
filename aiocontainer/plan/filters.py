"""A `Seccomp` model and a capability set, compiled to BPF: in the parent, once.

libseccomp is asked for the numbers of calls only, and the program is our own, because

- libseccomp drops a condition silently when the same call is allowed without one: "all
  ioctls but TIOCSTI" can't be said in an allow list (seen with 2.5.4);
- it knows no call that is newer than itself, and answers such numbers with the default
  error. Programs then take EPERM for a verdict, where ENOSYS makes them fall back;
- here the order of rules decides, which a reader can check.

Loading needs no_new_privs or CAP_SYS_ADMIN; neither is set here.
"""

import functools
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiocontainer._sys import libseccomp
from aiocontainer.config.base import ConfigError
from aiocontainer.config.seccomp import ArgRule, Seccomp, SyscallRule
from aiocontainer.errors import UnsupportedFeature

from . import bpf
from .syscalls import ABIS, X32_BIT, Abi, Resolve, calls_of, family_of

__all__ = ("LISTENS", "CompiledFilter", "compile_filter", "compile_for")

ENOSYS: Final = 38
EPERM: Final = 1

_RETURNS: Final = {
    "KILL_PROCESS": 0x8000_0000,
    "KILL_THREAD": 0x0000_0000,
    "TRAP": 0x0003_0000,
    "ERRNO": 0x0005_0000,
    "NOTIFY": 0x7FC0_0000,
    "TRACE": 0x7FF0_0000,
    "LOG": 0x7FFC_0000,
    "ALLOW": 0x7FFF_0000,
}
_FLAG_LOG: Final = 1 << 1
_FLAG_SPEC_ALLOW: Final = 1 << 2
LISTENS: Final = 1 << 3
"""``SECCOMP_FILTER_FLAG_NEW_LISTENER``: loading gives back a listener."""
_FLAG_WAIT_KILLABLE_RECV: Final = 1 << 5

# The last number given out per machine; from 424 (Linux 5.1) they are the same on all.
_LAST_OLD_NUMBER: Final = 423
# Beyond are numbers of a machine's own, as arm's cacheflush.
_NUMBERS_IN_ORDER: Final = 1 << 12

_Program: TypeAlias = list[bpf.Instruction]
_Choice: TypeAlias = tuple[tuple[ArgRule, ...], int]
_Calls: TypeAlias = tuple[tuple[int, ArgRule | None], ...]


@dataclass(frozen=True, slots=True)
class CompiledFilter:
    """A filter, ready for ``seccomp(SECCOMP_SET_MODE_FILTER, flags, ...)``."""

    bpf: bytes
    """An array of ``struct sock_filter``."""
    flags: int
    """``SECCOMP_FILTER_FLAG_*``. With ``NEW_LISTENER`` (8) the call gives back the
    descriptor of the listener."""


def compile_filter(seccomp: Seccomp, capabilities: frozenset[str]) -> CompiledFilter:
    """The filter for a process whose bounding set is ``capabilities``, on this machine.

    The last 64 are kept; equal questions get the same answer at once.

    Raises:
        ConfigError: the filter is longer than the kernel takes.
        UnsupportedFeature: no libseccomp, or a machine we have no tables for.
    """
    # The same objects ask again and again; to compare the models takes 20 µs.
    question = (id(seccomp), capabilities)
    asked = _answered.get(question)
    if asked is not None and asked[0] is seccomp:
        return asked[1]
    mentioned = frozenset[str]().union(
        *(
            rule.when_capabilities | rule.unless_capabilities
            for rule in seccomp.syscalls
        )
    )
    answer = _compiled(seccomp, capabilities & mentioned)
    if len(_answered) >= _KEPT:
        _answered.clear()
    _answered[question] = (seccomp, answer)
    return answer


_KEPT: Final = 64
# Holds the models too, so that an id isn't given to another.
_answered: dict[tuple[int, frozenset[str]], tuple[Seccomp, CompiledFilter]] = {}


@functools.lru_cache(maxsize=_KEPT)
def _compiled(seccomp: Seccomp, capabilities: frozenset[str]) -> CompiledFilter:
    if seccomp.bpf is not None:
        listens = bpf.returns(seccomp.bpf, _RETURNS["NOTIFY"])
        return CompiledFilter(seccomp.bpf, _flags(seccomp, listens=listens))
    host = os.uname()
    major, _, rest = host.release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    try:
        return compile_for(
            seccomp, capabilities, host.machine, (int(major), int(minor))
        )
    except OSError as error:
        raise UnsupportedFeature(
            "seccomp", str(error), "install libseccomp2 (libseccomp.so.2)"
        ) from error


def compile_for(
    seccomp: Seccomp,
    capabilities: frozenset[str],
    machine: str,
    kernel: tuple[int, int],
    resolve: Resolve = libseccomp.resolve,
) -> CompiledFilter:
    """As `compile_filter`, for any machine (as ``os.uname()`` calls it) and kernel."""
    family = family_of(machine)
    wanted = seccomp.architectures or family[:1]
    rules = [r for r in seccomp.syscalls if _holds(r, capabilities, family[0], kernel)]
    ranges: dict[int, dict[int, _Program]] = {}
    for abi in (ABIS[name] for name in family if name in wanted):
        of_arch = ranges.setdefault(abi.audit_arch, _nothing(abi.audit_arch))
        of_arch |= _ranges(abi, seccomp, rules, resolve)
    program = bpf.dispatch(
        [(arch, bpf.choose(_merged(of_arch))) for arch, of_arch in ranges.items()],
        otherwise=_UNKNOWN,
    )
    if len(program) > bpf.INSTRUCTIONS_MAX:
        raise ConfigError("seccomp.syscalls", "make a filter too long for the kernel")
    listens = any(rule.action == "NOTIFY" for rule in rules)
    return CompiledFilter(bpf.assemble(program), _flags(seccomp, listens=listens))


# As a kernel answers that was built without that entry, or is older than that call.
_UNKNOWN: Final = bpf.answer(_RETURNS["ERRNO"] | ENOSYS)


def _nothing(audit_arch: int) -> dict[int, _Program]:
    """Ranges where no entry of this architecture is allowed yet. Only x86_64 shares
    its architecture: without x32, the numbers from its bit on are those of no call."""
    start = {0: _UNKNOWN}
    return start | ({X32_BIT: _UNKNOWN} if audit_arch == ABIS["X32"].audit_arch else {})


def _holds(
    rule: SyscallRule,
    capabilities: frozenset[str],
    native: str,
    kernel: tuple[int, int],
) -> bool:
    return (
        rule.when_capabilities <= capabilities
        and rule.unless_capabilities.isdisjoint(capabilities)
        and (not rule.architectures or native in rule.architectures)
        and (rule.min_kernel is None or kernel >= rule.min_kernel)
    )


def _ranges(
    abi: Abi, seccomp: Seccomp, rules: list[SyscallRule], resolve: Resolve
) -> dict[int, _Program]:
    """First number of each range, and what to do there, for one entry."""
    # Rules that don't hold count too: what they name is known to the profile.
    known = {name for rule in seccomp.syscalls for name in rule.names}
    calls = {name: tuple(calls_of(abi, name, resolve)) for name in known}
    default = bpf.answer(_answer(seccomp.default_action, seccomp.default_errno))
    decided = {
        number: _decide(choices, default)
        for number, choices in _choices(rules, calls).items()
    }
    numbers = (n - abi.base for pairs in calls.values() for n, _ in pairs)
    in_order = (n for n in numbers if n < _NUMBERS_IN_ORDER)
    newest = abi.base + max((_LAST_OLD_NUMBER, *in_order))
    beyond = default if _permits_by_default(seccomp) else _UNKNOWN
    ranges = {abi.base: default, newest + 1: beyond}
    for number, program in decided.items():
        ranges[number] = program
        after = default if number < newest else beyond
        ranges[number + 1] = decided.get(number + 1, after)
    return ranges


def _choices(
    rules: list[SyscallRule], calls: dict[str, _Calls]
) -> dict[int, list[_Choice]]:
    """For each number the conditions and answers of its rules, in their order."""
    choices: dict[int, list[_Choice]] = defaultdict(list)
    for rule in rules:
        value = _answer(rule.action, rule.errno)
        # A multiplexer's arguments are in memory, out of a filter's reach: what can't
        # be checked is not allowed.
        unchecked = bool(rule.args) and rule.action in _PERMITTING
        for name in rule.names:
            for number, part in calls[name]:
                if part is None:
                    choices[number].append((rule.args, value))
                elif not unchecked:
                    choices[number].append(((part,), value))
    return choices


def _decide(choices: list[_Choice], default: _Program) -> _Program:
    program: _Program = []
    for args, value in choices:
        if not args:
            return [*program, *bpf.answer(value)]
        program += bpf.condition(args, bpf.answer(value))
    return [*program, *default]


def _merged(ranges: dict[int, _Program]) -> list[tuple[int, _Program]]:
    """In order, neighbours with the same answer as one."""
    merged: list[tuple[int, _Program]] = []
    for start in sorted(ranges):
        if not merged or merged[-1][1] != ranges[start]:
            merged.append((start, ranges[start]))
    return merged


_PERMITTING: Final = frozenset({"ALLOW", "LOG"})


def _permits_by_default(seccomp: Seccomp) -> bool:
    """Then newer calls are no question of ours. A tracer decides for itself too."""
    return seccomp.default_action in _PERMITTING | {"TRACE"}


def _answer(action: str, code: int | None) -> int:
    value = _RETURNS[action]
    if action == "ERRNO":
        return value | (EPERM if code is None else code)
    return value | (code or 0)


def _flags(seccomp: Seccomp, *, listens: bool) -> int:
    flags = 0
    if "LOG" in seccomp.flags:
        flags |= _FLAG_LOG
    if "SPEC_ALLOW" in seccomp.flags:
        flags |= _FLAG_SPEC_ALLOW
    if listens:
        flags |= LISTENS
        if "WAIT_KILLABLE_RECV" in seccomp.flags:
            flags |= _FLAG_WAIT_KILLABLE_RECV
    return flags
