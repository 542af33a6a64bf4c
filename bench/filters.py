"""The seccomp filter that the floor and the peers load: as strict as ours in kind.

An allow list: every call that libseccomp knows, less those that the usual default
profile of container engines keeps from a program without capabilities.
"""

import ctypes
import tempfile
from ctypes import c_char_p, c_int, c_uint32, c_void_p

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
EPERM = 1
ENOSYS = 38
OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE; 2 asks for a binary tree
LAST_CALL = 470

_DENIED = """
    acct add_key bpf chroot clock_adjtime clock_settime create_module delete_module
    fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms
    get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm
    iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages
    mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree
    perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv
    process_vm_writev ptrace query_module quotactl quotactl_fd reboot request_key
    set_mempolicy sethostname setdomainname setns settimeofday swapoff swapon _sysctl
    sysfs syslog umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old vserver
"""
DENIED = frozenset(_DENIED.split())


class Libseccomp:
    """As much of libseccomp as it takes to write one filter."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libseccomp.so.2")
        self._init = library.seccomp_init
        self._init.argtypes, self._init.restype = [c_uint32], c_void_p
        self._name = library.seccomp_syscall_resolve_num_arch
        self._name.argtypes, self._name.restype = [c_uint32, c_int], c_void_p
        self._rule = library.seccomp_rule_add_array
        self._rule.argtypes = [c_void_p, c_uint32, c_int, c_uint32, c_void_p]
        self._set = library.seccomp_attr_set
        self._set.argtypes = [c_void_p, c_uint32, c_uint32]
        self._export = library.seccomp_export_bpf
        self._export.argtypes = [c_void_p, c_int]
        self._native = library.seccomp_arch_native()

    def calls(self) -> dict[str, int]:
        """Each call of this machine by name, with its number."""
        found = {}
        for number in range(LAST_CALL):
            name = self._name(self._native & 0xFFFFFFFF, number)
            if name:
                found[ctypes.cast(name, c_char_p).value.decode()] = number  # type: ignore[union-attr]
        return found

    def compile(self, allowed: dict[str, int]) -> bytes:
        """BPF that allows ``allowed`` and answers all other calls with EPERM."""
        context = self._init(ERRNO | EPERM)
        self._set(context, OPTIMIZE, 2)
        for number in allowed.values():
            if self._rule(context, ALLOW, number, 0, None):
                raise OSError(f"libseccomp refused call {number}")
        with tempfile.TemporaryFile() as file:
            self._export(context, file.fileno())
            file.seek(0)
            return file.read()


def allowed_calls() -> dict[str, int]:
    """What a program in the compared containers may call."""
    calls = Libseccomp().calls()
    return {name: number for name, number in calls.items() if name not in DENIED}


def bpf() -> bytes:
    """The filter as the kernel takes it."""
    return Libseccomp().compile(allowed_calls())
