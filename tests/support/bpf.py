"""A small interpreter of BPF: what the kernel answers to a call under a filter."""

import struct

__all__ = ("errno_of", "run")


def run(program: bytes, arch: int, number: int, args: tuple[int, ...] = ()) -> int:
    """The ``SECCOMP_RET_*`` of one call; see Documentation/networking/filter.rst.

    Raises:
        ValueError: an instruction that seccomp doesn't take.
    """
    data = struct.pack("<IIQ6Q", number, arch, 0, *args, *[0] * (6 - len(args)))
    code = list(struct.iter_unpack("=HBBI", program))
    pc = accumulator = 0
    while True:
        op, jt, jf, k = code[pc]
        pc += 1
        match op:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x05:
                pc += k
            case 0x15:
                pc += jt if accumulator == k else jf
            case 0x25:
                pc += jt if accumulator > k else jf
            case 0x35:
                pc += jt if accumulator >= k else jf
            case 0x06:
                return int(k)
            case _:
                raise ValueError(f"opcode {op:#x}")


def errno_of(answer: int) -> int | None:
    """The errno that an answer gives, or ``None`` for another kind."""
    return answer & 0xFFFF if answer >> 16 == 5 else None
