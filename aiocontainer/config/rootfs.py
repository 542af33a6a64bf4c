"""Where the container's root directory comes from."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, SerializeAsAny, model_validator

from .base import AbsolutePath, ConfigError, Flag, Model, StrPath
from .units import PositiveBytes

__all__ = (
    "HOST_DIRECTORIES",
    "HOST_ETC",
    "HOST_LIBRARY_LINKS",
    "AnyRootfs",
    "DirectoryRootfs",
    "HostRootfs",
    "OverlayRootfs",
    "Rootfs",
)


class Rootfs(Model):
    """A choice of root directory. Made by `directory`, `overlay` or `host`."""

    @staticmethod
    def directory(
        path: StrPath, *, readonly: bool = False, idmap: bool = False
    ) -> "DirectoryRootfs":
        """A directory as it is. Without ``readonly`` the container changes it.

        With ``idmap`` its files have the same owners in the container's user namespace
        as they have on the host: they needn't be given to the mapped ids.
        """
        return DirectoryRootfs(path=path, readonly=readonly, idmap=idmap)

    @staticmethod
    def overlay(
        *lower: StrPath, size: str | int | None = None, readonly: bool = False
    ) -> "OverlayRootfs":
        """Directories laid over each other, the topmost first, which stay unchanged.

        What the container writes is kept in memory, at most ``size`` of it, and is gone
        with the container. Any number of containers can share the directories.
        """
        return OverlayRootfs(lower=lower, upper_bytes=size, readonly=readonly)

    @staticmethod
    def host(extra: Iterable[StrPath] = ()) -> "HostRootfs":
        """The host's programs and libraries, read-only, and nothing else of it.

        Args:
            extra: further directories of the host to show, read-only.
        """
        return HostRootfs(extra=extra)


class DirectoryRootfs(Rootfs):
    """A directory of the host is the container's root."""

    kind: Literal["directory"] = "directory"
    path: AbsolutePath
    """The directory."""
    readonly: Flag = False
    """Make the root mount read-only, last of all."""
    idmap: Flag = False
    """Translate the owners by the mapping of the container's user namespace."""

    if TYPE_CHECKING:

        def __init__(
            self, *, path: StrPath, readonly: bool = False, idmap: bool = False
        ) -> None: ...

    @model_validator(mode="after")
    def _is_not_the_host(self) -> Self:
        if self.path == "/":
            raise ConfigError("path", "is the host's own root; use Rootfs.host()")
        return self


class OverlayRootfs(Rootfs):
    """An overlay; its upper directory is a tmpfs in the container's mount namespace."""

    kind: Literal["overlay"] = "overlay"
    lower: tuple[AbsolutePath, ...]
    """The directories, topmost first."""
    upper_bytes: PositiveBytes | None = None
    """Most that the container may write; ``None`` is the kernel's default for a tmpfs,
    half of the memory."""
    readonly: Flag = False
    """Make the root mount read-only, last of all."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            lower: Iterable[StrPath],
            upper_bytes: str | int | None = None,
            readonly: bool = False,
        ) -> None: ...

    @model_validator(mode="after")
    def _lower_is_usable(self) -> Self:
        if not self.lower:
            raise ConfigError("lower", "needs at least one directory")
        if len(self.lower) > 500:
            raise ConfigError("lower", "overlayfs takes at most 500 directories")
        for index, path in enumerate(self.lower):
            if path in self.lower[:index]:
                raise ConfigError(f"lower[{index}]", f"{path} is there twice")
        return self


class HostRootfs(Rootfs):
    """A read-only view of the host's programs; see the constants of this module."""

    kind: Literal["host"] = "host"
    extra: tuple[AbsolutePath, ...] = ()
    """Further directories of the host to show, read-only."""

    if TYPE_CHECKING:

        def __init__(self, *, extra: Iterable[StrPath] = ()) -> None: ...

    @model_validator(mode="after")
    def _extra_is_harmless(self) -> Self:
        for index, path in enumerate(self.extra):
            names = path.split("/")
            if f"/{names[1]}" in _OWN or path in _TOO_MUCH:
                raise ConfigError(f"extra[{index}]", f"{path} can't be shown")
            if names[1] == "etc" and re.match(_SECRET, path):
                raise ConfigError(f"extra[{index}]", f"{path} holds secrets")
        return self


# The container has its own of these.
_OWN: Final = frozenset({"/dev", "/proc", "/sys"})

# Shown file by file, or directory by directory.
_TOO_MUCH: Final = frozenset({"/", "/etc"})

# What a caller would only name by mistake.
_SECRET: Final = (
    r"/etc/(g?shadow|machine-id|ssh|sudoers|krb5.keytab|security/opasswd"
    r"|ssl/?$|ssl/private|pki/?$|pki/private)"
)

HOST_DIRECTORIES: Final = ("/usr",)
"""Directories of the host that are shown read-only."""

HOST_LIBRARY_LINKS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Where these are links on the host (merged ``/usr``), the container gets the same
links; where they are directories, they are shown like ``/usr``."""

# Nothing here may tell a secret or what identifies the host: no shadow, gshadow,
# ssh, machine-id, krb5.keytab, sudoers, ssl/private, resolv.conf.
HOST_ETC: Final = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/locale.alias",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/profile",
    "/etc/protocols",
    "/etc/python3",
    "/etc/rpc",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
)
"""Files and directories of the host's ``/etc`` that are shown, where they exist."""

_KINDS: Final[dict[object, type[Rootfs]]] = {
    "directory": DirectoryRootfs,
    "overlay": OverlayRootfs,
    "host": HostRootfs,
}


def _from_input(value: object) -> object:
    """A path means a directory; a mapping is told apart by its ``kind``."""
    if isinstance(value, str | os.PathLike):
        return _built(DirectoryRootfs, {"path": value})
    if isinstance(value, Mapping):
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ConfigError("kind", f"should be one of {', '.join(map(str, _KINDS))}")
        return _built(_KINDS[kind], value)
    if type(value) is Rootfs:
        raise ConfigError("", "use Rootfs.directory, Rootfs.overlay or Rootfs.host")
    return value


def _built(model: type[Rootfs], data: Mapping[str, object]) -> Rootfs:
    return model.model_validate(dict(data))


AnyRootfs: TypeAlias = Annotated[SerializeAsAny[Rootfs], BeforeValidator(_from_input)]
"""A field that takes a `Rootfs`, or a path meaning that directory."""
