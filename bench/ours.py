"""Our contestant: a program with an event loop that uses aiocontainer's public API.

Started as ``python -m bench.ours LOOP ROOTFS``; each line on stdin is a JSON object
``{"job": NAME, ...}``, answered by that coroutine's result.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiocontainer import PIPE, Config, Container, run
from bench.cgroup_folders import hierarchies
from bench.coprocess import Coprocess
from bench.lag import lag

TRUE = ["/bin/true"]
SLEEP = ["/bin/sleep", "1000000"]
LIMITS: dict[str, Any] = {"memory": "256MiB", "pids": 64, "cpus": 1.5}


class Ours:
    """The jobs. State that lasts over several (a running container) is on the stack."""

    def __init__(self, rootfs: str) -> None:
        self.config = Config(rootfs=rootfs)
        self.limited = Config(rootfs=rootfs, **LIMITS)
        self._stack = AsyncExitStack()
        self._joined: Container | None = None

    async def life(self, times: int, limited: bool = False) -> list[int]:
        """Whole lives, one after the other: ns of each."""
        config = self.limited if limited else self.config
        samples = []
        for _ in range(times):
            began = time.monotonic_ns()
            result = await run(config, TRUE)
            samples.append(time.monotonic_ns() - began)
            expect_success(result)
        return samples

    async def joined(self) -> Container:
        """A container that runs until the end of this process."""
        if self._joined is None:
            container = await self._stack.enter_async_context(Container(self.limited))
            await container.start(SLEEP)
            self._joined = container
        return self._joined

    async def join(self, times: int) -> list[int]:
        """Programs run in a running container, one after the other: ns of each."""
        container = await self.joined()
        samples = []
        for _ in range(times):
            began = time.monotonic_ns()
            result = await container.run(TRUE)
            samples.append(time.monotonic_ns() - began)
            expect_success(result)
        return samples

    async def flight(self, width: int, total: int, limited: bool = False) -> Any:
        """``total`` lives, ``width`` of them at a time: ns of all, and the lag."""
        config = self.limited if limited else self.config
        left = iter(range(total))

        async def one_lane() -> None:
            for _ in left:
                expect_success(await run(config, TRUE))

        with lag() as meter:
            began = time.monotonic_ns()
            async with asyncio.TaskGroup() as group:
                for _ in range(width):
                    group.create_task(one_lane())
            elapsed_ns = time.monotonic_ns() - began
        return {"ns": elapsed_ns, "lag_p99_ms": meter.p99_ms()}

    async def alive(self, count: int, width: int = 32) -> Any:
        """Containers alive at once: what each costs this program, and the lag."""
        await self.life(3)
        before = memory_kib(), descriptors()
        left = iter(range(count))
        async with AsyncExitStack() as stack:

            async def one_lane() -> None:
                for _ in left:
                    container = await stack.enter_async_context(Container(self.config))
                    await container.start(SLEEP)

            with lag() as meter:
                began = time.monotonic_ns()
                async with asyncio.TaskGroup() as group:
                    for _ in range(width):
                        group.create_task(one_lane())
                elapsed_ns = time.monotonic_ns() - began
            after = memory_kib(), descriptors()
        return {
            "ns": elapsed_ns,
            "kib_each": (after[0] - before[0]) / count,
            "descriptors_each": (after[1] - before[1]) / count,
            "lag_p99_ms": meter.p99_ms(),
            "descriptors_left": descriptors() - before[1],
        }

    async def stdout(self, count_mib: int) -> Any:
        """Read all that a program writes: ns, bytes, and how much memory that took."""
        words = ["/bin/dd", "if=/dev/zero", "bs=1M", f"count={count_mib}"]
        container = await self.joined()
        before_kib, total = peak_kib(), 0
        began = time.monotonic_ns()
        process = await container.start(words, stdout=PIPE)
        assert process.stdout is not None
        async for chunk in process.stdout:
            total += len(chunk)
        await process.wait()
        elapsed_ns = time.monotonic_ns() - began
        return {"ns": elapsed_ns, "bytes": total, "grown_kib": peak_kib() - before_kib}

    async def stats(self, times: int, parsed: bool = False) -> list[int]:
        """Full samples of one container: ns of each; with all figures looked at."""
        container = await self.joined()
        samples = []
        for _ in range(times):
            began = time.monotonic_ns()
            sample = await container.stats()
            if parsed:
                sample.to_dict()
            samples.append(time.monotonic_ns() - began)
        return samples

    async def stats_files(self) -> list[str]:
        """Which files one full sample reads (seen by an audit hook and in /proc)."""
        container = await self.joined()
        await container.stats()
        seen: list[str] = []
        listening, directory = True, ""

        def note(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal directory
            if not listening or event != "open" or not isinstance(arguments[0], str):
                return
            path = arguments[0]
            if os.path.isdir(path):
                directory = path  # of the names that follow
            else:
                seen.append(os.path.join(directory, path))

        sys.addaudithook(note)
        await container.stats()
        listening = False
        return [path for path in seen if os.path.exists(path)]

    async def watch(self, count: int, seconds: float, only: Any = None) -> Any:
        """CPU time of sampling ``count`` containers once a second, in s per s."""
        async with AsyncExitStack() as stack:
            containers = []
            for _ in range(count):
                container = await stack.enter_async_context(Container(self.limited))
                await container.start(SLEEP)
                containers.append(container)
            taken = 0

            async def sample(container: Container) -> None:
                nonlocal taken
                async for _ in container.watch_stats(interval=1.0, only=only):
                    taken += 1

            tasks = [asyncio.create_task(sample(container)) for container in containers]
            await asyncio.sleep(2)  # past the first samples, which all come at once
            held = descriptors()
            taken, began, began_cpu = 0, time.monotonic(), time.process_time()
            await asyncio.sleep(seconds)
            cpu_s, elapsed_s = time.process_time() - began_cpu, time.monotonic() - began
            for task in tasks:
                await end(task)
            return {
                "cpu_share": cpu_s / elapsed_s,
                "samples_per_s": taken / elapsed_s,
                "descriptors": held,
            }

    async def oom(self, kills: int, witness: str) -> Any:
        """Kills by the kernel: when each was seen in the iterator, when a C program
        that watches the same cgroup saw it, and when the victim took its last page."""
        config = Config(rootfs=self.config.rootfs, memory="16MiB")
        words = ["/bin/reads", "oom", str(kills), "3000"]
        seen_ns: list[int] = []
        async with Container(config) as container:
            await container.start(SLEEP)

            async def watch() -> None:
                async for event in container.oom_events():
                    seen_ns.extend([time.monotonic_ns()] * event.kills)

            watching = asyncio.create_task(watch())
            folder = memory_cgroup(container)
            with Coprocess([witness, "witness", str(folder)]) as told:
                await asyncio.to_thread(told.answer)  # it is ready
                result = await container.run(words)
                await asyncio.sleep(0.6)  # the last kill may be told a little later
                told_ns = await asyncio.to_thread(told.ask, "end")
            await end(watching)
        expect_success(result)
        touched_ns = [int(line) for line in result.stdout.split()]
        return {"seen_ns": seen_ns, "told_ns": told_ns, "touched_ns": touched_ns}

    async def aclose(self) -> None:
        """End what still runs."""
        await self._stack.aclose()


def memory_cgroup(container: Container) -> Path:
    """The cgroup v1 folder that holds a running container's memory limit."""
    for line in Path(f"/proc/{container.pid}/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers == "memory":
            mount = next(h.mount for h in hierarchies() if h.controllers == "memory")
            return mount / own.lstrip("/")
    raise RuntimeError("no memory controller of v1")


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task that should still run; if it failed, say how."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def expect_success(result: Any) -> None:
    """A life that failed is no figure."""
    if result.returncode != 0:
        raise RuntimeError(f"the program ended with {result}")


def memory_kib() -> int:
    """What this program holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def peak_kib() -> int:
    """The most that this program held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def descriptors() -> int:
    """How many this program has open."""
    return len(os.listdir("/proc/self/fd"))


async def serve(rootfs: str) -> None:
    """Answer until the end of the input."""
    ours = Ours(rootfs)
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            job = json.loads(line)
            try:
                answer = await getattr(ours, job.pop("job"))(**job)
            except Exception as error:  # its text is the answer
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    finally:
        await ours.aclose()


def main() -> None:
    """Run on the loop that was asked for."""
    name, rootfs = sys.argv[1:]
    factory = None
    if name == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(rootfs))


if __name__ == "__main__":
    main()
