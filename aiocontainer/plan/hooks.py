"""Hooks: where they run, and the state of the container that each is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ..config import Config, Hook
from . import steps as s
from .parts import Part, Plan

OCI_VERSION: Final = "1.3.0"
"""The version of the runtime-spec whose form the state has."""


def state(config: Config, name: str, status: str) -> tuple[bytes, bytes]:
    """The state as OCI has it, in two halves: the pid goes between them."""
    facts: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "id": name,
        "status": status,
        "bundle": directory(config),
    }
    if config.annotations:
        facts["annotations"] = dict(config.annotations)
    text = json.dumps(facts).encode()
    return b'{"pid": ', b", " + text[1:]


def state_without_pid(config: Config, name: str, status: str) -> bytes:
    """The same of a container that has no process any more."""
    return b"{" + state(config, name, status)[1][2:]


def directory(config: Config) -> str:
    """Where hooks on the host start."""
    return config.bundle or "/"


def create_container(config: Config, name: str) -> Iterator[s.RunHook]:
    """In the container's namespaces, while the host's root is seen."""
    for hook in config.hooks.create_container:
        where = directory(config)
        yield _inside("createContainer", hook, where, state(config, name, "creating"))


def start_container(config: Config, name: str) -> Iterator[s.RunHook]:
    """In the container, with its own rights, just before the program."""
    for hook in config.hooks.start_container:
        yield _inside("startContainer", hook, "/", state(config, name, "created"))


def beside(kind: str, hook: Hook, where: str) -> s.RunHook:
    """A program that is run by the child while it sets up, and told nothing."""
    return _inside(kind, hook, where, (b"", b""))


def on_host(hook: Hook, where: str) -> Plan:
    """The plan of a process of its own, in the namespaces of the program."""
    path, arguments, environment = _program(hook)
    passed = ((0, 1), (1, 2), (2, 3))
    step = s.ExecuteHook(path, arguments, environment, where.encode(), passed)
    return Plan(0, (), (), None, (), (Part.of((step,)),))


def _inside(
    kind: str, hook: Hook, where: str, halves: tuple[bytes, bytes]
) -> s.RunHook:
    timeout_ms = None if hook.timeout is None else max(1, round(hook.timeout * 1000))
    return s.RunHook(
        kind.encode(), *_program(hook), where.encode(), timeout_ms, *halves
    )


def _program(
    hook: Hook,
) -> tuple[bytes, tuple[bytes, ...], tuple[tuple[bytes, bytes], ...]]:
    arguments = tuple(word.encode() for word in hook.args or (hook.path,))
    environment = tuple((k.encode(), v.encode()) for k, v in hook.env.items())
    return hook.path.encode(), arguments, environment
