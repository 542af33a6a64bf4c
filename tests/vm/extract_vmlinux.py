"""Unpack the ELF kernel from a bzImage whose payload is zstd.

    python extract_vmlinux.py VMLINUZ OUTPUT

The layout is Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset and
payload_length at 0x248.
"""

import struct
import subprocess
import sys
from pathlib import Path

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

image = Path(sys.argv[1]).read_bytes()
start = ((image[0x1F1] or 4) + 1) * 512
offset, length = struct.unpack_from("<II", image, 0x248)
payload = image[start + offset : start + offset + length - 4]  # then: unpacked size
if not payload.startswith(ZSTD_MAGIC):
    sys.exit(f"{sys.argv[1]}: the payload is not zstd")
words = ["zstd", "-dc"]
unpacked = subprocess.run(words, input=payload, stdout=subprocess.PIPE, check=True)
Path(sys.argv[2]).write_bytes(unpacked.stdout)
