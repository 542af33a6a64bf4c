"""``create`` and ``run``: from a bundle to a container."""

from __future__ import annotations

import os

import anyio

from ..config import Config, replace
from ..config.bundle import Bundle
from ..errors import ConfigError
from ..proc.process import Process
from ..runtime import KeptContainer, Runtime
from . import foreground, handover, lean
from .grantable import grantable
from .kept import root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.oci import CgroupManager
    from .arguments import Options
    from .report import Log


def create(options: Options, log: Log) -> None:
    """Make a container that waits for ``start``."""
    anyio.run(_create, options, log)


def run(options: Options, log: Log) -> int:
    """Make a container, start it, and wait for its end; its exit status."""
    return anyio.run(_run, options, log)


async def _create(options: Options, log: Log) -> None:
    container = await _made(options, log)
    try:
        handover.write_pid(options.pid_file, _init_of(container).pid)
        lean.settle()
    except BaseException:
        await container.destroy()
        raise
    await container.aclose()


async def _run(options: Options, log: Log) -> int:
    container = await _made(options, log)
    try:
        handover.write_pid(options.pid_file, _init_of(container).pid)
        lean.settle()
        if options.detach:
            await container.start()
            await container.aclose()
            return 0
        status = await foreground.follow(_init_of(container), container.start)
    except BaseException:
        await container.destroy()
        raise
    if options.keep:
        await container.aclose()
    else:
        await container.destroy()
    return status


async def _made(options: Options, log: Log) -> KeptContainer:
    bundle = Bundle.read(
        os.path.abspath(options.bundle),
        cgroup_manager=_manager(options),
        grantable=grantable(),
    )
    for warning in bundle.warnings:
        log.warning(warning)
    process = bundle.process
    if process is None:
        raise ConfigError("process.args", "is needed")
    config = _changed(bundle.config, options)
    detaches = options.command == "create" or options.detach
    console = options.console_socket
    handover.check_console(console, terminal=process.terminal, detaches=detaches)
    if not detaches:
        foreground.prepare(terminal=process.terminal)
    extra = {
        "ociVersion": bundle.version,
        "bundle": bundle.path,
        "rootfs": getattr(config.rootfs, "path", ""),
        "annotations": dict(bundle.annotations),
    }
    return await Runtime(root_of(options)).create(
        options.id,
        config,
        process.args,
        detach=True,
        stdin=None,
        stdout=None,
        stderr=None,
        terminal=process.terminal,
        pass_fds=handover.preserved(options.preserve_fds),
        console_socket=console,
        pidfd_socket=options.pidfd_socket,
        extra=extra,
        **handover.listening(config.env),
    )


def _manager(options: Options) -> CgroupManager:
    if options.systemd_cgroup:
        return "systemd"
    return options.cgroup_manager or "cgroupfs"


def _changed(config: Config, options: Options) -> Config:
    """The config with what the command line says."""
    if options.no_pivot:
        config = replace(config, pivot_root=False)
    if options.no_new_keyring:
        config = replace(config, session_keyring=False)
    return config


def _init_of(container: KeptContainer) -> Process:
    init = container.init
    assert init is not None
    return init
