"""``mounts`` of an OCI document."""

import posixpath
from typing import Any

from aiocontainer.errors import ConfigError

from ..document import Node

__all__ = ("read_mappings", "read_mounts")


def read_mounts(document: Node, bundle: str | None) -> list[dict[str, Any]]:
    """Keywords of one `Mount` for each entry, in their order.

    A relative source of a bind mount is taken from ``bundle``.
    """
    return [_mount(node, bundle) for node in document.nodes("mounts")]


def _mount(node: Node, bundle: str | None) -> dict[str, Any]:
    node.only(
        *("destination", "source", "type", "options", "uidMappings", "gidMappings")
    )
    destination = node.need("destination")
    if not destination.startswith("/"):
        # Until spec 1.0.2 this was allowed, and meant the same.
        node.warn("destination", "is relative, and taken from the root directory")
        destination = f"/{destination}"
    kind, options = node.word("type"), node.words("options")
    source = node.word("source")
    is_bind = kind == "bind" or not {"bind", "rbind"}.isdisjoint(options)
    if is_bind and source is not None and not source.startswith("/"):
        if bundle is None:
            raise ConfigError(node.at("source"), "is relative, and there is no bundle")
        source = posixpath.join(bundle, source)
    fields: dict[str, Any] = {
        "destination": destination,
        "source": source,
        "type": kind,
        "options": tuple(options),
    }
    for name, field in (
        ("uidMappings", "uid_mappings"),
        ("gidMappings", "gid_mappings"),
    ):
        if name in node:
            fields[field] = read_mappings(node, name)
    return fields


def read_mappings(node: Node, name: str) -> list[dict[str, int]]:
    """Keywords of one `IdMapping` for each entry of a list of mappings."""
    found = []
    for entry in node.nodes(name):
        entry.only("containerID", "hostID", "size")
        found.append(
            {
                "container_id": entry.need_number("containerID", 0),
                "host_id": entry.need_number("hostID", 0),
                "size": entry.need_number("size", 0),
            }
        )
    return found
