"""Steps that take rights away: user, limits, ids, capabilities; and those that let the
program have a look in between."""

from __future__ import annotations

import errno
import os
import resource

from ..._sys import identity
from ..._sys.libc import call, fail
from ..._sys.seccomp import Filter
from .. import init_pipe
from . import users, wire
from .scheduling import is_above

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context

    Limits = tuple[tuple[int, int, int], ...]


def stop(context: Context, name: bytes) -> None:
    """Wait until the program has done what it does at the stop of this name; before
    that, for its answer if we said that we are ready."""
    if context.announced:
        wire.await_answer(context)
        context.announced = False
    wire.say(context, init_pipe.STOP + name)
    wire.await_answer(context)


def say_ready(context: Context) -> None:
    """Say that all rights are dropped. The answer is taken last, before the exec."""
    wire.say(context, init_pipe.STOP + init_pipe.READY)
    context.announced = True


def find_user(context: Context, user: bytes, additional: tuple[bytes, ...]) -> None:
    """Look the user up in the container's files."""
    context.uid, context.gid, context.groups, context.home = users.find(
        context.root, user, additional
    )
    if context.keeps_groups and additional:
        fail("setgroups", errno.EPERM, b"additional groups in this user namespace")


def raise_limits(_context: Context, limits: Limits) -> None:
    """Raise hard limits while ``CAP_SYS_RESOURCE`` is still there."""
    for kind, _, hard in limits:
        present = resource.getrlimit(kind)
        if is_above(hard, present[1]):
            identity.set_limit(kind, present[0], hard)


def no_new_privs(_context: Context) -> None:
    """Never again gain privileges by exec; lets anyone load a filter."""
    identity.set_no_new_privs()


def load_filter(context: Context, bpf: bytes, flags: int) -> None:
    """Put the filter in force early: without no_new_privs it needs privilege."""
    loaded = Filter(bpf, flags).load()
    if context.handover is not None:
        context.listener = loaded


def own_stdio(context: Context, numbers: tuple[int, ...]) -> None:
    """Give our pipes to the user, so that /proc/self/fd/1 can be opened again."""
    for number in numbers:
        descriptor = context.stdio.get(number)
        if descriptor is None:
            descriptor = context.descriptors[number]
        try:
            call("fchown", os.fchown, descriptor, context.uid, context.gid)
        except PermissionError:
            return  # in a joined user namespace that doesn't map the pipe's owner


def change_directory(context: Context, path: bytes) -> None:
    """Go to the working directory as root; where that may not, later as the user."""
    try:
        call("chdir", os.chdir, path, path=path)
    except PermissionError:
        return
    context.entered = True
    _check_directory(path)


def _check_directory(path: bytes) -> None:
    # A descriptor that leaked in could lead outside: the kernel then has no path for it
    # and getcwd(2) says "(unreachable)", which Python makes FileNotFoundError.
    if not call("getcwd", os.getcwdb, path=path).startswith(b"/"):
        fail("getcwd", errno.EACCES, path)


def change_identity(
    context: Context,
    drop_bounding: int,
    effective: int,
    permitted: int,
    inheritable: int,
    ambient: tuple[int, ...],
    cwd: bytes,
) -> None:
    """Drop to the user and its capabilities. The order is the kernel's: the bounding
    set needs CAP_SETPCAP, groups before user, keepcaps over the change of user."""
    identity.drop_bounding(drop_bounding)
    identity.set_keepcaps(True)
    groups = None if context.keeps_groups else context.groups
    try:
        identity.set_ids(context.uid, context.gid, groups)
    except OSError as error:
        if error.errno == errno.EINVAL:
            error.strerror = "user or group isn't mapped into the user namespace"
            error.filename = b"%d:%d" % (context.uid, context.gid)
        raise
    identity.set_keepcaps(False)
    identity.capset(effective, permitted, inheritable)
    if ambient:
        identity.set_ambient(ambient)
    if not context.entered:
        call("chdir", os.chdir, cwd, path=cwd)
        _check_directory(cwd)
