"""The last step of each plan: from a finished child to the program."""

from __future__ import annotations

import _signal
import errno
import os
import stat

from ..._sys import descriptors, identity
from ..._sys.landlock import restrict_self
from ..._sys.libc import call, fail
from ..._sys.seccomp import Filter
from . import listeners, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .child import Context

    Limits = tuple[tuple[int, int, int], ...]

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for when the environment has no PATH."""


def execute(
    context: Context,
    arguments: tuple[bytes, ...],
    environment: tuple[tuple[bytes, bytes], ...],
    passed: tuple[tuple[int, int], ...],
    umask: int,
    limits: Limits,
    bpf: bytes | None,
    flags: int,
) -> NoReturn:
    """Be the program. Between loading the filter and execve nothing else is called."""
    env = dict(environment)
    env.setdefault(b"HOME", context.home)
    if context.environment is not None:
        env.update(context.environment)
    program = find_program(arguments[0], env.get(b"PATH", DEFAULT_PATH))
    run(context, program, arguments, env, passed, umask, limits, bpf, flags)


def execute_init(
    context: Context,
    passed: tuple[tuple[int, int], ...],
    umask: int,
    limits: Limits,
    bpf: bytes | None,
    flags: int,
) -> NoReturn:
    """Be the built-in init: a few instructions that reap and forward signals."""
    program = context.init_program
    run(context, program, (b"init",), {}, passed, umask, limits, bpf, flags)


def run(
    context: Context,
    program: bytes | int,
    arguments: tuple[bytes, ...],
    env: dict[bytes, bytes],
    passed: tuple[tuple[int, int], ...],
    umask: int,
    limits: Limits,
    bpf: bytes | None,
    flags: int,
) -> NoReturn:
    """The last calls before the program, in an order that leaves nothing for after."""
    targets = {number: context.descriptors[index] for number, index in passed}
    targets.update(context.stdio)
    context.pipe = descriptors.move_above(context.pipe, targets)
    if isinstance(program, int):
        program = descriptors.move_above(program, targets)
    if context.listener >= 0:
        context.listener = descriptors.move_above(context.listener, targets)
    if context.ruleset >= 0:
        context.ruleset = descriptors.move_above(context.ruleset, targets)
    descriptors.place(targets)
    keep = [*targets, context.pipe]
    if isinstance(program, int):
        keep.append(program)
    keep += (n for n in (context.listener, context.ruleset) if n >= 0)
    descriptors.close_others(keep)
    os.umask(umask)
    for kind, soft, hard in limits:
        identity.set_limit(kind, soft, hard)
    loaded = None if bpf is None else Filter(bpf, flags)
    wire.take_go(context)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    if context.ruleset >= 0:
        restrict_self(context.ruleset)
    if context.handover is not None:
        listeners.execute(context, context.handover, loaded, program, arguments, env)
    if loaded is not None:
        loaded.load()
    call("execve", os.execve, program, arguments, env, path=arguments[0])
    os._exit(1)


def find_program(name: bytes, search: bytes) -> bytes:
    """The path to execute, as execvp(3) finds it, without executing anything."""
    if not name:
        fail("execve", errno.ENOENT, name)
    if b"/" in name:
        _check_program(name)
        return name
    found = errno.ENOENT
    for directory in search.split(b":"):
        path = (directory or b".") + b"/" + name
        # Asked without exceptions: most directories of a PATH don't have it.
        if os.access(path, os.X_OK):
            if _is_program(path):
                return path
            found = errno.EACCES
        elif found == errno.ENOENT and os.access(path, os.F_OK):
            found = errno.EACCES
    if found == errno.EACCES:
        fail("execve", found, name)
    raise FileNotFoundError(found, "executable file not found in $PATH", name)


def _is_program(path: bytes) -> bool:
    return stat.S_ISREG(os.stat(path).st_mode)


def _check_program(path: bytes) -> None:
    call("stat", os.stat, path, path=path)
    if not _is_program(path) or not os.access(path, os.X_OK):
        fail("execve", errno.EACCES, path)
