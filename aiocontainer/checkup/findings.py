"""From the facts of a machine to what they mean: causes and cures. Pure."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final

from ..config.requirements import CONTROLLERS
from .machine import Answer, Machine
from .record import Finding
from .users import ids, user_namespace

_NAMESPACES: Final = {
    "mount": ("mountns", "CONFIG_NAMESPACES"),
    "pid": ("pidns", "CONFIG_PID_NS"),
    "uts": ("utsns", "CONFIG_UTS_NS"),
    "ipc": ("ipcns", "CONFIG_IPC_NS"),
    "network": ("netns", "CONFIG_NET_NS"),
    "cgroup": ("cgroupns", "CONFIG_CGROUPS"),
    "time": ("timens", "CONFIG_TIME_NS"),
}
_NEEDED: Final = frozenset({"mount", "pid"})
_OLDEST: Final = (5, 12)


def judge(machine: Machine) -> tuple[Finding, ...]:
    """All findings, in the order of a report."""
    return (
        _kernel(machine),
        _rights(machine),
        user_namespace(machine),
        *ids(machine),
        *_namespaces(machine),
        *_file_systems(machine),
        _interpreter(machine),
        _clone3(machine),
        *_filters(machine),
        *_lsms(machine),
        *_cgroups(machine),
        *_programs(machine),
        _states(machine),
    )


def _kernel(machine: Machine) -> Finding:
    numbers = machine.kernel.split("-")[0].split(".")
    version = tuple(int(n) for n in numbers[:2] if n.isdigit())
    if version >= _OLDEST:
        return Finding("kernel", True, machine.kernel, needed=True)
    reason = "mount_setattr(2) and other calls are missing before Linux 5.12"
    return Finding(
        "kernel", False, machine.kernel, reason, "use a newer kernel", needed=True
    )


def _rights(machine: Machine) -> Finding:
    host = machine.host
    if host.is_privileged:
        where = "" if host.is_initial else ", in a user namespace"
        return Finding("privileges", True, f"uid {host.uid}{where}")
    return Finding(
        "privileges",
        False,
        f"uid {host.uid}, without CAP_SYS_ADMIN",
        "containers get a user namespace of their own",
        "none is needed; see docs/rootless.md for what differs",
    )


def _namespaces(machine: Machine) -> Iterator[Finding]:
    for kind, (name, option) in _NAMESPACES.items():
        answer = machine.probes.get(f"{kind}_namespace", _UNKNOWN)
        needed = kind in _NEEDED
        if answer.works:
            yield Finding(name, True, "can be made", needed=needed)
            continue
        cause, cure = _why(answer, option)
        if not machine.probes.get("user_namespace", _UNKNOWN).works and (
            not machine.host.is_privileged
        ):
            cause, cure = "it takes a user namespace", "see userns"
        yield Finding(name, False, _said(answer), cause, cure, needed=needed)


_UNKNOWN: Final = Answer(errno.EIO, "", "not found out")


def _said(answer: Answer) -> str:
    return f"{answer.words} {f'({answer.call})' if answer.call else ''}".strip()


def _why(answer: Answer, option: str) -> tuple[str, str]:
    match answer.errno:
        case errno.EINVAL | errno.ENOSYS | errno.ENODEV:
            return "the kernel was built without it", f"use one with {option}"
        case errno.ENOSPC | errno.EUSERS:
            return (
                "the limit on namespaces of this kind is reached, or 0",
                "raise it: sysctl user.max_*_namespaces",
            )
        case _:
            return (
                "refused: by a system call filter, a security module or for want of"
                " CAP_SYS_ADMIN",
                "look at the profile that this program is under",
            )


def _file_systems(machine: Machine) -> Iterator[Finding]:
    probes = machine.probes
    proc = probes.get("proc_mount", _UNKNOWN)
    over = (
        "the /proc that is seen here has parts that are covered, as in a container of"
        " docker: the kernel then gives no new one to a user namespace"
    )
    uncover = "run without masks (docker: --security-opt systempaths=unconfined)"
    if proc.works:
        yield Finding("proc", True, "can be mounted", needed=True)
    else:
        yield Finding("proc", False, _said(proc), over, uncover, needed=True)
    sysfs = probes.get("sysfs_mount", _UNKNOWN)
    if sysfs.works:
        yield Finding("sysfs", True, "can be mounted")
    else:
        cure = "none is needed: containers show the one that is seen here, read-only"
        yield Finding("sysfs", False, _said(sysfs), over.replace("proc", "sys"), cure)
    overlay = probes.get("overlay", _UNKNOWN)
    if overlay.works:
        yield Finding("overlay", True, "with the upper layer in memory")
    else:
        cause, cure = _why(overlay, "CONFIG_OVERLAY_FS (modprobe overlay)")
        cure += "; until then Rootfs.overlay copies its layers"
        yield Finding("overlay", False, _said(overlay), cause, cure)


def _interpreter(machine: Machine) -> Finding:
    answer = machine.probes.get("memfd_exec", _UNKNOWN)
    if answer.works:
        return Finding("sealed", True, "the helper runs from a sealed memfd")
    return Finding(
        "sealed",
        machine.host.is_privileged,
        "no memfd may be executed",
        f"vm.memfd_noexec is {machine.sysctls.get('vm/memfd_noexec', '2')}"
        + ("; a read-only mount is used instead" if machine.host.is_privileged else ""),
        "sysctl vm.memfd_noexec=1 (or 0), or run as root",
        needed=not machine.host.is_privileged,
    )


def _clone3(machine: Machine) -> Finding:
    if machine.probes.get("clone3", _UNKNOWN).works:
        return Finding("clone3", True, "")
    return Finding(
        "clone3",
        False,
        "answers ENOSYS; clone(2) is used",
        "a system call filter hides it (older docker and systemd profiles)",
        "none is needed; with a newer profile starts are a little faster on cgroup v2",
    )


def _filters(machine: Machine) -> Iterator[Finding]:
    for name, probe, what in (
        ("seccomp", "seccomp", "system call filters"),
        ("seccomp.notify", "seccomp_notify", "calls answered by a program"),
    ):
        answer = machine.probes.get(probe, _UNKNOWN)
        cause, cure = (
            ("", "") if answer.works else _why(answer, "CONFIG_SECCOMP_FILTER")
        )
        detail = what if answer.works else _said(answer)
        yield Finding(name, answer.works, detail, cause, cure)
    landlock = machine.probes.get("landlock", _UNKNOWN)
    if landlock.works:
        yield Finding("landlock", True, f"version {landlock.words}")
        return
    disabled = landlock.errno == errno.EOPNOTSUPP
    yield Finding(
        "landlock",
        False,
        _said(landlock),
        "it isn't among the active security modules"
        if disabled
        else "the kernel was built without it, or a filter hides it",
        "add landlock to lsm= on the kernel's command line"
        if disabled
        else "use one with CONFIG_SECURITY_LANDLOCK (Linux 5.13)",
    )


def _lsms(machine: Machine) -> Iterator[Finding]:
    for name, title in (("apparmor", "AppArmor"), ("selinux", "SELinux")):
        if name in machine.lsms:
            yield Finding(name, True, "active")
        else:
            cure = f"boot with lsm=...,{name}, if the kernel has it"
            yield Finding(name, False, "", f"{title} isn't active here", cure)


def _cgroups(machine: Machine) -> Iterator[Finding]:
    cgroups = machine.cgroups
    if cgroups.mode == "none":
        cause, cure = (
            "no cgroup file system is mounted",
            "mount cgroup2 on /sys/fs/cgroup",
        )
        yield Finding("cgroup", False, "", cause, cure)
        return
    if not cgroups.kind:
        cause, cure = _undelegated(machine)
        yield Finding("cgroup", False, f"{cgroups.mode}, not this user's", cause, cure)
        return
    yield Finding("cgroup", True, f"{cgroups.mode}, in {cgroups.own}")
    for name in CONTROLLERS:
        real = "blkio" if name == "io" and "blkio" in cgroups.mounted else name
        if real in cgroups.within_reach:
            yield Finding(f"cgroup.{name}", True, "")
        elif real not in cgroups.mounted and name not in ("devices", "freezer"):
            cause, cure = "no hierarchy has it", f"boot without cgroup_disable={name}"
            yield Finding(f"cgroup.{name}", False, "", cause, cure)
        else:
            cause, cure = _unreachable(machine, name)
            yield Finding(f"cgroup.{name}", False, "", cause, cure)


def _undelegated(machine: Machine) -> tuple[str, str]:
    if machine.cgroups.mode != "v2":
        return (
            "controllers of cgroup v1 can't be delegated safely, and none was",
            "boot with systemd.unified_cgroup_hierarchy=1, or run as root",
        )
    if machine.cgroups.user_manager:
        return (
            "this program isn't in a cgroup of the user's own manager",
            "start it by: systemd-run --user --scope -p Delegate=yes PROGRAM",
        )
    return (
        "no cgroup is delegated to this user",
        "run it under a service with Delegate=yes and User=, or have the user log in"
        " (loginctl enable-linger USER)",
    )


def _unreachable(machine: Machine, name: str) -> tuple[str, str]:
    if name == "devices":
        return (
            "device rules of cgroup v2 take CAP_BPF or CAP_SYS_ADMIN",
            "none is needed: in a user namespace nobody can make device nodes",
        )
    if machine.host.is_privileged:
        return (
            "it isn't passed on to this program's cgroup",
            f"write +{name} to the cgroup.subtree_control of the cgroups above",
        )
    return (
        "it isn't delegated to this user",
        "systemctl edit user@.service: [Service] Delegate=cpu cpuset io memory pids",
    )


_PROGRAM_USES: Final = {
    "pasta": (
        "network.user",
        "a network for containers of unprivileged users",
        "passt",
    ),
    "slirp4netns": (
        "network.slirp",
        "the same, where there is no pasta",
        "slirp4netns",
    ),
    "nft": ("nft", "for people who look at published ports", "nftables"),
    "criu": ("checkpoint", "checkpoint and restore", "criu"),
}


def _programs(machine: Machine) -> Iterator[Finding]:
    for program, (name, use, package) in _PROGRAM_USES.items():
        path = machine.programs.get(program)
        if path:
            yield Finding(name, True, path)
        else:
            cause = f"{program} isn't installed: {use}"
            yield Finding(name, False, "", cause, f"install the package {package}")


def _states(machine: Machine) -> Finding:
    if machine.runtime_directory:
        return Finding("state", True, "a directory for locks and states")
    return Finding(
        "state",
        False,
        "",
        "there is no XDG_RUNTIME_DIR that this user can write to",
        "log in by a session (pam_systemd), or set XDG_RUNTIME_DIR to a directory of"
        " mode 0700",
    )
