"""What an online judge prints: verdict, times, peak memory; hostile programs too."""

import anyio

from aiocontainer import Config, ExitReason, Result, Rootfs, run

INPUT, EXPECTED = b"19 4\n", b"23\n"
LIMITS = Config(rootfs=Rootfs.host(), memory="64MiB", pids=16, user="65534:65534")
PROGRAMS = {
    "right": "read a b; echo $((a + b))",
    "wrong": "echo 42",
    "crashes": "exit 3",
    "endless": "while :; do :; done",
    "hungry": "x=x; while :; do x=$x$x; done",
    "talkative": "while :; do echo spam; done",
    "fork bomb": "f() { f | f & }; f; sleep 60",
}


def verdict(result: Result) -> str:
    """The usual words."""
    match result.reason:
        case ExitReason.TIMED_OUT:
            return "time limit exceeded"
        case ExitReason.OOM_KILLED:
            return "memory limit exceeded"
        case ExitReason.OUTPUT_LIMIT:
            return "output limit exceeded"
        case ExitReason.EXITED if result.returncode == 0:
            return "accepted" if result.stdout == EXPECTED else "wrong answer"
    return f"runtime error ({result.returncode})"


async def judge(name: str, program: str) -> None:
    """Run one submission against one test."""
    result = await run(
        LIMITS,
        ["sh", "-c", program],
        input=INPUT,
        timeout=5,
        max_output="64KiB",
        overflow="kill",
    )
    usage = result.usage
    peak = (usage.memory_peak_bytes or 0) / 2**20
    print(
        f"{name:10} {verdict(result):24} cpu {usage.cpu_s:.3f} s  "
        f"wall {usage.wall_s:.3f} s  peak {peak:5.1f} MiB  {usage.pids_peak} processes"
    )


async def main() -> None:
    """Judge all submissions, two at a time."""
    limiter = anyio.CapacityLimiter(2)

    async def limited(name: str, program: str) -> None:
        async with limiter:
            await judge(name, program)

    async with anyio.create_task_group() as tasks:
        for name, program in PROGRAMS.items():
            tasks.start_soon(limited, name, program)


anyio.run(main)
