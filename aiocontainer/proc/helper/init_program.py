"""The built-in init: pid 1 of a container that has no program of its own.

A Python process would do, at a megabyte for each container and with the interpreter as
the container's pid 1. This is one page: it blocks all signals, waits for one, reaps on
SIGCHLD and sends every other signal on to all other processes. Nothing of it comes from
the container's files. Sources: ``init_x86_64.S`` and ``init_aarch64.S``; a test
assembles them and compares.
"""

from __future__ import annotations

import fcntl
import os
import struct

from ..._sys import constants as c
from ..._sys import mounts

_CODE = {
    "x86_64": (
        62,  # EM_X86_64
        "6affb80e00000031ff4889e631d241ba080000000f05b8800000004889e731f6"
        "31d241ba080000000f0583f811741685c07ee389c648c7c7ffffffffb83e0000"
        "000f05ebd1b83d00000048c7c7ffffffff31f6ba010000404531d20f0585c07f"
        "e4ebb3",
    ),
    "aarch64": (
        183,  # EM_AARCH64
        "00008092e00f1ff8e81080d2000080d2e1030091020080d2030180d2010000d4"
        "281180d2e0030091010080d2020080d2030180d2010000d41f4400f100010054"
        "1f0000f1edfeff54e10300aa00008092281080d2010000d4f2ffff17882080d2"
        "00008092010080d20200a8d2220080f2030080d2010000d41f0000f10cffff54"
        "e8ffff17",
    ),
}
_LOAD_ADDRESS = 0x400000
_HEADERS = 64 + 56


def elf(machine: str) -> bytes:
    """A complete static executable: an ELF header, one program header, the code."""
    number, code = _CODE[machine]
    text = bytes.fromhex(code)
    entry = _LOAD_ADDRESS + _HEADERS
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        identification,
        2,  # ET_EXEC
        number,
        1,
        entry,
        64,  # program headers follow
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    size = _HEADERS + len(text)
    # PT_LOAD, readable and executable, the whole file.
    segment = struct.pack(
        "<IIQQQQQQ", 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, 0x10000
    )
    return header + segment + text


def make() -> int:
    """The executable, for all containers, where none of them can change it: a
    descriptor.

    A container's root reaches it as /proc/1/exe. A sealed memfd keeps its content, but
    not its mode or ACL, and who takes the x bits away stops every later container.
    """
    try:
        return _on_readonly_mount()
    except OSError:  # not privileged
        return _sealed_memfd()


def _on_readonly_mount() -> int:
    options = ((b"size", b"64k"), (b"nr_inodes", b"8"), (b"mode", b"755"))
    attributes = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV
    mount = mounts.new_filesystem(b"tmpfs", options, attributes)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        writing = os.open(b"init", flags, 0o555, dir_fd=mount)
        os.write(writing, elf(c.MACHINE))
        os.close(writing)
        # The only mount there is of this file system, and it is attached nowhere.
        mounts.set_attributes(mount, c.MOUNT_ATTR_RDONLY)
        return os.open(b"init", os.O_RDONLY | os.O_CLOEXEC, dir_fd=mount)
    finally:
        os.close(mount)


def _sealed_memfd() -> int:
    memfd = create_memfd("aiocontainer-init")
    os.write(memfd, elf(c.MACHINE))
    seal(memfd)
    return memfd


def seal(memfd: int) -> None:
    """Nothing can be written to it any more, nor its x bits changed (Linux 6.3)."""
    try:
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, c.F_SEAL_ALL)
    except OSError:
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, c.F_SEAL_ALL & ~c.F_SEAL_EXEC)


def create_memfd(name: str) -> int:
    """A memfd that may be executed and sealed."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | c.MFD_EXEC)
    except OSError:  # MFD_EXEC is of Linux 6.3
        return os.memfd_create(name, flags)
