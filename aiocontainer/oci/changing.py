"""``pause``, ``resume`` and ``update``: of a container that runs."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import anyio

from ..config.bundle import read_resources
from ..errors import ConfigError, StatusError
from ..runtime import Runtime
from . import lean
from .arguments import LIMITS
from .kept import root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .arguments import Options
    from .report import Log

_LARGEST: Final = 1 << 20
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([kmgtp]?)i?b?", re.I)
_UNITS: Final = ("", "k", "m", "g", "t", "p")


def pause(options: Options, _log: Log) -> None:
    """Stop all processes; confirmed by the kernel."""
    anyio.run(_pause, options)


def resume(options: Options, _log: Log) -> None:
    """Let all processes go on; confirmed by the kernel."""
    anyio.run(_resume, options)


def update(options: Options, log: Log) -> None:
    """Change limits."""
    if options.kernel_memory or options.kernel_memory_tcp:
        log.warning("limits of kernel memory are ignored")
    limits, warnings = read_resources(_document(options))
    for warning in warnings:
        log.warning(warning)
    anyio.run(_update, options, limits)


async def _pause(options: Options) -> None:
    async with _runtime(options).load(options.id) as container:
        if (status := container.status()) == "paused":
            raise StatusError(status, "pause")
        await container.pause()


async def _resume(options: Options) -> None:
    async with _runtime(options).load(options.id) as container:
        if (status := container.status()) != "paused":
            raise StatusError(status, "resume")
        await container.resume()


async def _update(options: Options, limits: Any) -> None:  # noqa: ANN401
    cache, bandwidth = options.l3_cache_schema, options.mem_bw_schema
    async with _runtime(options).load(options.id) as container:
        if cache or bandwidth:
            container.set_rdt(l3_cache_schema=cache, mem_bw_schema=bandwidth)
        await container.set(limits)


def _runtime(options: Options) -> Runtime:
    return Runtime(root_of(options))


def _document(options: Options) -> Any:  # noqa: ANN401
    if options.resources == "-":
        data = sys.stdin.buffer.read(_LARGEST)
        lean.put_back(data)
        return data
    if options.resources is not None:
        return options.resources
    document: dict[str, dict[str, Any]] = {}
    for flag, (group, name) in LIMITS.items():
        value = getattr(options, f"{group}.{name}")
        if value is not None:
            given = parse_bytes(flag, value) if group == "memory" else value
            document.setdefault(group, {})[name] = given
    return document


def parse_bytes(flag: str, text: str) -> int:
    """Bytes of ``512m``, ``1.5GiB`` or ``4096``, as Go's units library has it: all
    units are powers of 1024. -1 is no limit.

    Raises:
        ConfigError: it is no size.
    """
    if text == "-1":
        return -1
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ConfigError(flag, f"{text[:20]!r} should be like 512m or 1.5GiB")
    return int(float(found[1]) * 1024 ** _UNITS.index(found[2].lower()))
