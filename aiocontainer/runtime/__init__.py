"""Containers that other programs can find: `Runtime` makes, loads and lists them.

Names resolve on first use: who only lists needs no models and no event loop.
"""

from __future__ import annotations

from .. import _by_first_use

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .factory import Runtime as Runtime
    from .kept import KeptContainer as KeptContainer
    from .listing import Listed as Listed

__all__ = ("KeptContainer", "Listed", "Runtime")

__getattr__ = _by_first_use(
    __name__,
    {"factory": ("Runtime",), "kept": ("KeptContainer",), "listing": ("Listed",)},
)
