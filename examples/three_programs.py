"""A container that one program starts, a second one watches and a third one ends.

python examples/three_programs.py            all three, one after the other
python examples/three_programs.py start      or each by hand: start, watch, end
"""

import subprocess
import sys

import anyio

from aiocontainer import Config, Exit, Rootfs, Runtime

NAME = "three-programs"
WORK = ["sh", "-c", "while :; do sleep 0.1; done"]


async def start() -> None:
    """Make it and let it be: it lives on when this program has ended."""
    config = Config(rootfs=Rootfs.host(), memory="64MiB", pids=16)
    async with await Runtime().create(NAME, config, WORK, detach=True) as container:
        await container.start()
        print(f"started: {container.status()} as pid {container.pid}", flush=True)


async def watch() -> None:
    """See what happens in it, until it ends."""
    async with Runtime().load(NAME) as container, container.events() as events:
        memory = (await container.stats()).memory
        print(f"watching: {memory.usage.usage_bytes // 1024} KiB in use", flush=True)
        async for event in events:
            if isinstance(event, Exit) and event.init:
                print(f"seen: it ended with {event.returncode}", flush=True)


async def end() -> None:
    """Run something in it, then end and remove it."""
    async with Runtime().load(NAME) as container:
        result = await container.run(["hostname"])
        print(f"ending: {result.stdout.decode().strip()}", flush=True)
        await container.destroy()


role = {"start": start, "watch": watch, "end": end}.get(sys.argv[-1])
if role is not None:
    anyio.run(role)
else:
    me = [sys.executable, __file__]
    subprocess.run([*me, "start"], check=True)
    with subprocess.Popen([*me, "watch"], stdout=subprocess.PIPE) as watcher:
        print(watcher.stdout.readline().decode(), end="", flush=True)
        subprocess.run([*me, "end"], check=True)
        print(watcher.stdout.read().decode(), end="")
