"""`typing` for who only wants its names: nothing is checked, little is remembered.

The real one takes 5 ms, half of it for what our models say of their fields. Annotated
types, alternatives and literals can be looked at as there; all else is only a word.
"""

from __future__ import annotations

from collections import namedtuple

from . import missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    T = t.TypeVar("T")


class _Word:
    """What can be subscribed, and be one of several alternatives."""

    def __getitem__(self, _: object) -> t.Any:  # noqa: ANN401
        return self

    def __or__(self, other: object) -> _Either:
        return _Either(self, other)

    def __ror__(self, other: object) -> _Either:
        return _Either(other, self)


class _Either(_Word):
    __origin__: object

    def __init__(self, *kinds: object) -> None:
        self.__origin__ = Union
        self.__args__ = tuple(type(None) if kind is None else kind for kind in kinds)

    def __or__(self, other: object) -> _Either:
        return _Either(*self.__args__, other)

    def __ror__(self, other: object) -> _Either:
        return _Either(other, *self.__args__)


class _Marked(_Word):
    __origin__: object

    def __init__(self, source: t.Any, marks: tuple[object, ...]) -> None:  # noqa: ANN401
        if type(source) is _Marked:
            source, marks = source.__origin__, source.__metadata__ + marks
        self.__origin__ = source
        self.__metadata__ = marks


class _Annotated(_Word):
    def __getitem__(self, parts: t.Any) -> _Marked:  # noqa: ANN401
        return _Marked(parts[0], parts[1:])


class _Values(_Word):
    def __init__(self, values: tuple[object, ...]) -> None:
        self.__origin__ = Literal
        self.__args__ = values


class _Literal(_Word):
    def __getitem__(self, values: t.Any) -> _Values:  # noqa: ANN401
        return _Values(values if type(values) is tuple else (values,))


Annotated = _Annotated()
Literal = _Literal()
Union = _Word()
Any = ClassVar = Final = IO = Never = NoReturn = Self = TypeAlias = Unpack = _Word()


class TypeVar(_Word):
    """A word, too."""

    def __init__(self, *_: object, **__: object) -> None:
        pass


class Generic:
    """A base that says nothing."""

    def __class_getitem__(cls, _: object) -> type:
        return cls


Protocol = Generic


class TypedDict(dict):  # type: ignore[type-arg]
    """A dict."""

    def __init_subclass__(cls, *, total: bool = True) -> None:
        pass


class _NamedTupleMeta(type):
    """Makes a named tuple of what looks like a class."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, t.Any]
    ) -> type:
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = body.pop("__annotations__")
        defaults = [body.pop(field) for field in fields if field in body]
        made = namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]
        return type(name, (made,), {"__slots__": (), **body})


class NamedTuple(metaclass=_NamedTupleMeta):
    """As the real one."""


def get_args(kind: t.Any) -> tuple[object, ...]:  # noqa: ANN401
    """The parts of alternatives, or the values of a literal."""
    found: tuple[object, ...] = kind.__args__
    return found


def cast(_: object, value: T) -> T:
    """The value."""
    return value


def overload(function: T) -> T:
    """The function."""
    return function


def __getattr__(name: str) -> t.Any:  # noqa: ANN401
    raise missing("typing", name)
