"""Seccomp: which system calls a process may make."""

import sys
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, Strict, model_validator

from .base import AbsolutePath, ConfigError, Model, Text, Whole
from .capabilities import CapabilitySet

__all__ = (
    "Action",
    "Architecture",
    "ArgRule",
    "Operator",
    "Seccomp",
    "SyscallRule",
    "require_answerable",
)

Action: TypeAlias = Literal[
    "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "NOTIFY", "TRACE", "LOG", "ALLOW"
]
"""What happens; the names are those of ``SECCOMP_RET_*``."""

Operator: TypeAlias = Literal["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]

Architecture: TypeAlias = Literal[
    "X86_64", "X86", "X32", "AARCH64", "ARM", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL",
    "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390", "S390X", "PARISC",
    "PARISC64", "RISCV64", "LOONGARCH64", "M68K", "SH", "SHEB",
]  # fmt: skip
"""An entry to the kernel; a machine can have several (``X86_64``, ``X86``, ``X32``)."""

Flag: TypeAlias = Literal["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]

_Errno: TypeAlias = Annotated[Whole, Field(ge=0, le=4095)]
_U64: TypeAlias = Annotated[Whole, Field(ge=0, le=2**64 - 1)]


class ArgRule(Model):
    """A condition on one argument of a call, as an unsigned number of 64 bits.

    Where the kernel's argument is an ``int``, only 32 bits of it count: compare with
    ``MASKED_EQ`` and mask ``0xffffffff``, or the condition can be evaded.
    """

    index: Annotated[Whole, Field(ge=0, le=5)]
    """Which argument, from 0."""
    value: _U64
    """What it is compared with; for ``MASKED_EQ`` the mask."""
    value_two: _U64 = 0
    """For ``MASKED_EQ``: what the masked argument has to be."""
    op: Operator

    @model_validator(mode="after")
    def _mask_covers_value(self) -> Self:
        if self.op == "MASKED_EQ" and self.value_two & ~self.value:
            raise ConfigError("value_two", "has bits outside the mask: never true")
        return self


def _syscall_name(name: str) -> str:
    if not name or not name.isascii() or not name.replace("_", "a").isalnum():
        raise ConfigError("", "should be the name of a system call")
    return name


SyscallName: TypeAlias = Annotated[Text, AfterValidator(_syscall_name)]


class SyscallRule(Model):
    """What happens on some calls, if all conditions hold."""

    names: Annotated[tuple[SyscallName, ...], Field(min_length=1)]
    """Calls; those this machine doesn't know are skipped."""
    action: Action = "ALLOW"
    errno: _Errno | None = None
    """What ``ERRNO`` gives (EPERM if ``None``) or what ``TRACE`` tells the tracer."""
    args: tuple[ArgRule, ...] = ()
    """All have to hold."""
    when_capabilities: CapabilitySet = frozenset()
    """Holds only for a process whose bounding set has all of these."""
    unless_capabilities: CapabilitySet = frozenset()
    """Holds only for a process whose bounding set has none of these."""
    architectures: tuple[Architecture, ...] = ()
    """Holds only on a machine whose own architecture is among these; empty is any."""
    min_kernel: tuple[Whole, Whole] | None = None
    """Holds only from this kernel release on, as ``(4, 8)``."""

    @model_validator(mode="after")
    def _errno_has_a_use(self) -> Self:
        if self.errno is not None and self.action not in ("ERRNO", "TRACE"):
            raise ConfigError("errno", f"has no meaning with {self.action}")
        return self


class Seccomp(Model):
    """A system call filter. Of two rules for a call, the earlier that holds counts."""

    default_action: Action = "ERRNO"
    """For calls that no rule names."""
    default_errno: _Errno | None = None
    """What a default of ``ERRNO`` gives; EPERM if ``None``."""
    architectures: tuple[Architecture, ...] = ()
    """Entries to the kernel that may be used at all; empty is the machine's own. Calls
    by any other get ENOSYS, as from a kernel without it."""
    flags: tuple[Flag, ...] = ()
    """``LOG`` and ``SPEC_ALLOW`` are given to seccomp(2). ``TSYNC`` has no effect: the
    filter is loaded by a process of one thread."""
    syscalls: tuple[SyscallRule, ...] = ()
    listener_path: AbsolutePath | None = None
    """Socket of an agent that the listener of ``NOTIFY`` is sent to, as the OCI
    runtime-spec says. Without one the calls are in `Process.syscalls`."""
    listener_metadata: Annotated[Text, Field(max_length=16384)] | None = None
    """Told to the agent as it is."""
    bpf: Annotated[bytes, Strict()] | None = None
    """A filter that was compiled elsewhere, for this machine: an array of ``struct
    sock_filter``, loaded as it is. No actions, rules or architectures beside it."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    @classmethod
    def from_docker(cls, profile: str | bytes | dict[str, Any]) -> Self:
        """Read a profile as Docker and Podman have it, or the OCI form.

        Conditional rules (capabilities, architectures, kernel) are kept as conditions.

        Raises:
            ConfigError: no such profile. Unknown system call names are no error.
        """
        from .seccomp_docker import translate

        return cls(**translate(profile))

    def to_oci(self, capabilities: Iterable[str] = ()) -> dict[str, Any]:
        """The ``linux.seccomp`` of an OCI document that means the same on this machine,
        for a process whose bounding set is ``capabilities``. `from_docker` reads it.

        Raises:
            UnsupportedFeature: OCI has no words for it.
        """
        from .oci.write_seccomp import write_seccomp

        return write_seccomp(self.model_dump(), frozenset(capabilities))

    @model_validator(mode="after")
    def _bpf_is_all(self) -> Self:
        if self.bpf is None:
            return self
        for field in ("default_action", "default_errno", "architectures", "syscalls"):
            if getattr(self, field) != type(self).model_fields[field].default:
                raise ConfigError(field, "has no meaning beside bpf")
        if not self.bpf or len(self.bpf) % 8 or len(self.bpf) > 8 * 4096:
            raise ConfigError("bpf", "should be 1 to 4096 instructions of 8 bytes")
        if self.bpf[-8:-6] != _RETURN_CONSTANT and self.bpf[-8:-6] != _RETURN_REGISTER:
            raise ConfigError("bpf", "should end with a return")
        return self

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        if self.default_action == "NOTIFY":
            # The listener itself is handed over by a system call of the process.
            raise ConfigError("default_action", "NOTIFY can't be the default")
        if self.default_errno is not None and self.default_action not in (
            "ERRNO",
            "TRACE",
        ):
            raise ConfigError(
                "default_errno", f"has no meaning with {self.default_action}"
            )
        require_answerable(self, _OF_EXEC)
        return self


# BPF_RET | BPF_K and BPF_RET | BPF_A, of include/uapi/linux/bpf_common.h.
_RETURN_CONSTANT: Final = (0x06).to_bytes(2, sys.byteorder)
_RETURN_REGISTER: Final = (0x16).to_bytes(2, sys.byteorder)

_OF_EXEC: Final = frozenset({"execve", "execveat", "exit_group"})

# What a child calls between loading its filter and its exec, where no_new_privs is off:
# the filter then has to come before the privileges go.
_AFTER_EARLY_LOAD: Final = """
    accept accept4 access brk capset chdir close close_range dup2 dup3 faccessat
    faccessat2 fcntl fcntl64 fstatat64 getcwd getpid getsockname mmap mmap2 mremap
    munmap newfstatat pidfd_open prctl prlimit64 recv recvfrom rt_sigprocmask
    rt_sigreturn send sendmsg sendto setgroups setgroups32 setresgid setresgid32
    setresuid setresuid32 stat stat64 statx umask write
"""
_OF_PRIVILEGES: Final = frozenset(_AFTER_EARLY_LOAD.split())


def require_answerable(seccomp: Seccomp, own: frozenset[str] = _OF_PRIVILEGES) -> None:
    """Refuse ``NOTIFY`` for calls of the child itself, which nobody could answer: the
    listener is handed over by its exec.

    Raises:
        ConfigError: a rule has it for one of these.
    """
    for index, rule in enumerate(seccomp.syscalls):
        for name in rule.names:
            if rule.action == "NOTIFY" and name in own:
                reason = f"NOTIFY can't be used for {name}"
                if own is _OF_PRIVILEGES:
                    reason += " without no_new_privs"
                raise ConfigError(f"syscalls[{index}].names", reason)
