"""System calls that this program answers: a name of its own, and a mount by proxy."""

import errno

import anyio

from aiocontainer import (
    Answer,
    Config,
    Container,
    Errno,
    Mount,
    Return,
    Rootfs,
    SyscallCall,
    SyscallRule,
)
from aiocontainer.config import DEFAULT_SECCOMP, replace

ASKED = SyscallRule(names=["uname", "mount"], action="NOTIFY")
FILTER = replace(DEFAULT_SECCOMP, syscalls=[ASKED, *DEFAULT_SECCOMP.syscalls])
SCRIPT = """
uname -srm
mount -t tmpfs any /mnt && grep /mnt /proc/mounts
mount -t ext4 /dev/sda1 /mnt
"""


async def main() -> None:
    """Run a shell that has no right to mount, and whose uname(2) comes here too."""
    async with Container(Config(rootfs=Rootfs.host(), seccomp=FILTER)) as container:

        async def decide(call: SyscallCall) -> Answer:
            if call.name == "uname":
                names = (b"Unix", b"host", b"V7", b"#1 1979", b"PDP-11/45", b"")
                await call.write(
                    call.args[0], b"".join(n.ljust(65, b"\0") for n in names)
                )
                return Return(0)
            where = await call.read_path(call.args[1])
            kind = await call.read_string(call.args[2])
            print(f"process {call.pid} wants {kind.decode()} on {where}")
            if kind != b"tmpfs":
                return Errno(errno.EPERM)
            await container.mount(Mount(destination=where, type="tmpfs"))
            return Return(0)

        result = await container.run(["sh", "-c", SCRIPT], on_syscall=decide)
        print(result.stdout.decode() + result.stderr.decode())


anyio.run(main)
