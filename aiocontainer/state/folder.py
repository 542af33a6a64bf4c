"""The state root: one folder a container, with a record, a lock, and maybe a gate.

    <root>/                   0700
    <root>/<id>/              appears by rename, complete and locked
    <root>/<id>/state.json    the record, replaced as a whole by rename
    <root>/<id>/gate          a socket that the first process waits behind
    <root>/.<owner>-<random>  being made, or being removed, by the process named

Nothing is synced to disk: a record tells of what a reboot ends.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import ConfigError, ContainerExists, ContainerNotFound, StateError
from .identity import Identity
from .record import Record, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Final, Self

STATE: Final = "state.json"
GATE: Final = "gate"
_KNOWN: Final = frozenset({STATE, f"{STATE}.new", GATE})
_LONGEST: Final = 64 * 1024 * 1024
_ID_CHARACTERS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-"
)
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_id(id: str, longest: int = 1024) -> str:
    """Return an id that can name a folder.

    Raises:
        ConfigError: it is empty, too long, begins with a dot, or has other characters
            than letters, digits, and ``_+.-``.
    """
    if (
        not isinstance(id, str)
        or not 0 < len(id) <= min(longest, 255)
        or not _ID_CHARACTERS.issuperset(id)
        or id.startswith(".")
    ):
        reason = "should be letters, digits and _+.- and not begin with a dot"
        raise ConfigError("id", reason)
    return id


def default_root(name: str = "aiocontainer") -> str:
    """Where states are kept unless said otherwise.

    Args:
        name: of the directory, in ``/run`` or ``$XDG_RUNTIME_DIR``.

    Raises:
        StateError: this user has no directory for such files.
    """
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    is_usable = os.path.isabs(base) and os.path.isdir(base)
    # Root of a user namespace is another user outside, whose directory that is.
    if os.geteuid() == 0 and not (is_usable and _is_in_user_namespace()):
        return f"/run/{name}"
    if not is_usable:
        raise StateError(base, "is no directory: set XDG_RUNTIME_DIR, or give a root")
    return f"{base.rstrip('/')}/{name}"


def _is_in_user_namespace() -> bool:
    """Only in the initial one every id stands for itself (user_namespaces(7))."""
    try:
        with open("/proc/self/uid_map") as file:
            return file.read().split() != ["0", "0", "4294967295"]
    except FileNotFoundError:  # a kernel without them
        return False


class Store:
    """A state root. Touches nothing before it has to."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        """Take a place.

        Args:
            root: the directory, made when first needed; ``None`` is `default_root`.

        Raises:
            StateError: there is no default for this user.
        """
        given = default_root() if root is None else os.fspath(root)
        self.root: Final = os.path.abspath(given)

    def create(self, record: Record) -> Folder:
        """The folder of a new container: locked, and with its record.

        Raises:
            ConfigError: the id can't be one.
            ContainerExists: the id is taken.
            StateError: the root can't be used.
        """
        id = check_id(record.id)
        self._make_root()
        path = self._private_path()
        try:
            os.mkdir(path, 0o700)
        except OSError as error:
            raise _state_error(path, error) from error
        folder = Folder(id, path, os.open(path, _DIRECTORY))
        try:
            folder.try_lock()
            folder.write(record)
            # Takes the place of an empty folder, and of nothing else.
            os.rename(path, f"{self.root}/{id}")
            folder.path = f"{self.root}/{id}"
        except BaseException as error:
            _empty(folder.descriptor)
            os.rmdir(path)
            folder.close()
            if isinstance(error, OSError):
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise ContainerExists(id) from None
                raise _state_error(self.root, error) from error
            raise
        return folder

    def open(self, id: str) -> Folder:
        """The folder of a container, not locked.

        Raises:
            ConfigError: this can't be an id.
            ContainerNotFound: there is none.
            StateError: the root can't be used.
        """
        path = f"{self.root}/{check_id(id)}"
        self._check_root()
        try:
            return Folder(id, path, os.open(path, _DIRECTORY))
        except FileNotFoundError:
            raise ContainerNotFound(id) from None
        except OSError as error:
            raise _state_error(path, error) from error

    def ids(self) -> list[str]:
        """All ids there are, sorted.

        Raises:
            StateError: the root can't be used.
        """
        return sorted(name for name in self._names() if not name.startswith("."))

    def remove_abandoned(self) -> None:
        """Remove folders that were being made or removed by programs now gone."""
        for name in self._names():
            owner = _owner_in(name)
            if owner is None or not owner.is_near or owner.is_alive:
                continue
            try:
                descriptor = os.open(f"{self.root}/{name}", _DIRECTORY)
            except OSError:
                continue
            _empty(descriptor)
            os.close(descriptor)
            _try_rmdir(f"{self.root}/{name}")

    def _names(self) -> Iterator[str]:
        if not os.path.isdir(self.root):
            return
        self._check_root()
        with os.scandir(self.root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name

    def _make_root(self) -> None:
        try:
            os.makedirs(os.path.dirname(self.root), 0o755, exist_ok=True)
            os.mkdir(self.root, 0o700)
        except FileExistsError:
            self._check_root()
        except OSError as error:
            raise _state_error(self.root, error) from error

    def _check_root(self) -> None:
        """Whoever may write there can make us believe and remove anything."""
        try:
            found = os.lstat(self.root)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _state_error(self.root, error) from error
        if not stat.S_ISDIR(found.st_mode):
            raise StateError(self.root, "is not a directory")
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
            raise StateError(self.root, "can be written by other users")

    def _private_path(self) -> str:
        numbers = "-".join(map(str, Identity.own().as_list()))
        return f"{self.root}/.{numbers}-{os.urandom(4).hex()}"


class Folder:
    """One container's folder, open. Its lock goes with its descriptor."""

    def __init__(self, id: str, path: str, descriptor: int) -> None:
        """For `Store` alone."""
        self.id: Final = id
        self.path = path
        self.descriptor = descriptor
        """Of the folder; -1 once closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give it, and its lock, back. May be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    # -- lock --------------------------------------------------------------------------

    def try_lock(self) -> bool:
        """Take the lock that one program at a time can have; False if another has it.

        It is the kernel's: gone with the process that holds it, however that ended.

        Raises:
            ContainerNotFound: the container was removed meanwhile.
        """
        import fcntl  # not at the top: who only reads needs none

        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not self.is_current:
            self.unlock()
            raise ContainerNotFound(self.id)
        return True

    def unlock(self) -> None:
        """Give the lock back."""
        import fcntl

        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    @property
    def is_current(self) -> bool:
        """Its path still leads to it."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        own = os.fstat(self.descriptor)
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)

    # -- record ------------------------------------------------------------------------

    def read(self) -> Record:
        """What the state file says.

        Raises:
            ContainerNotFound: the container was removed meanwhile.
            StateError: it can't be used.
        """
        path = f"{self.path}/{STATE}"
        record = parse(path, self._read(path))
        if record.id != self.id:
            raise StateError(path, f"is damaged: it is of container {record.id[:64]}")
        return record

    def _read(self, path: str) -> bytes:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(STATE, flags, dir_fd=self.descriptor)
        except FileNotFoundError:
            if not self.is_current:
                raise ContainerNotFound(self.id) from None
            raise StateError(path, "is missing") from None
        except OSError as error:
            raise _state_error(path, error) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LONGEST:
                raise StateError(path, "is no state file")
            if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
                raise StateError(path, "can be written by other users", is_foreign=True)
            return _read_all(descriptor, found.st_size)
        finally:
            os.close(descriptor)

    def write(self, record: Record) -> None:
        """Replace the state file; readers see the old one or the new one, whole.

        For who holds the lock.

        Raises:
            StateError: it can't be written; the old one is still there.
        """
        new = f"{STATE}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(new, flags, 0o600, dir_fd=self.descriptor)
            try:
                data = memoryview(record.text())
                while data:
                    data = data[os.write(descriptor, data) :]
            finally:
                os.close(descriptor)
            own = self.descriptor
            os.rename(new, STATE, src_dir_fd=own, dst_dir_fd=own)
        except OSError as error:
            raise _state_error(f"{self.path}/{STATE}", error) from error

    def remove(self) -> None:
        """Remove the folder; its id is free at once. For who holds the lock.

        Raises:
            StateError: there is something in it that isn't ours.
        """
        if strange := sorted(set(os.listdir(self.descriptor)) - _KNOWN):
            raise StateError(self.path, f"has files that aren't ours: {strange[:5]}")
        numbers = "-".join(map(str, Identity.own().as_list()))
        parent = os.path.dirname(self.path)
        private = f"{parent}/.{numbers}-{os.urandom(4).hex()}"
        try:
            if self.is_current:
                os.rename(self.path, private)
                self.path = private
            _empty(self.descriptor)
            _try_rmdir(self.path)
        except OSError as error:
            raise _state_error(self.path, error) from error


def _read_all(descriptor: int, size: int) -> bytes:
    chunks = []
    while chunk := os.read(descriptor, size + 1):
        chunks.append(chunk)
    return b"".join(chunks)


def _empty(descriptor: int) -> None:
    """Remove the files of ours from a folder, and no others."""
    for name in _KNOWN:
        try:
            os.unlink(name, dir_fd=descriptor)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise


def _try_rmdir(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def _owner_in(name: str) -> Identity | None:
    parts = name.removeprefix(".").split("-")
    if not name.startswith(".") or len(parts) != 4:
        return None
    try:
        return Identity(*map(int, parts[:3]))
    except ValueError:
        return None


def _state_error(path: str, error: OSError) -> StateError:
    return StateError(path, error.strerror or str(error))
