"""Loading small BPF programs and attaching them to cgroups, by bpf(2).

Names and numbers are those of ``include/uapi/linux/bpf.h``.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import (
    Structure,
    addressof,
    byref,
    c_char,
    c_int,
    c_uint32,
    c_uint64,
    c_void_p,
    create_string_buffer,
    sizeof,
)
from typing import Final

from .constants import MACHINE
from .libc import call, syscall

__all__ = (
    "BPF_CGROUP_DEVICE",
    "BPF_PROG_TYPE_CGROUP_DEVICE",
    "attach",
    "attached",
    "instruction",
    "load",
    "name_of",
)

# Older than the table that all architectures share.
_NUMBERS: Final = {
    "x86_64": 321,
    "aarch64": 280,
    "riscv64": 280,
    "loongarch64": 280,
    "ppc64le": 361,
    "s390x": 351,
    "armv7l": 386,
    "i686": 357,
}
_bpf = syscall(_NUMBERS.get(MACHINE, 280), c_int, c_void_p, c_uint32)

_PROG_LOAD: Final = 5
_PROG_ATTACH: Final = 8
_PROG_GET_FD_BY_ID: Final = 13
_OBJ_GET_INFO_BY_FD: Final = 15
_PROG_QUERY: Final = 16

BPF_PROG_TYPE_CGROUP_DEVICE: Final = 15
BPF_CGROUP_DEVICE: Final = 6
"""Where such a program is attached (``enum bpf_attach_type``)."""
_ALLOW_MULTI: Final = 1 << 1
_REPLACE: Final = 1 << 2

_LOG_BYTES: Final = 1 << 16


class _Load(Structure):
    _fields_ = (
        ("prog_type", c_uint32),
        ("insn_cnt", c_uint32),
        ("insns", c_uint64),
        ("license", c_uint64),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_uint64),
        ("kern_version", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_name", c_char * 16),
    )


class _Attach(Structure):
    _fields_ = (
        ("target_fd", c_uint32),
        ("attach_bpf_fd", c_uint32),
        ("attach_type", c_uint32),
        ("attach_flags", c_uint32),
        ("replace_bpf_fd", c_uint32),
    )


class _Query(Structure):
    _fields_ = (
        ("target_fd", c_uint32),
        ("attach_type", c_uint32),
        ("query_flags", c_uint32),
        ("attach_flags", c_uint32),
        ("prog_ids", c_uint64),
        ("prog_cnt", c_uint32),
        ("_padding", c_uint32),
    )


class _GetFdById(Structure):
    _fields_ = (("prog_id", c_uint32), ("next_id", c_uint32), ("open_flags", c_uint32))


class _GetInfo(Structure):
    _fields_ = (("bpf_fd", c_uint32), ("info_len", c_uint32), ("info", c_uint64))


def _call(command: int, attributes: Structure, name: str) -> int:
    size = sizeof(attributes)
    found: int = call("bpf", _bpf, command, byref(attributes), size, path=name)
    return found


def instruction(
    code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    """One ``struct bpf_insn``."""
    return struct.pack("=BBhi", code, src << 4 | dst, offset, value)


def load(kind: int, instructions: bytes, name: str) -> int:
    """Have a program checked and loaded; the descriptor of it, close-on-exec.

    Args:
        kind: ``BPF_PROG_TYPE_...``.
        instructions: 8 bytes each.
        name: by which it is listed, at most 15 letters, digits and underscores.

    Raises:
        OSError: no permission, or the verifier refused it; a note has its words.
    """
    code = create_string_buffer(instructions, len(instructions))
    # The device hook uses no helper that is for GPL programs only.
    license_ = create_string_buffer(b"Apache-2.0")
    attributes = _Load(
        prog_type=kind,
        insn_cnt=len(instructions) // 8,
        insns=addressof(code),
        license=addressof(license_),
        prog_name=name.encode(),
    )
    try:
        return _call(_PROG_LOAD, attributes, name)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            raise
        log = create_string_buffer(_LOG_BYTES)
        attributes.log_level, attributes.log_size = 1, _LOG_BYTES
        attributes.log_buf = addressof(log)
        try:
            return _call(_PROG_LOAD, attributes, name)
        except OSError as second:
            second.add_note(log.value.decode(errors="replace")[-2000:])
            raise


def attach(cgroup: int, program: int, kind: int, replacing: int | None = None) -> None:
    """Attach a program to a cgroup, beside those of others, of which all must agree.

    It stays when the descriptors are closed, until the cgroup is removed.

    Args:
        cgroup: descriptor of its directory.
        program: descriptor of the program.
        kind: where, ``BPF_CGROUP_...``.
        replacing: descriptor of an attached program, whose place it takes at once.

    Raises:
        OSError: no permission, or a program above it doesn't admit others.
    """
    flags = _ALLOW_MULTI if replacing is None else _ALLOW_MULTI | _REPLACE
    attributes = _Attach(cgroup, program, kind, flags, replacing or 0)
    _call(_PROG_ATTACH, attributes, "cgroup")


def attached(cgroup: int, kind: int) -> list[int]:
    """Descriptors of the programs of a cgroup itself, which the caller closes."""
    identities = (c_uint32 * 64)()
    query = _Query(cgroup, kind, 0, 0, addressof(identities), len(identities))
    _call(_PROG_QUERY, query, "cgroup")
    found: list[int] = []
    try:
        found.extend(
            _call(_PROG_GET_FD_BY_ID, _GetFdById(identity), "program")
            for identity in identities[: query.prog_cnt]
        )
    except BaseException:
        for fd in found:
            os.close(fd)
        raise
    return found


def name_of(program: int) -> str:
    """The name that a program was loaded with."""
    info = create_string_buffer(128)
    _call(_OBJ_GET_INFO_BY_FD, _GetInfo(program, len(info), addressof(info)), "program")
    # struct bpf_prog_info: eight fields of 40 bytes in all come before created_by_uid,
    # nr_map_ids and map_ids; then the name.
    return info.raw[64:80].split(b"\0", 1)[0].decode()
