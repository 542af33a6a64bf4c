"""Findings about user namespaces and the ids in them."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..plan.users import Ids
from .machine import Machine
from .record import Finding


def user_namespace(machine: Machine) -> Finding:
    """Whether there are user namespaces for this user; needed without privileges."""
    needed = not machine.host.is_privileged
    answer = machine.probes.get("user_namespace")
    if answer is not None and answer.works:
        return Finding("userns", True, "can be made", needed=needed)
    cause, cure = _why_none(machine)
    words = "" if answer is None else answer.words
    return Finding("userns", False, words, cause, cure, needed=needed)


def _why_none(machine: Machine) -> tuple[str, str]:
    sysctls = machine.sysctls
    answer = machine.probes.get("user_namespace")
    code = errno.EIO if answer is None else answer.errno
    if sysctls.get("kernel/unprivileged_userns_clone") == "0":
        return (
            "kernel.unprivileged_userns_clone is 0",
            "sysctl kernel.unprivileged_userns_clone=1 (and in /etc/sysctl.d)",
        )
    if sysctls.get("user/max_user_namespaces") == "0" or code == errno.ENOSPC:
        limit = sysctls.get("user/max_user_namespaces", "unknown")
        return (
            f"user.max_user_namespaces is {limit}",
            "sysctl user.max_user_namespaces=28633 (and in /etc/sysctl.d)",
        )
    if sysctls.get("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor gives no rights in user namespaces"
            " (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "load a profile with `userns,` for the interpreter into /etc/apparmor.d,"
            " or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        )
    if code in (errno.EINVAL, errno.ENOSYS):
        return "the kernel was built without them", "use one with CONFIG_USER_NS"
    if code == errno.EUSERS:
        return "user namespaces are nested 32 deep", "start fewer inside of each other"
    return (
        "a system call filter or a security module refuses them",
        "look at the profile this program is under (docker: --security-opt"
        " seccomp=...; systemd: RestrictNamespaces=)",
    )


def ids(machine: Machine) -> Iterator[Finding]:
    """How many ids the user can map into one."""
    if not machine.host.is_privileged:
        yield _range(machine)
    elif machine.host.is_initial:
        yield _automatic(machine)
    else:
        yield _inherited(machine)


def _automatic(machine: Machine) -> Finding:
    if machine.ids.uids and machine.ids.gids:
        return Finding("userns.range", True, _ranges(machine.ids.uids))
    return Finding(
        "userns.range",
        True,
        "by uid_mappings; automatic ones have no range to be taken from",
        "/etc/subuid or /etc/subgid has no line for root",
        "usermod --add-subuids 1000000-66535999 --add-subgids 1000000-66535999 root",
    )


def _inherited(machine: Machine) -> Finding:
    count = sum(size for _, size in machine.ids.own_uids)
    if count > 1:
        return Finding("userns.range", True, f"{count} ids of the program's own")
    return Finding(
        "userns.range",
        False,
        "one id: all users but root are missing in containers",
        "this program is in a user namespace that has one id itself",
        "make that with more (unshare --map-auto; podman: --uidmap)",
    )


def _range(machine: Machine) -> Finding:
    found, host = machine.ids, machine.host
    if found.has_helpers and found.uids and found.gids:
        return Finding("userns.range", True, _ranges(found.uids))
    detail = "one id: all users but root are missing in containers"
    if host.no_new_privs:
        cause = "this program is under no_new_privs, so newuidmap gives it nothing"
        cure = "run it without (systemd: NoNewPrivileges=no)"
    elif host.uid != host.real_uid:
        cause = "this program's real and effective user differ"
        cure = "start it as the user itself"
    elif not found.has_helpers:
        cause = "newuidmap and newgidmap aren't installed"
        cure = "install the package uidmap (Debian) or shadow-utils"
    else:
        cause = "/etc/subuid or /etc/subgid has no line for this user"
        cure = (
            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535"
            f" $(id -un {host.uid})"
        )
    return Finding("userns.range", False, detail, cause, cure)


def _ranges(ranges: Ids) -> str:
    return ", ".join(f"{first}-{first + count - 1}" for first, count in ranges)
