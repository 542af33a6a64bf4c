"""Ending and removing what a record tells of, where no program has it in hand."""

from __future__ import annotations

from typing import Final

import anyio

from ..errors import CgroupBusy
from ..state import Record, Remains

_END_S: Final = 10.0
"""How long killed processes may take to end."""


async def end_and_remove(record: Record) -> None:
    """Kill its processes, and remove its cgroups as far as they are there.

    Raises:
        CgroupBusy: a process can't be ended.
    """
    remains = Remains(record)
    due = anyio.current_time() + _END_S
    pause_s = 0.001
    while True:
        remains.kill()
        if remains.remove():
            return
        if anyio.current_time() >= due:
            raise CgroupBusy(record.id, "a process of it can't be ended")
        await anyio.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
