"""Nothing is loaded any more: from here on no code can come from a container's files.

After pivot_root (or setns) the interpreter's own paths lead into the container. Lazily
imported modules, codecs and unhandled tracebacks were all seen to run a hostile root
file system's code as the host's root.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORBIDDEN = frozenset(("import", "compile", "ctypes.dlopen"))
LOCK_BROKEN = 97
"""Exit status of a helper that tried to load code."""


def warm_up() -> None:
    """Use once what the interpreter loads on first use."""
    for codec in ("utf-8", "ascii", "latin-1"):
        "a".encode(codec).decode(codec)
    b"\xff".decode("utf-8", "surrogateescape").encode("utf-8", "surrogateescape")
    b"\xff".decode("utf-8", "replace")
    os.fsdecode(os.fsencode("a"))
    try:
        os.stat("/nonexistent/aiocontainer")
    except OSError as error:
        error.add_note(str(error))


def lock() -> None:
    """Refuse every import, compilation and dlopen from now on: end the process."""
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if getattr(finder, "__name__", "") in ("BuiltinImporter", "FrozenImporter")
    ]
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.path_importer_cache.clear()
    sys.excepthook = _silent
    sys.unraisablehook = _silent
    forbidden = _FORBIDDEN
    end = os._exit

    def audit(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in forbidden:
            end(LOCK_BROKEN)

    sys.addaudithook(audit)


def _silent(*_arguments: Any) -> None:
    # Printing a traceback would look for source files.
    return
