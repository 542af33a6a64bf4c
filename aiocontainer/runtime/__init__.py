"""Containers that other programs can find: `Runtime` makes, loads and lists them."""

from .factory import Runtime
from .kept import KeptContainer
from .listing import Listed

__all__ = ("KeptContainer", "Listed", "Runtime")
