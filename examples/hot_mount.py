"""A container that is given a directory while it runs, and loses it again.

python examples/hot_mount.py
"""

import tempfile
from pathlib import Path

import anyio

from aiocontainer import PIPE, Config, Container, Mount, Rootfs

WATCH = "while read line; do ls /run/shared 2>/dev/null | grep . || echo nothing; done"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "report.txt").touch()
        async with Container(Config(rootfs=Rootfs.host())) as container:
            process = await container.start(
                ["sh", "-c", WATCH], stdin=PIPE, stdout=PIPE
            )
            lines = process.stdout.lines()

            async def ask(when: str) -> None:
                await process.stdin.send(b"\n")
                print(f"{when}: {(await anext(lines)).decode().strip()}")

            await ask("before")
            await container.mount(Mount.bind(folder, "/run/shared", readonly=True))
            await ask("mounted")
            await container.unmount("/run/shared")
            await ask("after")


anyio.run(main)
