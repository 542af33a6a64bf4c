"""Device nodes in the container's ``/dev``."""

from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from .base import AbsolutePath, ConfigError, Model, Whole
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
