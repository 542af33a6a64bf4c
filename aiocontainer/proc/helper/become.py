"""Steps that turn the child into the program: names, limits, ids, rights, exec."""

from __future__ import annotations

import _signal
import errno
import os
import resource
import stat

from ..._sys import constants as c
from ..._sys import descriptors, identity, namespaces, network, paths, terminal
from ..._sys import mounts as sys_mounts
from ..._sys.libc import call, fail
from ..._sys.seccomp import Filter
from .. import init_pipe
from . import users, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .child import Context

    Limits = tuple[tuple[int, int, int], ...]


_DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for when the environment has no PATH."""


def join_cgroups(context: Context) -> None:
    """Move into the cgroups whose files the spawner opened for us.

    "0" means the caller. In ``tasks`` (v1) that takes no lock on all threads of the
    machine, which writing a pid does (cgroup_procs_write_start in the kernel).
    """
    for file in context.join_files:
        call("write", os.write, file, b"0")
        os.close(file)


def be_root_of_user_namespace(_context: Context) -> None:
    """Take the ids that our mappings made root of this user namespace."""
    identity.set_ids(0, 0, [])


def unshare(_context: Context, kinds: int) -> None:
    """Enter new namespaces that clone3 couldn't make for us."""
    namespaces.unshare(kinds)


def join_namespace(context: Context, path: bytes, number: int, kind: int) -> None:
    """Join a namespace of the host that the spawner opened."""
    try:
        namespaces.setns(context.descriptors[number], kind)
    except OSError as error:
        error.filename = path
        raise


def join_container(context: Context, pidfd: int, kinds: int) -> None:
    """Join all namespaces of a container's first process in one call."""
    namespaces.setns(context.descriptors[pidfd], kinds)
    context.root = call("open", os.open, b"/", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)


def open_root(context: Context) -> None:
    """Use the root directory as it is, after all is in place."""
    if context.root >= 0:
        os.close(context.root)
    context.root = call("open", os.open, b"/", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)


def set_hostname(_context: Context, name: bytes) -> None:
    """Name of the machine in our UTS namespace."""
    namespaces.set_hostname(name)


def set_domainname(_context: Context, name: bytes) -> None:
    """NIS domain name in our UTS namespace."""
    namespaces.set_domainname(name)


def bring_up_loopback(_context: Context) -> None:
    """Set the loopback interface up."""
    network.bring_up_loopback()


def new_session_keyring(_context: Context) -> None:
    """Leave the supervisor's session keyring; a kernel without keys has none."""
    try:
        identity.new_session_keyring()
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise


def open_terminal(context: Context, rows: int, columns: int, console: bool) -> None:
    """Make a terminal in the container's own devpts, give the other side away."""
    flags = os.O_RDONLY | c.O_DIRECTORY
    devpts = paths.open_in_root(context.root, b"/dev/pts", flags)
    pty = terminal.open_pty(devpts)
    slave = pty.slave
    os.close(devpts)
    if rows and columns:
        terminal.set_size(pty.master, rows, columns)
    wire.send_descriptor(context.pipe, init_pipe.TERMINAL, pty.master)
    os.close(pty.master)
    terminal.set_controlling(slave)
    if console:
        target = paths.ensure_file(context.root, b"/dev/console")
        tree = sys_mounts.clone_tree(slave)
        sys_mounts.attach(tree, target)
        os.close(tree)
        os.close(target)
    context.stdio = {0: slave, 1: slave, 2: slave}


def find_user(context: Context, user: bytes, additional: tuple[bytes, ...]) -> None:
    """Look the user up in the container's files."""
    context.uid, context.gid, context.groups, context.home = users.find(
        context.root, user, additional
    )


def raise_limits(_context: Context, limits: Limits) -> None:
    """Raise hard limits while ``CAP_SYS_RESOURCE`` is still there."""
    for kind, _, hard in limits:
        present = resource.getrlimit(kind)
        if _above(hard, present[1]):
            identity.set_limit(kind, present[0], hard)


def _above(value: int, other: int) -> bool:
    return other != resource.RLIM_INFINITY and (
        value == resource.RLIM_INFINITY or value > other
    )


def no_new_privs(_context: Context) -> None:
    """Never again gain privileges by exec; lets anyone load a filter."""
    identity.set_no_new_privs()


def load_filter(_context: Context, bpf: bytes, flags: int) -> None:
    """Put the filter in force early: without no_new_privs it needs privilege."""
    Filter(bpf, flags).load()


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
    identity.set_ids(context.uid, context.gid, context.groups)
    identity.set_keepcaps(False)
    identity.capset(effective, permitted, inheritable)
    if ambient:
        identity.set_ambient(ambient)
    if not context.entered:
        call("chdir", os.chdir, cwd, path=cwd)
        _check_directory(cwd)


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
    program = find_program(arguments[0], env.get(b"PATH", _DEFAULT_PATH))
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
    descriptors.place(targets)
    keep = (*targets, context.pipe)
    descriptors.close_others(keep if isinstance(program, bytes) else (*keep, program))
    os.umask(umask)
    for kind, soft, hard in limits:
        identity.set_limit(kind, soft, hard)
    if not wire.take_go(context.pipe):
        os._exit(1)  # the program has gone
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    loaded = None if bpf is None else Filter(bpf, flags)
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
