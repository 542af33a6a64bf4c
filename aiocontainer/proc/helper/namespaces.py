"""Steps that enter cgroups and namespaces, and name what is in them."""

from __future__ import annotations

import errno
import os

from ..._sys import constants as c
from ..._sys import identity, namespaces, network
from ..._sys.libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def join_cgroups(context: Context) -> None:
    """Move into the cgroups whose files the spawner opened for us.

    "0" means the caller. In ``tasks`` (v1) that takes no lock on all threads of the
    machine, which writing a pid does (cgroup_procs_write_start in the kernel).
    """
    for file in context.join_files:
        call("write", os.write, file, b"0")
        os.close(file)


def be_root_of_user_namespace(context: Context) -> None:
    """Take the ids that our mappings made root of this user namespace."""
    try:
        identity.set_ids(0, 0, [])
    except PermissionError:
        # With all capabilities only this refuses: setgroups is denied here.
        context.keeps_groups = True
        identity.set_ids(0, 0, None)


def forbid_user_namespaces(_context: Context) -> None:
    """Set the limit of our user namespace to none, by the host's proc: it shows who
    looks its own. Where that can't be written, the filter alone has to do."""
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(b"/proc/sys/user/max_user_namespaces", flags)
    except OSError:
        return
    try:
        call("write", os.write, file, b"0")
    finally:
        os.close(file)


def be_traceable(_context: Context, traceable: bool) -> None:
    """Be dumpable or not: only then may our user's programs open our namespaces."""
    identity.set_dumpable(traceable)


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
