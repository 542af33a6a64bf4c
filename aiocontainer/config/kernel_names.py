"""What the kernel calls things, by number. Nothing is imported for it."""

from typing import Final

__all__ = (
    "CAPABILITIES",
    "DEVICE_NUMBERS",
    "RLIMITS",
    "SECCOMP_ACTIONS",
    "SECCOMP_ARCHITECTURES",
)

_CAPABILITIES: Final = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE
SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
CHECKPOINT_RESTORE
"""

CAPABILITIES: Final[dict[str, int]] = {
    f"CAP_{name}": number for number, name in enumerate(_CAPABILITIES.split())
}
"""Number of each capability, from ``include/uapi/linux/capability.h``."""

_RLIMITS: Final = """
CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE
RTPRIO RTTIME
"""

RLIMITS: Final[dict[str, int]] = {
    f"RLIMIT_{name}": number for number, name in enumerate(_RLIMITS.split())
}
"""Number of each resource, from ``include/uapi/asm-generic/resource.h``."""

DEVICE_NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
    "/dev/tty": (5, 0),
}
"""Major and minor number of the character devices that every container has, from
``Documentation/admin-guide/devices.txt``."""

SECCOMP_ACTIONS: Final = (
    *("KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "NOTIFY", "TRACE", "LOG"),
    "ALLOW",
)
"""``SECCOMP_RET_*``, the strictest first."""

SECCOMP_ARCHITECTURES: Final = (
    *("X86_64", "X86", "X32", "AARCH64", "ARM", "MIPS", "MIPS64", "MIPS64N32"),
    *("MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390"),
    *("S390X", "PARISC", "PARISC64", "RISCV64", "LOONGARCH64", "M68K", "SH", "SHEB"),
)
"""Entries to the kernel, as libseccomp calls them."""
