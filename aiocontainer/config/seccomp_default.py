"""The library's own filter."""

from typing import Final

from .seccomp import Seccomp, SyscallRule

__all__ = ("DEFAULT_SECCOMP",)

DEFAULT_SECCOMP: Final = Seccomp(
    default_action="ALLOW",
    syscalls=(SyscallRule(names=("io_uring_setup",), action="ERRNO"),),
)
