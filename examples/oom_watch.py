"""Out-of-memory kills as they happen, each before the exit that it caused."""

import anyio

from aiocontainer import Config, Container, Exit, Oom, Rootfs

BOMB = ["sh", "-c", "x=x; while :; do x=$x$x; done"]


async def main() -> None:
    """Let three programs run into a limit that they share."""
    config = Config(rootfs=Rootfs.host(), memory="24MiB", pids=16)
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        async with container.events() as events, anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(container.run, BOMB)
            exits = 0
            async for event in events:
                match event:
                    case Oom(kills=kills, sub_cgroup=where):
                        print(f"{where}: the kernel killed {kills} for want of memory")
                    case Exit(pid=pid, returncode=code):
                        print(f"process {pid} ended: {code}")
                        exits += 1
                if exits == 3:
                    break


anyio.run(main)
