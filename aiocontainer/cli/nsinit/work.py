"""What nsinit's commands do."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from ...errors import ConfigError, ContainerNotFound, StateError
from .template import NAMESPACES, changed, template

if TYPE_CHECKING:
    from ...config import Config
    from ...runtime import KeptContainer, Runtime

_FILE: Final = "container.json"
_LINK: Final = "state.json"
_OURS: Final = ("systemd", "config_file", "user", "cwd", "env")
"""Options of `exec` that aren't about the container."""


def runtime() -> Runtime:
    """Of nsinit's own state root."""
    from ...runtime import Runtime

    return Runtime(click.get_current_context().obj)


async def execute(
    id: str, args: tuple[str, ...], tty: bool, options: dict[str, Any]
) -> int:
    """Run a program in the container, which is made if it isn't there.

    Returns:
        Its exit status, or 128 and the number of a signal.
    """
    from ..attach import Wiring
    from ..running import supervise

    wiring = Wiring.to_us(tty=tty)
    settings = _settings(options)
    document, config = _described(id, options)
    container = _running(id, config)
    if container is not None:
        async with container:
            process = await container.start(args, **wiring.streams, **settings)
            return await supervise(container, process, wiring, None, None)
    extra = {"libcontainer": document}
    made = await runtime().create(
        id, config, args, extra=extra, **wiring.streams, **settings
    )
    async with made:
        with _linked(runtime().root, id, document["rootfs"]):
            first = made.init
            assert first is not None
            return await supervise(made, first, wiring, None, None, begin=True)


def _running(id: str, config: Config) -> KeptContainer | None:
    """The container of this id, if it is alive."""
    try:
        container = runtime().load(id)
    except (ContainerNotFound, StateError):
        return None  # what is left of one makes room by itself
    if container.status() == "stopped":
        container.let_go()
        return None
    if container.config.rootfs != config.rootfs:
        container.let_go()
        raise ConfigError("--id", f"{id} is a container of another root directory")
    return container


def _described(id: str, options: dict[str, Any]) -> tuple[dict[str, Any], Config]:
    """The document, with the flags' changes, and the config that it means."""
    from ...config import Config

    flags = {name: value for name, value in options.items() if name not in _OURS}
    path = options["config_file"] or (_FILE if os.path.exists(_FILE) else None)
    document = template(os.getcwd(), id) if path is None else _read(path)
    document.setdefault("rootfs", os.getcwd() if path is None else _home(path))
    document["rootfs"] = document["rootfs"] or _home(path or _FILE)
    document = changed(document, flags)
    config = Config.from_libcontainer(
        document,
        rootfs=document["rootfs"],
        cgroup_manager="systemd" if options["systemd"] else "cgroupfs",
    )
    return document, config


def _home(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(path, f"can't be read: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(path, "is no JSON object")
    return document


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    env = dict(word.partition("=")[::2] for word in options["env"])
    settings: dict[str, Any] = {"user": options["user"], "env": env}
    if options["cwd"]:
        settings["cwd"] = options["cwd"]
    return settings


@contextlib.contextmanager
def _linked(root: str, id: str, rootfs: str) -> Iterator[None]:
    """Have ``state.json`` in the root directory for as long as the container runs, as
    nsinit had: a link to the state. Only a name in that directory is ever touched."""
    target = f"{root}/{id}/state.json"
    try:
        folder = os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            os.symlink(target, _LINK, dir_fd=folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            if os.readlink(_LINK, dir_fd=folder) == target:
                os.unlink(_LINK, dir_fd=folder)
        os.close(folder)


def state(id: str) -> dict[str, Any]:
    """libcontainer's ``state.json`` of a container.

    Raises:
        ContainerNotFound, StateError: as `Store.open`, `Folder.read`.
    """
    from ...state import Store, status_of

    with Store(runtime().root).open(id) as folder:
        record = folder.read()
        status = status_of(folder, record)
    init = record.init
    is_alive = init is not None and init.is_alive
    pid = init.pid if init is not None and is_alive else 0
    return {
        "id": id,
        "status": status,
        "init_process_pid": pid,
        "init_process_start": str(init.start_ticks) if init is not None else "",
        "cgroup_paths": record.cgroup.get("paths", {}),
        "namespace_paths": {
            kind: f"/proc/{pid}/ns/{name}" for name, kind in NAMESPACES.items() if pid
        },
        "config": record.extra.get("libcontainer", record.config),
    }
