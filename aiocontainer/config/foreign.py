"""Reading configurations that other programs wrote, from wherever they are."""

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar

from aiocontainer.errors import ConfigError

from . import oci
from .base import StrPath
from .document import LARGEST_BYTES, parse_json
from .oci import CgroupManager, Reading

__all__ = ("Foreign", "built", "document_of", "read_libcontainer", "read_oci")

Foreign: TypeAlias = Mapping[str, Any] | bytes | StrPath
"""A parsed document, its JSON (bytes, or text that begins with ``{``), or the path of
its file or of the directory that holds it."""

_T = TypeVar("_T")


def document_of(
    source: Foreign, name: str, folder: StrPath | None = None
) -> tuple[Mapping[str, Any], str | None]:
    """The parsed document, and the absolute path of the directory that it belongs to.

    Args:
        source: where it is.
        name: of the file in a directory.
        folder: the directory that it belongs to; ``None`` is that of the file.

    Raises:
        ConfigError: it can't be read, or isn't a JSON object.
    """
    home = None if folder is None else os.path.abspath(_path(folder))
    if isinstance(source, Mapping):
        return source, home
    if isinstance(source, bytes):
        return parse_json(source), home
    if not isinstance(source, str | os.PathLike):
        raise ConfigError("", "should be a document, its JSON, or its path")
    if isinstance(source, str) and source.lstrip()[:1] == "{":
        return parse_json(source), home
    path = os.path.abspath(_path(source))
    if os.path.isdir(path):
        path = os.path.join(path, name)
    return parse_json(_text_of(path)), home or os.path.dirname(path)


def _path(path: StrPath) -> str:
    text = os.fspath(path)
    if not isinstance(text, str) or "\0" in text:
        raise ConfigError("", "isn't a path")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ConfigError("", "isn't a path") from None
    return text


def _text_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError("", f"{path}: {error.strerror}") from error


def read_oci(
    source: Foreign,
    bundle: StrPath | None,
    manager: CgroupManager,
    grantable: Collection[str] | None = None,
) -> Reading:
    """What an OCI document says; see `aiocontainer.config.oci.read_document`."""
    document, folder = document_of(source, "config.json", bundle)
    return oci.read_document(document, folder, manager, grantable)


def built(
    make: Callable[..., _T], reading: Reading, part: tuple[str, str] = ("", "")
) -> _T:
    """The model that ``make`` builds from a reading.

    Raises:
        ConfigError: named by its path in the document.
    """
    try:
        return make(**reading.fields)
    except ConfigError as error:
        raise oci.in_oci_words(
            error, reading.rule_sources, reading.devices, part
        ) from None


def read_libcontainer(
    make: Callable[..., _T],
    source: Foreign,
    rootfs: StrPath | None,
    manager: CgroupManager,
) -> _T:
    """What ``make`` builds from a ``container.json``.

    Raises:
        ConfigError: named by its path in the document.
    """
    from .libcontainer import in_libcontainer_words, read_container

    document, folder = document_of(source, "container.json")
    if rootfs is not None:
        folder = os.path.abspath(_path(rootfs))
        document = {**document, "rootfs": folder}
    fields, _ = read_container(document, folder, manager)
    try:
        return make(**fields)
    except ConfigError as error:
        raise in_libcontainer_words(error, document) from None
