"""`dataclasses` without generated code: to compile that takes 0.4 ms for each class.

Nothing enforces ``frozen`` or ``slots``: tests with the real module do.
"""

from __future__ import annotations

from . import Unsuited, missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, Never

__all__ = ("dataclass", "field", "replace")

_NAMES: Final = "__dataclass_fields__"


class _Made:
    """A default that is made anew for each instance."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory


def field(*, default_factory: Callable[[], Any]) -> Any:  # noqa: ANN401  as the real one
    """As `dataclasses.field`."""
    return _Made(default_factory)


def dataclass(cls: type | None = None, /, **_: bool) -> Any:  # noqa: ANN401
    """As `dataclasses.dataclass`, for classes of plain fields."""
    return _decorated if cls is None else _decorated(cls)


def _decorated(cls: type) -> type:
    said: dict[str, object] = cls.__annotations__
    own = tuple(name for name in said if "ClassVar[" not in str(said[name]))
    inherited = getattr(cls, _NAMES, ())
    names = (*inherited, *(name for name in own if name not in inherited))
    made = tuple(
        (name, factory)
        for name in names
        if (factory := _factory_of(getattr(cls, name, None))) is not None
    )
    if hasattr(cls, "__getattr__"):
        cls.__new__ = _refuse  # type: ignore[assignment]
    for name, value in (
        (_NAMES, names),
        ("__slots__", own),  # for who asks which fields there are
        ("__match_args__", names),
        ("__init__", _init(names, made, getattr(cls, "__post_init__", None))),
        ("__eq__", _eq),
        ("__hash__", _hash),
        ("__repr__", _repr),
    ):
        if name not in cls.__dict__:
            setattr(cls, name, value)
    return cls


def _factory_of(default: object) -> Callable[[], object] | None:
    """Makes what isn't found in the class as it is: a function would be bound."""
    if isinstance(default, _Made):
        return default.factory
    return (lambda: default) if callable(default) else None


def _init(
    names: tuple[str, ...],
    made: tuple[tuple[str, Callable[[], Any]], ...],
    after: Callable[[Any], None] | None,
) -> Callable[..., None]:
    """Fields that aren't given are found in the class."""

    def init(self: Any, /, *values: Any, **named: Any) -> None:  # noqa: ANN401
        fields = self.__dict__
        fields.update(zip(names, values, strict=False))
        fields.update(named)
        for name, factory in made:
            if name not in fields:
                fields[name] = factory()
        if after is not None:
            after(self)

    return init


def _refuse(cls: type, *_: object, **__: object) -> Never:
    """It is asked for fields whose slots are empty, and here are none."""
    raise Unsuited(cls.__name__)


def _values(one: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return tuple(getattr(one, name) for name in getattr(one, _NAMES))


def _eq(one: object, other: object) -> bool:
    return type(one) is type(other) and _values(one) == _values(other)


def _hash(one: object) -> int:
    return hash(_values(one))


def _repr(one: object) -> str:
    return f"{type(one).__name__}{_values(one)}"


def replace(one: Any, /, **changes: Any) -> Any:  # noqa: ANN401
    """As `dataclasses.replace`."""
    fields = {name: getattr(one, name) for name in getattr(one, _NAMES)}
    return type(one)(**{**fields, **changes})


def __getattr__(name: str) -> Any:  # noqa: ANN401
    raise missing("dataclasses", name)
