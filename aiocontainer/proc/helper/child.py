"""A child between clone and exec: runs the steps of a plan, then is the program.

It never returns and never raises: it is a copy of the spawner, and unwinding would run
the spawner's own clean-up twice.
"""

from __future__ import annotations

import _signal
import os

from ..._sys import identity, libc
from ..._sys.descriptors import close_ranges, others
from ..._sys.libc import call
from . import wire
from .steps import STEPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from ..._sys.handover import Handover


class Context:
    """What the steps of one plan share."""

    __slots__ = (
        "announced",
        "attributes",
        "barrier",
        "descriptors",
        "entered",
        "environment",
        "gid",
        "groups",
        "handover",
        "home",
        "init_program",
        "join_files",
        "keeps_groups",
        "known",
        "listener",
        "null",
        "pipe",
        "proc",
        "report",
        "root",
        "ruleset",
        "stdio",
        "strays",
        "trees",
        "uid",
    )

    def __init__(
        self,
        descriptors: list[int],
        join_files: tuple[int, ...],
        init_program: int,
        trees: tuple[int, ...] = (),
        barrier: int = -1,
    ) -> None:
        self.pipe = descriptors[0]
        self.descriptors = descriptors
        self.join_files = join_files
        self.init_program = init_program
        self.root = -1
        """The container's root directory, once there is one."""
        self.report = -1
        """A pipe for the number of each mount, told before it is attached."""
        self.proc = -1
        """The host's proc, for who changes the mounts of a running container."""
        self.null = -1
        """A /dev/null that was checked to be one, for masks."""
        self.stdio: dict[int, int] = {}
        """{number in the program: descriptor here}, of a terminal."""
        self.trees = [*trees]
        """Mounts that are prepared but not attached yet."""
        self.uid = 0
        self.gid = 0
        self.groups: list[int] = []
        self.home = b"/"
        self.announced = False
        """The program was told that we are ready, and is to answer that."""
        self.barrier = barrier
        """Gives a byte once the spawner has written our id maps; -1: there are none."""
        ours = (*descriptors, *join_files, init_program, *trees)
        self.strays = others(ours if barrier < 0 else (*ours, barrier))
        """Ranges of descriptors that aren't for us."""
        self.known = False
        """The program has answered us once, so it knows us."""
        self.keeps_groups = False
        """The user namespace denies setgroups(2), so groups stay as they are."""
        self.handover: Handover | None = None
        """Shared with who is to send the listener of our filter."""
        self.listener = -1
        """That listener, once the filter is loaded."""
        self.attributes: dict[bytes, int] = {}
        """{file of /proc/thread-self/attr: descriptor}"""
        self.ruleset = -1
        """Of Landlock, to be put in force before the exec."""
        self.environment: dict[bytes, bytes] | None = None
        """What the environment gets besides."""
        self.entered = False
        """The working directory has been entered, as root."""


def main(
    context: Context,
    steps: tuple[tuple[Any, ...], ...],
    fault: tuple[str, int, int] | None,
) -> NoReturn:
    """Run ``steps`` in their order; the last one executes the program."""
    index = -1
    try:
        if fault is not None:
            libc.fault = make_fault(*fault)
        if context.handover is not None and not context.handover.enter():
            _introduce(context.pipe)
            os._exit(1)
        close_ranges(context.strays)
        call("setsid", os.setsid)
        if context.barrier >= 0:
            if call("read", os.read, context.barrier, 1) != b"g":
                _introduce(context.pipe)  # the spawner has gone, or has said why
                os._exit(1)
            os.close(context.barrier)
            identity.set_dumpable(False)  # again, if the spawner is unprivileged
        for index, (name, *arguments) in enumerate(steps):  # noqa: B007
            STEPS[name](context, *arguments)
    except BaseException as error:
        _introduce(context.pipe)
        wire.report(context.pipe, index, error)
    finally:
        os._exit(1)


def run_host_steps(
    context: Context,
    steps: tuple[tuple[Any, ...], ...],
    fault: tuple[str, int, int] | None,
) -> list[int]:
    """Steps that take the host's rights, before there is a child; the trees they made.

    A failure is reported, by a number that tells it from the child's steps.
    """
    if fault is not None and steps:
        libc.fault = make_fault(*fault)
    for index, (name, *arguments) in enumerate(steps):
        try:
            STEPS[name](context, *arguments)
        except OSError as error:
            wire.report(context.pipe, -2 - index, error)
            os._exit(0)
    libc.fault = None
    return context.trees


def _introduce(pipe: int) -> None:
    try:
        wire.introduce(pipe)
    except OSError:
        pass  # then only its end is heard


def make_fault(name: str, at: int, code: int) -> Callable[[str], None]:
    """A fault for tests: the ``at``-th call of ``name`` ("*": of any) fails with errno
    ``code``, or ends this process where ``code`` is 0."""
    count = 0

    def fault(called: str) -> None:
        nonlocal count
        if name not in ("*", called):
            return
        count += 1
        if count == at:
            if code == 0:
                os.kill(os.getpid(), _signal.SIGKILL)
                os._exit(137)  # pid 1 of a pid namespace can't kill itself
            raise OSError(code, os.strerror(code) + " (injected)")

    return fault
