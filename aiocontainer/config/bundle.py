"""OCI bundles: what an engine hands to a runtime.

    bundle = Bundle.read("/run/bundles/web")
    async with Container(bundle.config) as container:
        process = await container.start(
            bundle.process.args, terminal=bundle.process.terminal
        )

`Config.from_oci` and `Config.to_oci` translate the container alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from .base import FrozenMap, StrPath
from .container import Config
from .document import Node
from .foreign import Foreign, built, document_of, read_oci
from .oci import CgroupManager, Reading, read_program
from .oci import read_process as read_settings
from .oci import read_resources as read_limits
from .process import ProcessSettings
from .resources import Resources

__all__ = ("Bundle", "ProcessSpec", "read_process", "read_resources")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A program to run: what `Container.start` takes beside the settings."""

    args: tuple[str, ...]
    """The program and its arguments."""
    terminal: bool | tuple[int, int]
    """Whether it gets a terminal; (rows, columns) says its size."""
    changes: Mapping[str, Any]
    """Keywords of `Container.start`: its user, environment, privileges and limits,
    where they aren't those of the container. None for a bundle's own process."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that a ``config.json`` says."""

    version: str
    """``ociVersion``."""
    config: Config
    """The container."""
    process: ProcessSpec | None
    """``None`` where the document names no program; then it can't be started."""
    warnings: tuple[str, ...]
    """What was ignored, or left out, as ``process.capabilities.bounding[3]: unknown
    capability``. At most a hundred."""

    @property
    def path(self) -> str | None:
        """The bundle's directory, absolute; ``None`` if the document had none."""
        return self.config.bundle

    @property
    def annotations(self) -> Mapping[str, str]:
        """What the document says beside the container."""
        return self.config.annotations

    @classmethod
    def read(
        cls,
        document: Foreign,
        *,
        bundle: StrPath | None = None,
        cgroup_manager: CgroupManager = "cgroupfs",
        grantable: Collection[str] | None = None,
    ) -> Self:
        """Read a bundle, or its document.

        Args:
            document, bundle, cgroup_manager: as for `Config.from_oci`.
            grantable: capabilities that this program can give; others are left out with
                a warning, where `Config.from_oci` would let the start fail.

        Raises:
            ConfigError: names the field by its path in the document.
            UnsupportedFeature: a field that isn't acted on.
        """
        reading = read_oci(document, bundle, cgroup_manager, grantable)
        config = built(Config, reading)
        process = None
        if reading.args:
            process = ProcessSpec(reading.args, reading.terminal, FrozenMap())
        return cls(reading.version, config, process, tuple(reading.warnings))


def read_process(
    document: Foreign, grantable: Collection[str] | None = None
) -> tuple[ProcessSpec, tuple[str, ...]]:
    """A process document, as ``exec --process`` takes it, and the warnings about it.

    Absent means absent here too: no capabilities, an empty environment. Only what isn't
    a process's own in OCI (the filter) stays that of the container.

    Raises:
        ConfigError: names the field by its path from the process on.
        UnsupportedFeature: a field that isn't acted on.
    """
    tree, _ = document_of(document, "process.json")
    node = Node(tree)
    program = read_program(node)
    if not program["args"]:
        raise node.wrong("args", "is empty" if "args" in node else "is missing")
    reading = Reading("", node.warnings)
    reading.fields = read_settings(node, grantable)
    settings = built(ProcessSettings, reading, ("", "process."))
    changes = {name: getattr(settings, name) for name in settings.model_fields_set}
    spec = ProcessSpec(program["args"], program["terminal"], FrozenMap(changes))
    return spec, tuple(node.warnings)


def read_resources(document: Foreign) -> tuple[Resources, tuple[str, ...]]:
    """A resources document, as ``update --resources`` takes it, and the warnings.

    Raises:
        ConfigError: names the field by its path, as ``memory.limit``.
        UnsupportedFeature: a field that isn't acted on.
    """
    tree, _ = document_of(document, "resources.json")
    node = Node(tree)
    reading = Reading("", node.warnings)
    reading.fields = read_limits(node, is_update=True)
    part = ("resources.", "linux.resources.")
    return built(Resources, reading, part), tuple(node.warnings)
