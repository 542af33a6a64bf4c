"""Ten thousand lives in a row: nothing left, no slower, no bigger. ``make soak``.

    python -m tests.soak [lives] [asyncio | uvloop | trio]

Prints a line for each thousand lives, and what of the three didn't hold.
"""

import array
import gc
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import anyio

from aiocontainer import Config, Container, run
from tests.support import leaks
from tests.support.rootfs import make_rootfs

SLOWER_AT_MOST = 1.05
DRIFT_AT_MOST_BYTES = 1 << 20
JOIN_EVERY = 10
"""Each so many lives one has the built-in init and two runs."""


def resident_bytes() -> int:
    """Resident memory of this process, without garbage."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def live(config: Config, number: int) -> None:
    """One life; it raises unless all went well."""
    if number % JOIN_EVERY == 0:
        async with Container(config) as container:
            await container.run(["true"], check=True)
            await container.run(["cat"], input=b"x", check=True)
    else:
        await run(config, ["true"], check=True)


async def soak(rootfs: Path, lives: int) -> list[str]:
    """Do it; what didn't hold, in words."""
    config = Config(rootfs=rootfs, pids=64)
    part = max(1, lives // 10)
    for number in range(200):  # what is made once isn't drift
        await live(config, number)
    before, drift_from = leaks.take(), resident_bytes()
    times_s = array.array("d")  # 8 bytes a life, where a list of floats has 32
    for number in range(lives):
        began = time.perf_counter()
        await live(config, number)
        if number % JOIN_EVERY:
            times_s.append(time.perf_counter() - began)
        if (number + 1) % part == 0:
            report(number + 1, times_s[-part:], resident_bytes() - drift_from)
    share = max(1, len(times_s) // 10)
    first, last = times_s[:share], times_s[-share:]
    drift_bytes = resident_bytes() - drift_from
    # What else runs on the machine moves the median, what slows us down moves both.
    median = statistics.median(last) / statistics.median(first)
    quick = statistics.quantiles(last, n=10)[0] / statistics.quantiles(first, n=10)[0]
    slower = min(median, quick)
    print(f"last tenth / first tenth: median {median:.3f}, quickest 10 % {quick:.3f}")
    print(f"memory: {drift_bytes / 1024:+.0f} KiB")
    wrong = leaks.find(before)
    if slower > SLOWER_AT_MOST:
        wrong.append(f"slower: {slower:.3f} > {SLOWER_AT_MOST}")
    if drift_bytes > DRIFT_AT_MOST_BYTES:
        wrong.append(f"bigger: {drift_bytes} bytes > {DRIFT_AT_MOST_BYTES}")
    return wrong


def report(count: int, times_s: "array.array[float]", drift_bytes: int) -> None:
    """A line of figures."""
    centiles = statistics.quantiles(times_s, n=100)
    print(
        f"{count:6} lives: median {centiles[49] * 1e3:.2f} ms,"
        f" 99 % {centiles[98] * 1e3:.2f} ms, memory {drift_bytes / 1024:+.0f} KiB",
        flush=True,
    )


def main() -> None:
    """Read the arguments, soak, and say how it went by the exit status."""
    lives = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    loop = sys.argv[2] if len(sys.argv) > 2 else "asyncio"
    with tempfile.TemporaryDirectory(prefix="rootfs-") as folder:
        Path(folder).chmod(0o755)
        rootfs = make_rootfs(Path(folder) / "rootfs")
        wrong = anyio.run(
            soak,
            rootfs,
            lives,
            backend="trio" if loop == "trio" else "asyncio",
            backend_options={"use_uvloop": True} if loop == "uvloop" else {},
        )
    for line in wrong:
        print(line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
