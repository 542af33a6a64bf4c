"""JSON as `json` reads and writes it, by the C code inside and without the package.

That one compiles regular expressions when it is loaded, which takes longer than a
command that reads one state file. Where the C code is missing, or is made in another
way than it has been since Python 3.11, `json` does all of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class _Context:
    """What ``json.JSONDecoder()`` has, and the C code asks for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {
        name: float(name) for name in ("NaN", "Infinity", "-Infinity")
    }.get


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


try:
    import _json

    _context: Any = _Context
    _make_encoder: Any = _json.make_encoder
    quote: Callable[[str], str] = _json.encode_basestring_ascii
    """The text of a string."""
    _scan: Callable[[str, int], tuple[Any, int]] = _json.make_scanner(_context)
    _encode: Callable[[object, int], tuple[str, ...]] = _make_encoder(
        None, _refuse, quote, None, ": ", ", ", False, False, True
    )
except (ImportError, AttributeError, TypeError):
    import json

    _decoder: Any = json.JSONDecoder()
    _scan = _decoder.scan_once
    quote = json.dumps

    def _encode(value: object, _level: int) -> tuple[str, ...]:
        return (json.dumps(value),)


def loads(data: bytes) -> Any:  # noqa: ANN401
    """The value that a text says, in UTF-8.

    Raises:
        ValueError: it is none.
        RecursionError: it is too deep.
    """
    text = data.decode().strip(" \t\n\r")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("there is no value") from None
    if end != len(text):
        raise ValueError("there is something after the value")
    return value


def line(value: object) -> str:
    """The text of a value in one line: ``json.dumps(value)``.

    Raises:
        TypeError: there is something else than values of JSON in it.
    """
    return "".join(_encode(value, 0))


def dumps(value: object, step: str = "  ") -> str:
    """The text of a value, to be read by people: ``json.dumps(value, indent=step)``.

    Args:
        value: dicts with strings as keys, lists, tuples, and what is in such.
        step: what inner lines begin with.

    Raises:
        TypeError: there is something else in it.
    """
    return "".join(_pieces(value, "\n", step))


def _pieces(value: object, line: str, step: str) -> Iterator[str]:
    inner = line + step
    if isinstance(value, dict) and value:
        before = "{"
        for name, item in value.items():
            yield f"{before}{inner}{quote(name)}: "
            yield from _pieces(item, inner, step)
            before = ","
        yield f"{line}}}"
    elif isinstance(value, list | tuple) and value:
        before = "["
        for item in value:
            yield f"{before}{inner}"
            yield from _pieces(item, inner, step)
            before = ","
        yield f"{line}]"
    else:
        yield _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return quote(value)
    if type(value) is int:
        return str(value)
    for constant, text in ((None, "null"), (True, "true"), (False, "false")):
        if value is constant:
            return text
    import json  # floats, and whatever is an error

    return json.dumps(value)
