"""What the OCI runtime keeps of a container beside the record: bundle, annotations,
hooks that later commands run."""

from __future__ import annotations

import os

from .. import state
from ..errors import ContainerNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from ..state import Folder, Record, Store
    from .arguments import Options

OCI_VERSION: Final = "1.3.0"


def default_root() -> str:
    """Where states are kept, unless ``--root`` says otherwise: not where programs keep
    theirs, which would see, and might collect, what an engine made."""
    return state.default_root("aiocontainer-oci")


def root_of(options: Options) -> str:
    """The state root that the command line means."""
    return options.root or default_root()


def store_of(options: Options) -> Store:
    """The store that the command line means."""
    return state.Store(root_of(options))


def open_folder(options: Options) -> Folder:
    """The folder of the container that the command line names.

    Raises:
        ContainerNotFound: there is none.
    """
    try:
        return store_of(options).open(options.id)
    except ValueError:  # what can't be an id is nobody's
        raise ContainerNotFound(options.id) from None


def oci_status(folder: Folder, record: Record) -> str:
    """The status in OCI's words, which know of no checkpoint."""
    status = state.status_of(folder, record)
    return "stopped" if status == "checkpointed" else status


def document(folder: Folder, record: Record) -> dict[str, Any]:
    """The state of a container (runtime.md, "State"), with runc's further fields."""
    import pwd
    import time

    status = oci_status(folder, record)
    kept = record.extra
    is_alive = record.init is not None and status not in ("stopped", "creating")
    seconds, nanoseconds = divmod(record.created_ns, 10**9)
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    uid = os.stat(folder.descriptor).st_uid
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = str(uid)
    found: dict[str, Any] = {
        "ociVersion": kept.get("ociVersion", OCI_VERSION),
        "id": record.id,
        "pid": record.init.pid if is_alive and record.init is not None else 0,
        "status": status,
        "bundle": kept.get("bundle", ""),
        "rootfs": kept.get("rootfs", ""),
        "created": f"{created}.{nanoseconds:09}Z",
        "owner": owner,
    }
    if annotations := kept.get("annotations"):
        found["annotations"] = annotations
    return found
