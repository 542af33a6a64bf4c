"""Which capabilities this program can give to a container."""

from __future__ import annotations

from ..config.kernel_names import CAPABILITIES
from ..plan.host import HostFacts

__all__ = ("grantable",)


def grantable() -> frozenset[str]:
    """Their names. The spec wants others left out with a warning: an engine that runs
    in a container of its own asks for all the same."""
    bounding = HostFacts.read().bounding
    return frozenset(n for n, number in CAPABILITIES.items() if bounding >> number & 1)
