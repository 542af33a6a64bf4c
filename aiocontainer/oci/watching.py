"""``events``: statistics and out-of-memory events, a JSON line each."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

import anyio

from ..errors import ConfigError
from ..runtime import KeptContainer, Runtime
from .kept import root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .arguments import Options
    from .report import Log

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def events(options: Options, _log: Log) -> None:
    """Print statistics once, or at intervals until the container ends."""
    interval = parse_interval(options.interval)
    anyio.run(_events, options, interval)


def parse_interval(text: str) -> float:
    """Seconds, from a duration as ``1m30s`` or ``500ms``.

    Raises:
        ConfigError: it isn't one, or nothing.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(map("".join, parts)) != text or seconds <= 0:
        raise ConfigError("interval", f"{text[:20]!r} should be like 5s or 1m")
    return seconds


async def _events(options: Options, interval: float) -> None:
    runtime = Runtime(root_of(options))
    async with runtime.load(options.id) as container:
        if options.stats:
            stats = await container.stats()
            _print("stats", container.id, stats.to_dict())
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_print_ooms, container)
            async with container.watch_stats(interval) as samples:
                async for sample in samples:
                    _print("stats", container.id, sample.value.to_dict())


async def _print_ooms(container: KeptContainer) -> None:
    async with container.oom_events() as ooms:
        async for _ in ooms:
            _print("oom", container.id, None)


def _print(kind: str, id: str, data: dict[str, Any] | None) -> None:
    line = {"type": kind, "id": id} | ({} if data is None else {"data": data})
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
