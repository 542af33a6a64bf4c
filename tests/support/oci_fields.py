"""What a runtime has to have: the fields of OCI, and the features that runtimes have.

`tests.support.coverage` finds which tests cover what, and `docs/coverage.md` tells.
"""

__all__ = ("FEATURES", "FIELDS", "NOT_THERE")


def _below(prefix: str, words: str) -> list[str]:
    return [f"{prefix}{word}" for word in words.split()]


MEMORY = "linux.resources.memory."
BLOCK = "linux.resources.blockIO."

FIELDS: list[str] = [
    *_below("", "ociVersion hostname domainname annotations root.path root.readonly"),
    *_below("mounts.", "destination type source options uidMappings gidMappings"),
    *_below("hooks.", "prestart createRuntime createContainer startContainer"),
    *_below("hooks.", "poststart poststop path args env timeout"),
    *_below("process.", "terminal consoleSize cwd env args"),
    *_below("process.user.", "uid gid umask additionalGids"),
    *_below(
        "process.capabilities.", "bounding effective inheritable permitted ambient"
    ),
    *_below("process.", "rlimits noNewPrivileges apparmorProfile selinuxLabel"),
    *_below("process.", "oomScoreAdj"),
    *_below("process.scheduler.", "policy nice priority flags runtime deadline period"),
    *_below("process.ioPriority.", "class priority"),
    *_below("process.execCPUAffinity.", "initial final"),
    *_below("linux.namespaces.", "pid network mount ipc uts user cgroup time path"),
    *_below("linux.", "uidMappings gidMappings"),
    *_below("linux.timeOffsets.", "monotonic boottime"),
    *_below("linux.devices.", "type path major minor fileMode uid gid"),
    *_below("linux.", "netDevices cgroupsPath sysctl rootfsPropagation maskedPaths"),
    *_below("linux.", "readonlyPaths mountLabel"),
    *_below("linux.intelRdt.", "closID schemata l3CacheSchema memBwSchema"),
    "linux.intelRdt.enableMonitoring",
    *_below("linux.memoryPolicy.", "mode nodes flags"),
    *_below("linux.personality.", "domain flags"),
    *_below("linux.resources.devices.", "allow type major minor access"),
    *_below(MEMORY, "limit reservation swap kernel kernelTCP swappiness"),
    *_below(MEMORY, "disableOOMKiller useHierarchy checkBeforeUpdate"),
    *_below("linux.resources.cpu.", "shares quota burst period realtimeRuntime"),
    *_below("linux.resources.cpu.", "realtimePeriod cpus mems idle"),
    "linux.resources.pids.limit",
    *_below(BLOCK, "weight leafWeight weightDevice throttleReadBpsDevice"),
    *_below(BLOCK, "throttleWriteBpsDevice throttleReadIOPSDevice"),
    *_below(BLOCK, "throttleWriteIOPSDevice"),
    "linux.resources.hugepageLimits",
    *_below("linux.resources.network.", "classID priorities"),
    *_below("linux.resources.", "rdma unified"),
    *_below("linux.seccomp.", "defaultAction defaultErrnoRet architectures flags"),
    *_below("linux.seccomp.", "listenerPath listenerMetadata"),
    *_below("linux.seccomp.syscalls.", "names action errnoRet args"),
]
"""Every field that runtime-spec 1.3 has for Linux, without the indexes of lists."""

FEATURES: dict[str, list[str]] = {
    "namespaces": [
        "pid, network, mount, uts and ipc namespaces",
        "user namespace at creation",
        "joining a user namespace",
        "cgroup namespace",
        "time namespace and offsets",
        "namespaces by path",
        "newuidmap and rootless",
        "automatic user namespace from subuid",
        "user and group names of the root's files",
        "setgroups denied",
    ],
    "root file system": [
        "pivot_root",
        "moving the mount instead of pivot_root",
        "read-only root",
        "PivotDir",
        "propagation of the root",
        "arbitrary file systems",
        "cgroup mounts",
        "tmpcopyup",
        "id-mapped mounts",
        "recursive attributes",
        "src-nofollow and dest-nofollow",
        "copy-symlink",
        "nosymfollow",
        "relabelling by z and Z",
        "commands around mounts",
        "masked files",
        "masked directories",
        "read-only paths",
        "device nodes, or binds of them",
        "links in /dev",
        "FIFO devices",
        "umask",
        "mounts in a running container",
    ],
    "security": [
        "five capability sets",
        "no_new_privs",
        "seccomp filter",
        "seccomp on processes that join",
        "seccomp for several architectures",
        "seccomp notification",
        "raw BPF",
        "cache of compiled filters",
        "ENOSYS for calls newer than the filter",
        "AppArmor",
        "SELinux process label",
        "SELinux mount label",
        "new session keyring",
        "sysctl",
        "rlimits",
        "oom_score_adj",
        "executable that can't be overwritten",
        "paths resolved inside the root",
        "parent death signal",
        "scheduler and I/O priority",
        "NUMA memory policy and personality",
        "CPU affinity of who joins",
        "Intel RDT",
        "domain name",
        "Landlock",
        "verification before the program runs",
    ],
    "network": [
        "loopback",
        "veth, bridge, hairpin, IPv6, MTU",
        "static routes",
        "moving a host device",
        "published ports and masquerading",
        "networks without privileges",
        "DNS files",
    ],
    "cgroups": [
        "cgroup v1",
        "cgroup v2",
        "systemd on v2 and its user manager",
        "systemd on v1",
        "no cgroups",
        "device rules on v1",
        "device rules by eBPF",
        "pids",
        "raw cgroup2 values",
        "CPU burst and idle",
        "huge pages",
        "net_cls and net_prio",
        "rdma limits",
        "kernel memory limit",
        "no limit below what is in use",
        "CLONE_INTO_CGROUP",
        "properties of systemd by annotation",
        "cgroup.kill",
        "pause and resume",
        "live update",
        "delegation to users",
    ],
    "events": [
        "statistics",
        "periodic samples",
        "stream of out-of-memory kills",
        "memory pressure on v1",
        "pressure stalls",
        "statistics of interfaces",
        "hooks of six kinds",
        "LISTEN_FDS",
        "NOTIFY_SOCKET",
        "console socket and pidfd socket",
        "created and started in two steps",
    ],
}
"""What other runtimes have, by group."""

NOT_THERE: dict[str, str] = {
    "linux.resources.memory.useHierarchy": (
        "the kernel counts by hierarchy since 5.11: true is what happens, false is"
        " refused"
    ),
}
"""What isn't acted on, and why."""
