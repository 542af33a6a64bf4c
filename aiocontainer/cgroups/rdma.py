"""The ``rdma`` and ``misc`` controllers, whose files are the same on v1 and v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .conversions import or_word
from .files import parse_flat, parse_nested
from .meter import Texts
from .stats import RdmaStats
from .writes import Reader, Write, undo_keyed

if TYPE_CHECKING:
    from ..config import Resources

__all__ = (
    "MISC_FILES",
    "RDMA_FILES",
    "misc_limits",
    "parse_misc",
    "parse_rdma",
    "rdma_limits",
)


RDMA_FILES: Final = ("rdma.current", "rdma.max")
MISC_FILES: Final = ("misc.current",)


def parse_rdma(texts: Texts) -> dict[str, RdmaStats]:
    """Device -> its figures."""
    used, limits = (parse_nested(texts.get(n, b"").decode()) for n in RDMA_FILES)
    return {name: _one(used[name], limits.get(name, {})) for name in used}


def _one(used: dict[str, str], limits: dict[str, str]) -> RdmaStats:
    def limit(key: str) -> int | None:
        word = limits.get(key, "max")
        return None if word == "max" else int(word)

    return RdmaStats(
        hca_handles=int(used.get("hca_handle", 0)),
        hca_objects=int(used.get("hca_object", 0)),
        hca_handles_limit=limit("hca_handle"),
        hca_objects_limit=limit("hca_object"),
    )


def parse_misc(texts: Texts) -> dict[str, int]:
    """Resource -> how much is in use."""
    return parse_flat(texts.get("misc.current", b"").decode())


def rdma_limits(resources: Resources, read: Reader) -> list[Write]:
    """One write for each device."""
    writes = []
    for device, limit in resources.rdma.items():
        pairs = [
            f"{key}={or_word(value, 'max')}"
            for key, value in (
                ("hca_handle", limit.hca_handles),
                ("hca_object", limit.hca_objects),
            )
            if value is not None
        ]
        if pairs:
            undo = undo_keyed(device, "hca_handle=max hca_object=max")
            writes.append(Write("rdma.max", " ".join((device, *pairs)), undo))
    return writes


def misc_limits(resources: Resources, read: Reader) -> list[Write]:
    """One write for each resource."""
    return [
        Write("misc.max", f"{name} {or_word(limit, 'max')}", undo_keyed(name, "max"))
        for name, limit in resources.misc.items()
        if limit is not None
    ]
