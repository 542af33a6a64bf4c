"""``checkpoint`` and ``restore``: known by name, and not there yet."""

from __future__ import annotations

from ..errors import UnsupportedFeature
from .kept import open_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .arguments import Options
    from .report import Log

_REASON = "isn't implemented"


def checkpoint(options: Options, _log: Log) -> NoReturn:
    """Say that it can't be done; the container stays as it is.

    Raises:
        ContainerNotFound: there is no such container.
        UnsupportedFeature: always.
    """
    open_folder(options).close()
    raise UnsupportedFeature("checkpoint", _REASON)


def restore(_options: Options, _log: Log) -> NoReturn:
    """Say that it can't be done.

    Raises:
        UnsupportedFeature: always.
    """
    raise UnsupportedFeature("restore", _REASON)
