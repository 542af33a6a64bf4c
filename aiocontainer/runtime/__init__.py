"""Containers that other programs can find: `Runtime` makes, loads and lists them.

Names resolve on first use: who only lists needs no models and no event loop.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .factory import Runtime as Runtime
    from .kept import KeptContainer as KeptContainer
    from .listing import Listed as Listed

__all__ = ("KeptContainer", "Listed", "Runtime")

_HOMES = {"KeptContainer": "kept", "Listed": "listing", "Runtime": "factory"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
