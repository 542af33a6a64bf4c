"""JSON documents of other programs, read with care.

A `Node` is one object of a document; it knows where it is, so that each complaint names
the field by the document's own path, as ``linux.resources.memory.limit``.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiocontainer.errors import ConfigError, UnsupportedFeature

__all__ = ("LARGEST_BYTES", "Node", "parse_json")

LARGEST_BYTES: Final = 4 << 20
"""A document of more is refused; the largest seen in use has a tenth of it."""

_WARNINGS_MAX: Final = 100
_INT64: Final = (-(2**63), 2**63 - 1)


def parse_json(text: str | bytes) -> dict[str, Any]:
    """The object that ``text`` is.

    Raises:
        ConfigError: it is no JSON object, is too large or nested too deeply, has a name
            twice, or a number that JSON doesn't have.
    """
    if len(text) > LARGEST_BYTES:
        raise ConfigError("", f"is larger than {LARGEST_BYTES >> 20} MiB")
    try:
        tree = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:
        raise ConfigError("", f"isn't JSON: {error}"[:200]) from None
    if not isinstance(tree, dict):
        raise ConfigError("", "should be an object")
    return tree


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ in which of two values of one name they take."""
    data = dict(pairs)
    if len(data) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ConfigError("", f"{name[:80]!r} is there twice in one object")
            seen.add(name)
    return data


def _constant(name: str) -> object:
    raise ConfigError("", f"{name} is not a number of JSON")


class Node:
    """One object of a document, and its path. ``null`` is the same as absent."""

    __slots__ = ("_data", "path", "warnings")

    def __init__(
        self, data: object, path: str = "", warnings: list[str] | None = None
    ) -> None:
        """Take ``data``; ``warnings`` is shared with all nodes below.

        Raises:
            ConfigError: it isn't an object.
        """
        if not isinstance(data, Mapping):
            raise ConfigError(path, "should be an object")
        self._data = data
        self.path = path
        self.warnings: list[str] = [] if warnings is None else warnings

    def __contains__(self, name: str) -> bool:
        return self._data.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        """The names, of which each has to be text.

        Raises:
            ConfigError: one isn't.
        """
        for name in self._data:
            if not isinstance(name, str):
                raise ConfigError(self.path, "should be a mapping of names")
            yield name

    def at(self, name: str) -> str:
        """Path of a field of this object."""
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, name: str, reason: str) -> ConfigError:
        """A complaint about a field, to be raised."""
        return ConfigError(self.at(name), reason)

    def warn(self, name: str, message: str) -> None:
        """Note what is no error, but not done either."""
        if len(self.warnings) < _WARNINGS_MAX:
            self.warnings.append(f"{self.at(name)}: {message}")

    def only(self, *known: str) -> None:
        """Note each field that isn't ``known``; it has no effect."""
        for name in self._data.keys() - set(known):
            self.warn(f"{name!s:.80}", "unknown, and ignored")

    def refuse(self, *names: str) -> None:
        """Refuse fields that would have to be acted on.

        Raises:
            UnsupportedFeature: one of them is there and says something.
        """
        for name in names:
            if self._data.get(name) not in (None, "", 0, False, [], {}):
                raise UnsupportedFeature(self.at(name), "not implemented")

    # -- values; each is ``None`` where the field is absent -----------------------

    def text(self, name: str) -> str | None:
        """A string that the kernel could take."""
        value = self._data.get(name)
        return None if value is None else checked_text(self.at(name), value)

    def word(self, name: str) -> str | None:
        """A string; an empty one is the same as none."""
        return self.text(name) or None

    def need(self, name: str) -> str:
        """A string that has to be there.

        Raises:
            ConfigError: it is absent or empty.
        """
        value = self.text(name)
        if not value:
            raise self.wrong(name, "is missing" if value is None else "is empty")
        return value

    def flag(self, name: str) -> bool | None:
        """A truth value."""
        value = self._data.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "should be true or false")
        return value

    def number(
        self, name: str, least: int = _INT64[0], most: int = _INT64[1]
    ) -> int | None:
        """A whole number from ``least`` to ``most``."""
        value = self._data.get(name)
        if value is None:
            return None
        return checked_number(self.at(name), value, least, most)

    def need_number(
        self, name: str, least: int = _INT64[0], most: int = _INT64[1]
    ) -> int:
        """A number that has to be there."""
        value = self.number(name, least, most)
        if value is None:
            raise self.wrong(name, "is missing")
        return value

    def items(self, name: str) -> list[Any]:
        """A list; empty where absent."""
        value = self._data.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            raise self.wrong(name, "should be a list")
        return list(value)

    def words(self, name: str) -> list[str]:
        """A list of strings; empty where absent."""
        return [
            checked_text(f"{self.at(name)}[{index}]", item)
            for index, item in enumerate(self.items(name))
        ]

    def numbers(self, name: str, least: int, most: int) -> list[int]:
        """A list of whole numbers; empty where absent."""
        return [
            checked_number(f"{self.at(name)}[{index}]", item, least, most)
            for index, item in enumerate(self.items(name))
        ]

    def nodes(self, name: str) -> "list[Node]":
        """A list of objects; empty where absent."""
        return [
            Node(item, f"{self.at(name)}[{index}]", self.warnings)
            for index, item in enumerate(self.items(name))
        ]

    def node(self, name: str) -> "Node | None":
        """An object."""
        value = self._data.get(name)
        return None if value is None else Node(value, self.at(name), self.warnings)

    def part(self, name: str) -> "Node":
        """An object; an empty one where absent."""
        return self.node(name) or Node({}, self.at(name), self.warnings)

    def map(self, name: str) -> dict[str, str]:
        """An object whose values are all strings; empty where absent."""
        node = self.part(name)
        found = {}
        for key in node:
            path = f"{node.path}[{key[:80]}]"
            found[checked_text(path, key)] = checked_text(path, node.raw(key))
        return found

    def raw(self, name: str) -> Any:  # noqa: ANN401
        """The value as it is."""
        return self._data.get(name)


def checked_text(path: str, value: object) -> str:
    """``value``, if it is text that the kernel could take."""
    if not isinstance(value, str):
        raise ConfigError(path, "should be text")
    if "\0" in value:
        raise ConfigError(path, "contains a NUL byte")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise ConfigError(path, "can't be written as UTF-8")
    return value


def checked_number(path: str, value: object, least: int, most: int) -> int:
    """``value``, if it is a whole number in these bounds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(path, "should be a whole number")
    if not least <= value <= most:
        raise ConfigError(path, f"should be between {least} and {most}")
    return value
