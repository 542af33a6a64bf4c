"""``checkpoint`` and ``restore``: known by name, and not there yet."""

from __future__ import annotations

from ..errors import UnsupportedFeature
from .kept import open_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import NoReturn

    from .report import Log

_REASON = "isn't implemented"


def checkpoint(options: argparse.Namespace, _log: Log) -> NoReturn:
    """Say that it can't be done; the container stays as it is.

    Raises:
        ContainerNotFound: there is no such container.
        UnsupportedFeature: always.
    """
    open_folder(options).close()
    raise UnsupportedFeature("checkpoint", _REASON)


def restore(_options: argparse.Namespace, _log: Log) -> NoReturn:
    """Say that it can't be done.

    Raises:
        UnsupportedFeature: always.
    """
    raise UnsupportedFeature("restore", _REASON)
