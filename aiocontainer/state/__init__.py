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

from .. import _by_first_use

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

__getattr__ = _by_first_use(
    __name__,
    {
        "folder": ("Folder", "Store", "check_id", "default_root"),
        "identity": ("Identity",),
        "record": ("Record", "this_boot"),
        "remains": ("Remains",),
        "status": ("MOVES", "check_move", "is_leftover", "status_of"),
    },
)
