"""``top``: what all containers use, live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .completion import ids
from .going import FAILED, go, leave, runtime, tell
from .showing import HEADINGS, plain

if TYPE_CHECKING:
    from rich.table import Table

    from .sampling import Samples


@click.command("top")
@click.option("--interval", metavar="SECONDS", default=1.0, show_default=True)
@click.option("--once", is_flag=True, help="Draw once, and end.")
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=ids)
@go
async def top_command(ids: tuple[str, ...], interval: float, once: bool) -> None:
    """Show what containers use, live, the busiest first; Ctrl-C ends it.

    \b
    Examples:
      aiocontainer top
      aiocontainer top --interval 0.2 web db
    """
    import anyio

    try:
        from rich.live import Live
    except ModuleNotFoundError:
        tell("rich is missing: pip install 'aiocontainer[cli]'")
        leave(FAILED)
        return
    from .sampling import Samples

    with Samples(runtime(), ids) as samples:
        await samples.take()
        if once:
            await anyio.sleep(min(interval, 0.2))
        with Live(_drawn(samples, []), auto_refresh=False, transient=False) as live:
            while True:
                taken = await samples.take()
                live.update(_drawn(samples, list(taken)), refresh=True)
                if once or (ids and not taken):
                    return
                await anyio.sleep(interval)


def _drawn(samples: Samples, ids: list[str]) -> Table:
    from rich.table import Table

    table = Table("ID", *HEADINGS, box=None, header_style="bold")
    figures = {id: samples.figures(id) for id in ids}
    for id in sorted(ids, key=lambda id: -(figures[id].cpu_share or 0)):
        each = figures[id]
        limit = each.memory_limit_bytes
        is_full = limit is not None and (each.memory_bytes or 0) > 0.9 * limit
        style = "red" if is_full else ""
        table.add_row(*map(plain, (id, *each.row())), style=style)
    return table
