"""A container's statistics, twice a second while it works."""

import anyio

from aiocontainer import Config, Container, Rootfs

WORK = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo done"


async def main() -> None:
    """Watch a busy shell until it ends; the last sample is taken before it is gone."""
    config = Config(rootfs=Rootfs.host(), cpus=0.5, memory="64MiB")
    async with Container(config) as container:
        await container.start(["sh", "-c", WORK])
        async for sample in container.watch_stats(interval=0.5):
            stats = sample.value
            cpu_s = stats.cpu.total_ns / 1e9
            memory = stats.memory.usage.usage_bytes or 0
            last = " (last)" if sample.last else ""
            print(f"cpu {cpu_s:.2f} s, memory {memory / 2**20:.1f} MiB{last}")


anyio.run(main)
