"""Device nodes in the container's ``/dev``."""

import os
import stat
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from .base import AbsolutePath, ConfigError, Model, StrPath, Whole
from .kernel_names import DEVICE_NUMBERS

__all__ = ("DEFAULT_DEVICES", "Device", "DeviceNumber", "Id")

Id: TypeAlias = Annotated[Whole, Field(ge=0, le=4_294_967_294)]
"""A user or group id; the all-ones value means "none" to the kernel."""

# The kernel's dev_t has 12 bits of major and 20 of minor.
DeviceNumber: TypeAlias = Annotated[Whole, Field(ge=0, lt=1 << 20)]


class Device(Model):
    """A device node or FIFO that is made before the program starts."""

    path: AbsolutePath
    """Where it is in the container, as ``/dev/fuse``."""
    type: Literal["c", "b", "u", "p"] = "c"
    """Character (``c``, or its old name ``u``), block (``b``) or FIFO (``p``)."""
    major: Annotated[Whole, Field(ge=0, lt=1 << 12)] = 0
    """Major number; not used for a FIFO."""
    minor: DeviceNumber = 0
    """Minor number; not used for a FIFO."""
    file_mode: Annotated[Whole, Field(ge=0, le=0o7777)] = 0o666
    """Permission bits, whatever the umask."""
    uid: Id = 0
    """Owner, as seen in the container."""
    gid: Id = 0
    """Group, as seen in the container."""

    host_path: AbsolutePath | None = None
    """The same device on the host, where it isn't at ``path`` there. Only used where
    the kernel lets nobody make devices: in a user namespace the host's own is shown,
    with the mode and the owner that it has."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            path: StrPath,
            type: Literal["c", "b", "u", "p"] = "c",
            major: int = 0,
            minor: int = 0,
            file_mode: int = 0o666,
            uid: int = 0,
            gid: int = 0,
            host_path: StrPath | None = None,
        ) -> None: ...

    @classmethod
    def from_host(cls, host_path: StrPath, path: StrPath | None = None) -> Self:
        """A device (or FIFO) as the host has it now, with its mode and owner.

        Args:
            host_path: where it is on the host; links are followed.
            path: where it is to be in the container; the same unless given.

        Raises:
            ConfigError: there is no device.
        """
        try:
            found = os.stat(host_path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError("host_path", f"{host_path}: {reason}") from None
        kinds = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}
        kind = kinds.get(stat.S_IFMT(found.st_mode))
        if kind is None:
            raise ConfigError("host_path", f"{host_path} is no device")
        return cls.model_validate(
            {
                "path": host_path if path is None else path,
                "type": kind,
                "major": os.major(found.st_rdev),
                "minor": os.minor(found.st_rdev),
                "file_mode": stat.S_IMODE(found.st_mode),
                "uid": found.st_uid,
                "gid": found.st_gid,
                "host_path": os.path.realpath(host_path),
            }
        )

    @model_validator(mode="after")
    def _path_is_free(self) -> Self:
        if self.path in ("/", "/dev"):
            raise ConfigError("path", f"a device can't be {self.path}")
        return self


DEFAULT_DEVICES: Final = tuple(
    Device(path=path, major=major, minor=minor)
    for path, (major, minor) in DEVICE_NUMBERS.items()
)
"""The devices that every container has."""
