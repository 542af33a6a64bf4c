"""The options that say what a container is, and the config that they make."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import Config, Mount, Rootfs

F = TypeVar("F", bound=Callable[..., Any])

_ROOT: Final = (
    click.option("--rootfs", metavar="DIR", help="The root directory, as it is."),
    click.option(
        "--overlay",
        metavar="DIR",
        multiple=True,
        help="The root directory, unchanged: writes are kept in memory. Several are"
        " laid over each other, the topmost first.",
    ),
    click.option(
        "--read-only", is_flag=True, help="Nothing can be written to the root."
    ),
    click.option(
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="A config as JSON (see `plan --json`); other options change it.",
    ),
)
_LIMITS: Final = (
    click.option("-m", "--memory", metavar="SIZE", help="Most memory, as 256MiB."),
    click.option("--cpus", metavar="N", help="Most processor time, as 1.5."),
    click.option("--pids", metavar="N", type=int, help="Most processes and threads."),
)
_PROCESS: Final = (
    click.option("-u", "--user", metavar="USER[:GROUP]", help="Names or numbers."),
    click.option(
        "-g", "--group", metavar="GROUP", multiple=True, help="Also in these."
    ),
    click.option("-w", "--cwd", metavar="DIR", help="Working directory inside."),
    click.option(
        "-e",
        "--env",
        metavar="NAME[=VALUE]",
        multiple=True,
        help="Environment; without a value, ours. Nothing else of ours is passed on.",
    ),
    click.option(
        "--rlimit", metavar="NAME=SOFT[:HARD]", multiple=True, help="As nofile=1024."
    ),
    click.option("--cap", metavar="NAME", multiple=True, help="One capability more."),
    click.option("--no-caps", is_flag=True, help="None of the default capabilities."),
    click.option(
        "--no-seccomp", is_flag=True, help="All system calls. Weakens the isolation."
    ),
)
_PLACE: Final = (
    click.option(
        "-v",
        "--mount",
        metavar="SOURCE[:DIR[:ro]]",
        multiple=True,
        help="Show a file or directory of the host inside.",
    ),
    click.option(
        "--tmpfs", metavar="DIR[:SIZE]", multiple=True, help="Memory as files."
    ),
    click.option(
        "--network",
        metavar="none|host|bridge[:NAME]",
        default=None,
        help="`none` (the default) is loopback alone; `bridge` leads outside.",
    ),
    click.option(
        "-p",
        "--publish",
        metavar="HOST:PORT",
        multiple=True,
        help="Lead a port of the host into the container; makes the network a bridge.",
    ),
    click.option("--hostname", metavar="NAME", help="By default the container's id."),
    click.option("--sysctl", metavar="NAME=VALUE", multiple=True, help="Of its own."),
)


def _all(*groups: Iterable[Callable[[F], F]]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for group in reversed(groups):
            for option in reversed(tuple(group)):
                function = option(function)
        return function

    return decorate


config_options: Final = _all(_ROOT, _LIMITS, _PROCESS, _PLACE)
"""Options of what a container is; their values go to `config_of`."""

process_options: Final = _all(_PROCESS)
"""Options of one process; their values go to `settings_of`."""

limit_options: Final = _all(_LIMITS)


def config_of(values: dict[str, Any], *, tty: bool = False) -> Config:
    """The config that the options describe.

    Args:
        values: of `config_options`, by name.
        tty: the program gets a terminal, and is told which kind ours is.

    Raises:
        ConfigError: something is wrong.
    """
    from ..config import Config

    given = _from_file(values["config_file"])
    fields = {
        "rootfs": _rootfs(values, given.get("rootfs")),
        "memory": values["memory"],
        "cpus": values["cpus"],
        "pids": values["pids"],
        "hostname": values["hostname"],
        "sysctl": _pairs("sysctl", values["sysctl"]) or None,
        **_network(values),
        **settings_of(values, tty=tty),
    }
    mounts = [*map(_mount, values["mount"]), *map(_tmpfs, values["tmpfs"])]
    said = {name: value for name, value in fields.items() if value is not None}
    if mounts:
        said["mounts"] = [*given.get("mounts", ()), *mounts]
    if values["no_seccomp"]:
        said["seccomp"] = None
    return Config.model_validate({**given, **said})


def settings_of(values: dict[str, Any], *, tty: bool = False) -> dict[str, Any]:
    """Fields of `ProcessSettings` that the options change."""
    from ..config import Capabilities
    from ..config.capabilities import DEFAULT_CAPABILITIES

    fields: dict[str, Any] = {}
    for option, field in (("user", "user"), ("cwd", "cwd")):
        if values[option] is not None:
            fields[field] = values[option]
    if values["group"]:
        fields["groups"] = [int(g) if g.isdecimal() else g for g in values["group"]]
    if values["rlimit"]:
        limits = _pairs("rlimit", values["rlimit"])
        fields["rlimits"] = {name: _rlimit(name, text) for name, text in limits.items()}
    if values["cap"] or values["no_caps"]:
        default = () if values["no_caps"] else DEFAULT_CAPABILITIES.bounding
        fields["capabilities"] = Capabilities.of(*default, *values["cap"])
    if values["no_seccomp"]:
        fields["seccomp"] = None
    env = _environment(values["env"], tty=tty)
    if env:
        fields["env"] = env
    return fields


def _from_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError("--config", f"can't be read: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError("--config", "is no JSON object")
    return data


def _rootfs(values: dict[str, Any], given: object) -> Rootfs | None:
    from ..config import Rootfs

    rootfs, overlay, readonly = (values[n] for n in ("rootfs", "overlay", "read_only"))
    if rootfs and overlay:
        raise ConfigError("--rootfs", "can't be together with --overlay")
    if rootfs:
        return Rootfs.directory(os.path.abspath(rootfs), readonly=readonly)
    if overlay:
        return Rootfs.overlay(*map(os.path.abspath, overlay), readonly=readonly)
    return None if given is not None else Rootfs.host()


def _network(values: dict[str, Any]) -> dict[str, Any]:
    from ..config import Namespaces
    from ..config.network import Network

    kind, colon, name = (values["network"] or "").partition(":")
    publish = values["publish"]
    if publish and kind in ("", "bridge"):
        kind = "bridge"
    if kind not in ("", "none", "host", "bridge") or (colon and kind != "bridge"):
        raise ConfigError("--network", "should be none, host, or bridge[:NAME]")
    if publish and kind != "bridge":
        raise ConfigError("--publish", f"needs a bridge, not --network {kind}")
    if kind == "host":
        return {"namespaces": Namespaces(network="host"), "network": ()}
    if kind == "bridge":
        return {"network": Network.bridge(name or "aiocontainer0", publish=publish)}
    return {}


def _mount(text: str) -> Mount:
    from ..config import Mount

    source, _, rest = text.partition(":")
    directory, _, mode = rest.partition(":")
    if mode not in ("", "ro", "rw"):
        raise ConfigError("--mount", f"{mode!r} should be ro or rw")
    if not source:
        raise ConfigError("--mount", "should be SOURCE[:DIR[:ro]]")
    source = os.path.abspath(source)
    return Mount.bind(source, directory or source, readonly=mode == "ro")


def _tmpfs(text: str) -> Mount:
    from ..config import Mount

    directory, _, size = text.partition(":")
    return Mount.tmpfs(directory, size=size or None)


def _environment(words: Iterable[str], *, tty: bool) -> dict[str, str]:
    from ..config.process import DEFAULT_PATH

    env: dict[str, str] = {}
    if tty:
        env["TERM"] = os.environ.get("TERM", "xterm")
    for word in words:
        name, given, value = word.partition("=")
        if given:
            env[name] = value
        elif name in os.environ:
            env[name] = os.environ[name]
    return {"PATH": DEFAULT_PATH, **env} if env else {}


def _pairs(option: str, words: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given or not name:
            raise ConfigError(f"--{option}", f"{word!r} should be NAME=VALUE")
        pairs[name] = value
    return pairs


def _rlimit(name: str, text: str) -> tuple[int | None, int | None]:
    soft, _, hard = text.partition(":")
    try:
        return _number(soft), _number(hard or soft)
    except ValueError:
        raise ConfigError(f"--rlimit {name}", "should be SOFT[:HARD]") from None


def _number(text: str) -> int | None:
    return None if text == "unlimited" else int(text)
