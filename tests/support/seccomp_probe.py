"""Loads a filter, then makes system calls by number. A program of its own.

Reads ``{"bpf": hex, "calls": [[entry, number, argument...], ...]}`` and writes the list
of results: the errno of each call, or 0. Every call is made in a child, so that one
which succeeds changes nothing for the next.
"""

import ctypes
import json
import mmap
import os
import sys

SYS_SECCOMP = 317
PR_SET_NO_NEW_PRIVS = 38

# int f(int number, int a, int b): the entry of 32-bit programs, from a 64-bit one.
INT80 = bytes.fromhex("53 89f8 89f3 89d1 31d2 31f6 31ff cd80 5b c3")

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def load(bpf: bytes) -> None:
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("no_new_privs")
    program = Program(len(bpf) // 8, bpf)
    if libc.syscall(SYS_SECCOMP, 1, 0, ctypes.byref(program)) != 0:
        sys.exit(f"the kernel refused the filter: {os.strerror(ctypes.get_errno())}")


def int80_function():
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(INT80)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call = ctypes.CFUNCTYPE(*[ctypes.c_int] * 4)(address)
    return memory, call


def make(entry: str, number: int, args: list[int], int80) -> int:
    if entry == "x86":
        result = int80(number, *[*args, 0, 0][:2])
        return -result if -4096 < result < 0 else 0
    arguments = [ctypes.c_ulong(value) for value in [*args, *[0] * 6][:6]]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *arguments)
    return ctypes.get_errno() if result == -1 else 0


def main() -> None:
    request = json.load(sys.stdin)
    _memory, int80 = int80_function()
    load(bytes.fromhex(request["bpf"]))
    results = []
    for entry, number, *args in request["calls"]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = make(entry, number, args, int80)
            os.write(writer, code.to_bytes(2, "little"))
            os._exit(0)
        os.close(writer)
        answer = os.read(reader, 2)
        os.close(reader)
        os.waitpid(pid, 0)
        results.append(int.from_bytes(answer, "little") if answer else None)
    json.dump(results, sys.stdout)


main()
