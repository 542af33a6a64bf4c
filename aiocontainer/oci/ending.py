"""``kill`` and ``delete``."""

from __future__ import annotations

import _signal  # the other one makes enums of all this
import os
import time

from .. import state
from ..errors import CgroupBusy, ConfigError, ContainerNotFound, StateError, StatusError
from .kept import oci_status, open_folder, store_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from ..state import Folder, Record
    from .arguments import Options
    from .report import Log

PATIENCE_S: Final = 10.0
"""How long a killed container may take to be gone, and another program to let go of
it."""
_PAUSE_S: Final = 0.002


def kill(options: Options, _log: Log) -> None:
    """Send a signal to the first process, or to all."""
    number = parse_signal(options.signal)
    with open_folder(options) as folder:
        record = folder.read()
        if options.all:
            state.Remains(record).signal(number)
            return
        if not record.is_alive:
            raise StatusError("stopped", "signal")
        _signal_first(record, number)
        if number == _signal.SIGKILL:
            _thaw(record)


def delete(options: Options, _log: Log) -> None:
    """Remove what is left of a container; with ``--force`` end it first."""
    # An engine calls this for what a killed `create` made or not, and never `collect`.
    store_of(options).remove_abandoned()
    try:
        folder = open_folder(options)
    except ContainerNotFound:
        if options.force:
            return
        raise
    with folder:
        _lock(folder)
        try:
            record = folder.read()
        except StateError:
            if not options.force:
                raise
            folder.remove()
            return
        if not options.force:
            _check_is_over(folder, record)
        _end(record)
        if _has_attachments(record):
            _detach(record)
        folder.remove()


def _check_is_over(folder: Folder, record: Record) -> None:
    status = oci_status(folder, record)
    # Who waits behind the gate may go: its program never ran.
    if status not in ("stopped", "created"):
        raise StatusError(status, f"delete container {record.id}")


def parse_signal(text: str) -> int:
    """The number of a signal: ``9``, ``KILL`` or ``SIGKILL``.

    Raises:
        ConfigError: there is none of this name or number.
    """
    if text.isascii() and text.isdecimal() and int(text) < _signal.NSIG:
        return int(text)
    word = text.upper()
    name = word if word.startswith("SIG") else f"SIG{word}"
    number = getattr(_signal, name, None)
    if not isinstance(number, int) or name.startswith("SIG_"):
        raise ConfigError("signal", f"unknown signal {text[:40]!r}")
    return number


def _signal_first(record: Record, number: int) -> None:
    pidfd = None if record.init is None else record.init.open()
    if pidfd is None:
        raise StatusError("stopped", "signal")
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise StatusError("stopped", "signal") from None
    finally:
        os.close(pidfd)


def _thaw(record: Record) -> None:
    """A frozen process of cgroup v1 dies of SIGKILL only once it goes on."""
    for directory in record.directories:
        try:
            with open(f"{directory}/freezer.state", "r+") as file:
                if file.read().strip() != "THAWED":
                    file.write("THAWED")
        except OSError:
            continue


def _lock(folder: Folder) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not folder.try_lock():
        if time.monotonic() > deadline:
            raise StateError(folder.path, "is in the hands of another program")
        time.sleep(_PAUSE_S)


def _end(record: Record) -> None:
    remains = state.Remains(record)
    deadline = time.monotonic() + PATIENCE_S
    pause_s = _PAUSE_S / 10  # most are gone at once
    while not remains.remove():
        remains.kill()
        if time.monotonic() > deadline:
            raise CgroupBusy(record.id, "not all processes could be ended in time")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_S)


def _has_attachments(record: Record) -> bool:
    """There is more to remove than processes and cgroups, or a hook is due."""
    config = record.config
    networks = config.get("network") or []
    return bool(
        (config.get("hooks") or {}).get("poststop")
        or config.get("intel_rdt")
        or any(network.get("kind") != "loopback" for network in networks)
    )


def _detach(record: Record) -> None:
    import anyio

    from ..runtime.collecting import clear

    anyio.run(clear, record)
