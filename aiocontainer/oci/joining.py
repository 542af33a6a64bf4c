"""``exec``: another program in a container."""

from __future__ import annotations

from typing import Any

import anyio

from ..cgroups.below import cgroup_of
from ..config.bundle import read_process
from ..errors import ConfigError, StatusError
from ..runtime import KeptContainer, Runtime
from . import foreground, handover, lean
from .grantable import grantable
from .kept import root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .arguments import Options
    from .report import Log


def execute(options: Options, log: Log) -> int:
    """Run a program in a container; its exit status, or 0 if it isn't waited for."""
    return anyio.run(_execute, options, log)


async def _execute(options: Options, log: Log) -> int:
    cgroup = cgroup_of(options.cgroup)
    async with Runtime(root_of(options)).load(options.id) as container:
        status = container.status()
        if status == "paused" and not options.ignore_paused:
            raise StatusError(status, "exec")
        args, terminal, changes = _wanted(options, container, log)
        console, detaches = options.console_socket, options.detach
        handover.check_console(console, terminal=terminal, detaches=detaches)
        if not detaches:
            foreground.prepare(terminal=terminal)
        process = await container.start(
            args,
            stdin=None,
            stdout=None,
            stderr=None,
            terminal=terminal,
            pass_fds=handover.preserved(options.preserve_fds),
            cgroup=cgroup,
            console_socket=console,
            pidfd_socket=options.pidfd_socket,
            detach=detaches,
            ignore_paused=options.ignore_paused,
            **changes,
        )
        lean.settle()
        try:
            handover.write_pid(options.pid_file, process.pid)
        except OSError:
            await process.aclose()
            raise
        if detaches:
            return 0
        return await foreground.follow(process)


def _wanted(
    options: Options, container: KeptContainer, log: Log
) -> tuple[tuple[str, ...], bool | tuple[int, int], dict[str, Any]]:
    """(program and arguments, terminal, settings) from a file or the command line."""
    if options.process is not None:
        spec, warnings = read_process(options.process, grantable())
        for warning in warnings:
            log.warning(warning)
        return spec.args, spec.terminal or options.tty, dict(spec.changes)
    words = options.args[1:] if options.args[:1] == ["--"] else options.args
    if not words:
        raise ConfigError("args", "is empty: what is to be executed?")
    return tuple(words), options.tty, _changes(options, container, log)


def _changes(options: Options, container: KeptContainer, log: Log) -> dict[str, Any]:
    config = container.config
    changes: dict[str, Any] = {}
    if options.cwd is not None:
        changes["cwd"] = options.cwd
    if options.env:
        changes["env"] = {**config.env, **dict(map(_variable, options.env))}
    if options.user is not None:
        changes["user"] = options.user
    if options.additional_gids:
        changes["groups"] = (*config.groups, *options.additional_gids)
    if options.no_new_privs:
        changes["no_new_privs"] = True
    if options.apparmor is not None:
        changes["apparmor_profile"] = options.apparmor
    if options.process_label is not None:
        changes["selinux_label"] = options.process_label
    if options.cap:
        changes["capabilities"] = _more(container, options.cap, log)
    return changes


def _variable(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise ConfigError("env", f"{word[:40]!r} should be NAME=VALUE")
    return name, value


def _more(container: KeptContainer, asked: list[str], log: Log) -> dict[str, Any]:
    """The container's capabilities and these, in all sets but the inheritable one; the
    ambient one too, so that a user that isn't root has them after its exec."""
    full = {f"CAP_{name.upper().removeprefix('CAP_')}": name for name in asked}
    names = full.keys() & grantable()
    if ignored := [full[name] for name in full if name not in names]:
        words = " ".join(ignored)
        log.warning(f"ignoring unknown or unavailable capabilities: [{words}]")
    held = container.config.capabilities
    return {
        name: frozenset(getattr(held, name)) | frozenset(names)
        for name in ("bounding", "effective", "permitted")
    } | {"inheritable": held.inheritable, "ambient": held.ambient}
