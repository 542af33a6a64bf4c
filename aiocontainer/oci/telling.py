"""``state``, ``list`` and ``ps``: what there is."""

from __future__ import annotations

import sys

from .. import state as state_room
from ..errors import ContainerNotFound, StateError
from ..state.quick_json import dumps
from .kept import document, open_folder, store_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from .arguments import Options
    from .report import Log


def state(options: Options, _log: Log) -> None:
    """Print one container's state as JSON."""
    with open_folder(options) as folder:
        found = document(folder, folder.read())
    _print_json(found)


def list_all(options: Options, log: Log) -> None:
    """Print all containers."""
    found = [*_documents(options, log)]
    if options.quiet:
        sys.stdout.writelines(f"{container['id']}\n" for container in found)
    elif options.format == "json":
        _print_json(found)
    else:
        names = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
        rows = [[str(row[name.lower()]) for name in names] for row in found]
        sys.stdout.writelines(_table([names, *rows]))


def ps(options: Options, _log: Log) -> None:
    """Print the processes in a container: their numbers, or what ps(1) says of them."""
    with open_folder(options) as folder:
        pids = state_room.Remains(folder.read()).members()
    if options.format == "json":
        _print_json(pids)
        return
    import subprocess

    words = [word for word in options.options if word != "--"] or ["-ef"]
    listed = subprocess.run(["ps", *words], check=True, capture_output=True, text=True)
    title, *lines = listed.stdout.splitlines()
    column = title.split().index("PID")
    wanted = {str(pid) for pid in pids}
    kept = (line for line in lines if line.split()[column] in wanted)
    sys.stdout.writelines(f"{line}\n" for line in (title, *kept))


def _documents(options: Options, log: Log) -> Iterator[dict[str, Any]]:
    store = store_of(options)
    for id in store.ids():
        try:
            with store.open(id) as folder:
                yield document(folder, folder.read())
        except ContainerNotFound:
            continue  # removed meanwhile
        except StateError as error:
            log.warning(f"load container {id}: {error}")


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as runc has them: 12 characters, or 3 more than the longest."""
    kept = [*rows]
    widths = [max(12, *(len(row[i]) + 3 for row in kept)) for i in range(len(kept[0]))]
    for row in kept:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "".join(cells).rstrip() + "\n"


def _print_json(value: object) -> None:
    sys.stdout.write(dumps(value) + "\n")
