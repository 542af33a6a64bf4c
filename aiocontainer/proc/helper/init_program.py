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
    """A sealed memfd that holds the executable; its descriptor."""
    memfd = create_memfd("aiocontainer-init")
    os.write(memfd, elf(c.MACHINE))
    fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, c.F_SEAL_ALL & ~c.F_SEAL_EXEC)
    return memfd


def create_memfd(name: str) -> int:
    """A memfd that may be executed and sealed."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | c.MFD_EXEC)
    except OSError:  # MFD_EXEC is of Linux 6.3
        return os.memfd_create(name, flags)
