"""What is written down of containers, for other programs and for who comes after.

Synchronous, with nothing but the standard library: the OCI runtime and each command
line start without pydantic and asyncio. No call here waits for anything but the kernel.

    store = Store()                       # /run/aiocontainer
    folder = store.create(record)         # locked, and the record is there with it
    folder.write(record)                  # replaced as a whole
    with store.open("web") as folder:
        record = folder.read()
        status_of(folder, record)         # asked of the kernel

Names resolve on first use: who only sends a signal needs a third of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .folder import Folder, Store, check_id, default_root
    from .identity import Identity
    from .record import Record, this_boot
    from .remains import Remains
    from .status import MOVES, check_move, is_leftover, status_of

__all__ = (
    "MOVES",
    "Folder",
    "Identity",
    "Record",
    "Remains",
    "Store",
    "check_id",
    "check_move",
    "default_root",
    "is_leftover",
    "status_of",
    "this_boot",
)

_HOMES = {
    "folder": ("Folder", "Store", "check_id", "default_root"),
    "identity": ("Identity",),
    "record": ("Record", "this_boot"),
    "remains": ("Remains",),
    "status": ("MOVES", "check_move", "is_leftover", "status_of"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
