"""Containers side by side in one event loop: `make demo`.

No image is needed: their root file system is a read-only view of this machine's own.
"""

import os
import sys
from pathlib import Path

import anyio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aiocontainer import PIPE, STDOUT, Config, Container, ExitReason, Process, Rootfs

PYTHON = os.path.realpath(sys.executable)
SHOWN = () if sys.base_prefix.startswith("/usr") else (sys.base_prefix,)
PROGRAMS = Path(__file__).parent / "demo_programs"
TIME_LIMIT_S = 4
COLOURS = ("cyan", "green", "magenta", "yellow", "red", "blue", "white")
console = Console(highlight=False)


async def show(program: Path, colour: str, ended: list[Process]) -> None:
    """Run one program in a container of its own, and print what it says as it comes."""
    config = Config(rootfs=Rootfs.host(extra=SHOWN), memory="64MiB", pids=12)
    async with Container(config) as container:
        process = await container.start(
            [PYTHON, "-c", program.read_text()], stdout=PIPE, stderr=STDOUT
        )
        assert process.stdout is not None
        with anyio.move_on_after(TIME_LIMIT_S):
            async for line in process.stdout.lines():
                text = escape(line.decode(errors="replace").rstrip())
                console.print(f"[{colour}]{program.stem:>12} │[/] {text}")
            await process.wait()
        await process.end(ExitReason.TIMED_OUT)
        ended.append(process)


def table(ended: list[Process], names: dict[str, str]) -> Table:
    """How each run ended, and what it used."""
    columns = ("program", "ended", "status", "wall s", "cpu s", "peak MiB", "processes")
    made = Table(*columns)
    for process in ended:
        usage = process.usage
        assert usage is not None
        made.add_row(
            names[process.args[2]],
            str(process.reason),
            str(process.returncode),
            f"{usage.wall_s:.2f}",
            f"{usage.cpu_s:.2f}",
            f"{(usage.memory_peak_bytes or 0) / 2**20:.1f}",
            str(usage.pids_peak),
        )
    return made


async def main() -> None:
    """Run all programs at once."""
    programs = sorted(PROGRAMS.glob("*.py"))
    ended: list[Process] = []
    async with anyio.create_task_group() as tasks:
        for program, colour in zip(programs, COLOURS, strict=False):
            tasks.start_soon(show, program, colour, ended)
    console.print(table(ended, {p.read_text(): p.stem for p in programs}))


anyio.run(main)
