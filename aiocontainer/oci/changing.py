"""``pause``, ``resume`` and ``update``: of a container that runs."""

from __future__ import annotations

import sys
from typing import Any

import anyio

from ..config.bundle import read_resources
from ..errors import ConfigError
from ..runtime import Runtime
from .arguments import LIMITS
from .kept import root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .arguments import Options
    from .report import Log

_LARGEST = 1 << 20


def pause(options: Options, _log: Log) -> None:
    """Stop all processes; confirmed by the kernel."""
    anyio.run(_pause, options)


def resume(options: Options, _log: Log) -> None:
    """Let all processes go on; confirmed by the kernel."""
    anyio.run(_resume, options)


def update(options: Options, log: Log) -> None:
    """Change limits."""
    limits, warnings = read_resources(_document(options))
    for warning in warnings:
        log.warning(warning)
    anyio.run(_update, options, limits)


async def _pause(options: Options) -> None:
    async with _runtime(options).load(options.id) as container:
        await container.pause()


async def _resume(options: Options) -> None:
    async with _runtime(options).load(options.id) as container:
        await container.resume()


async def _update(options: Options, limits: Any) -> None:  # noqa: ANN401
    async with _runtime(options).load(options.id) as container:
        await container.set(limits)


def _runtime(options: Options) -> Runtime:
    return Runtime(root_of(options))


def _document(options: Options) -> Any:  # noqa: ANN401
    for flag in ("l3_cache_schema", "mem_bw_schema"):
        if getattr(options, flag) is not None:
            raise ConfigError(flag.replace("_", "-"), "can't be changed later")
    if options.resources == "-":
        return sys.stdin.buffer.read(_LARGEST)
    if options.resources is not None:
        return options.resources
    document: dict[str, dict[str, Any]] = {}
    for group, name in LIMITS.values():
        value = getattr(options, f"{group}.{name}")
        if value is not None:
            document.setdefault(group, {})[name] = value
    return document
