"""``memory=``, ``cpus=`` and ``pids=`` of `Config`: short for fields of resources."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from .base import ConfigError, replace
from .namespaces import Namespaces
from .resources import Resources
from .units import CPU_PERIOD_US, parse_cpus, parse_size

__all__ = ("fold_automatic_ids", "fold_shorthands")

_SHORTHANDS: Final = ("memory", "cpus", "pids")


def fold_shorthands(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments with the shorthands taken into ``resources``.

    Raises:
        ConfigError: a shorthand is wrong, or ``resources`` says otherwise.
    """
    rest = {name: value for name, value in data.items() if name not in _SHORTHANDS}
    given = {name: data[name] for name in _SHORTHANDS if data.get(name) is not None}
    if not given:
        return rest
    resources = _resources(rest.get("resources"))
    for name, value in given.items():
        resources = _FOLD[name](resources, value)
    return {**rest, "resources": resources}


def fold_automatic_ids(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """``uid_mappings="auto"`` (or ``gid_mappings``) is ``namespaces.user="auto"``.

    Raises:
        ConfigError: one is automatic, and the other or ``namespaces`` says otherwise.
    """
    fields = ("uid_mappings", "gid_mappings")
    automatic = [name for name in fields if data.get(name) == "auto"]
    if not automatic:
        return data
    for name in fields:
        if data.get(name, "auto") != "auto":
            raise ConfigError(name, f"has to be automatic too, as {automatic[0]}")
    spaces = data.get("namespaces", Namespaces())
    if not isinstance(spaces, Namespaces):
        try:
            spaces = Namespaces.model_validate(spaces)
        except ConfigError as error:
            field = f"namespaces.{error.field}".rstrip(".")
            raise ConfigError(field, error.reason) from None
    if spaces.user.startswith("/"):
        raise ConfigError(automatic[0], "needs a user namespace of its own")
    rest = {name: value for name, value in data.items() if name not in fields}
    return {**rest, "namespaces": replace(spaces, user="auto")}


def _resources(value: object) -> Resources:
    if value is None:
        return Resources()
    try:
        return Resources.model_validate(value)
    except ConfigError as error:
        raise ConfigError(
            f"resources.{error.field}".rstrip("."), error.reason
        ) from None


def _fold_memory(resources: Resources, value: object) -> Resources:
    limit_bytes = _parsed("memory", parse_size, value)
    if limit_bytes == 0:
        raise ConfigError("memory", "should be more than 0")
    _require_same("memory", resources.memory.limit_bytes, limit_bytes)
    memory = replace(resources.memory, limit_bytes=limit_bytes)
    return replace(resources, memory=memory)


def _fold_cpus(resources: Resources, value: object) -> Resources:
    quota_us = _parsed("cpus", parse_cpus, value)
    period_us = resources.cpu.period_us or CPU_PERIOD_US
    quota_us = quota_us * period_us // CPU_PERIOD_US
    _require_same("cpus", resources.cpu.quota_us, quota_us)
    try:
        cpu = replace(resources.cpu, quota_us=quota_us, period_us=period_us)
    except ConfigError as error:
        raise ConfigError("cpus", error.reason) from None
    return replace(resources, cpu=cpu)


def _fold_pids(resources: Resources, value: object) -> Resources:
    try:
        limited = replace(resources, pids_limit=value)
    except ConfigError as error:
        raise ConfigError("pids", error.reason) from None
    _require_same("pids", resources.pids_limit, limited.pids_limit)
    return limited


_FOLD: Final = {"memory": _fold_memory, "cpus": _fold_cpus, "pids": _fold_pids}


def _parsed(field: str, parse: Callable[[object], int], value: object) -> int:
    try:
        return parse(value)
    except ConfigError as error:
        raise ConfigError(field, error.reason) from None


def _require_same(field: str, said: object, wanted: object) -> None:
    if said is not None and said != wanted:
        raise ConfigError(field, f"contradicts resources, which say {said}")
