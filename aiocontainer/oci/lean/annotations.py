"""What an annotation asks of a value: how it is checked, and how it is written down.

Only what our models use, and only values of exactly the types that JSON and our own
code give. pydantic takes more, such as a subclass of ``str``, and makes something of
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Literal, Union

from . import Unsuited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final, Never

    Call = Callable[[Any], Any]

__all__ = (
    "AfterValidator",
    "BeforeValidator",
    "Field",
    "PlainSerializer",
    "PlainValidator",
    "SerializeAsAny",
    "Shape",
    "Strict",
    "shape_of",
)


class _Function:
    """Something that is done to a value."""

    def __init__(self, func: Call, **others: object) -> None:
        if others.keys() - {"return_type"}:  # which is what it returns anyhow
            raise Unsuited(f"{type(self).__name__}({others})")
        self.func = func


class AfterValidator(_Function):
    """Done once the value has the type."""


class BeforeValidator(_Function):
    """Done before that is looked at."""


class PlainValidator(_Function):
    """Done instead."""


class PlainSerializer(_Function):
    """Done to write the value down."""


class Strict:
    """No conversions: there are none here anyway."""


class SerializeAsAny:
    """Written down as what it is, and not only as what the annotation says."""

    def __class_getitem__(cls, source: Any) -> Any:  # noqa: ANN401
        return Annotated[source, cls()]


class Field:
    """Bounds of a value."""

    def __init__(
        self,
        *,
        ge: float | None = None,
        gt: float | None = None,
        le: float | None = None,
        lt: float | None = None,
        min_length: int = 0,
        max_length: int | None = None,
        pattern: str | None = None,
        strict: bool = True,
        **others: object,
    ) -> None:
        if others or not strict:
            raise Unsuited(f"Field({others or 'strict=False'})")
        self.numbers = (ge, gt, le, lt)
        self.lengths = (min_length, max_length)
        self.pattern = pattern

    def steps(self) -> Iterable[Call]:
        """What checks the bounds."""
        if any(bound is not None for bound in self.numbers):
            yield _within(*self.numbers)
        if self.lengths != (0, None):
            yield _as_long_as(*self.lengths)
        if self.pattern is not None:
            yield _made_of(self.pattern)


def _within(
    ge: float | None, gt: float | None, le: float | None, lt: float | None
) -> Call:
    def check(value: Any) -> Any:  # noqa: ANN401
        if (
            (ge is not None and not value >= ge)
            or (gt is not None and not value > gt)
            or (le is not None and not value <= le)
            or (lt is not None and not value < lt)
        ):
            refuse(value)
        return value

    return check


def _as_long_as(least: int, most: int | None) -> Call:
    def check(value: Any) -> Any:  # noqa: ANN401
        if len(value) < least or (most is not None and len(value) > most):
            refuse(value)
        return value

    return check


def _made_of(pattern: str) -> Call:
    """A pattern of the form ``^[abc]{1,3}$``, which doesn't take `re`."""
    letters, _, counts = pattern.removeprefix("^[").removesuffix("}$").partition("]{")
    least, _, most = counts.partition(",")
    if pattern != f"^[{letters}]{{{least},{most}}}$" or not letters.isalpha():
        raise Unsuited(pattern)
    is_long = _as_long_as(int(least), int(most))

    def check(value: Any) -> Any:  # noqa: ANN401
        if not set(letters).issuperset(value):
            refuse(value)
        return is_long(value)

    return check


class Shape:
    """A type of values."""

    __slots__ = ("check", "dump")

    def __init__(self, check: Call, dump: Call | None = None) -> None:
        self.check = check
        """Gives the value as the model holds it, or raises `Unsuited`."""
        self.dump = dump
        """Gives it as it is written down; ``None`` is as its own type says."""


def refuse(value: object) -> Never:
    """Leave this value to pydantic."""
    raise Unsuited(repr(value)[:80])


def _exact(kind: type) -> Shape:
    def check(value: object) -> object:
        if type(value) is not kind:
            refuse(value)
        return value

    return Shape(check)


def _number(value: object) -> object:
    if type(value) is int:
        value = float(value)
    if type(value) is not float:
        refuse(value)
    return value


_made: Final[dict[int, tuple[object, Shape]]] = {
    **{id(kind): (kind, _exact(kind)) for kind in (str, int, bool, bytes)},
    id(float): (float, Shape(_number)),
}


def shape_of(annotation: Any) -> Shape:  # noqa: ANN401
    """The shape that an annotation describes.

    Raises:
        Unsuited: it has parts that aren't known here.
    """
    found = _made.get(id(annotation))
    if found is None:  # the annotation is kept, or its id could become another's
        found = _made[id(annotation)] = annotation, _described(annotation)
    return found[1]


def _described(annotation: Any) -> Shape:  # noqa: ANN401
    marks = getattr(annotation, "__metadata__", None)
    if marks is not None:
        return _marked(annotation.__origin__, marks)
    origin = getattr(annotation, "__origin__", None)
    if origin is Literal:
        return _one_of(annotation.__args__)
    if origin is Union or isinstance(annotation, UnionType):
        return _either(annotation.__args__)
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](annotation.__args__)
    return _model(annotation)


def _marked(source: Any, marks: tuple[object, ...]) -> Shape:  # noqa: ANN401
    """An annotated type. What is to be done before is done by the last one first."""
    plain = max(
        (at for at, mark in enumerate(marks) if isinstance(mark, PlainValidator)),
        default=None,
    )
    dump = None
    if plain is not None:
        steps = [marks[plain].func]  # type: ignore[attr-defined]
        marks = marks[plain + 1 :]
    else:
        subclasses = any(isinstance(mark, SerializeAsAny) for mark in marks)
        shape = _model(source, subclasses=True) if subclasses else shape_of(source)
        steps, dump = [shape.check], shape.dump
    for mark in marks:
        match mark:
            case BeforeValidator():
                steps.insert(0, mark.func)
            case AfterValidator():
                steps.append(mark.func)
            case Field():
                steps.extend(mark.steps())
            case PlainSerializer():
                dump = mark.func
            case Strict() | SerializeAsAny():
                pass
            case _:
                raise Unsuited(repr(mark))
    return Shape(_chain(steps), dump)


def _chain(steps: list[Call]) -> Call:
    if len(steps) == 1:
        return steps[0]

    def check(value: Any) -> Any:  # noqa: ANN401
        for step in steps:
            value = step(value)
        return value

    return check


def _one_of(words: tuple[object, ...]) -> Shape:
    if not all(type(word) is str for word in words):
        raise Unsuited(repr(words))

    def check(value: object) -> object:
        if type(value) is not str or value not in words:
            refuse(value)
        return value

    return Shape(check)


def _either(kinds: tuple[Any, ...]) -> Shape:
    """``X | None``, or alternatives that the exact type of a value tells apart."""
    rest = [kind for kind in kinds if kind is not type(None)]
    if len(rest) == 1:
        return _or_none(shape_of(rest[0]))
    shapes = {getattr(kind, "__origin__", kind): shape_of(kind) for kind in kinds}
    if not shapes.keys() <= {str, int, bool, tuple}:
        raise Unsuited(repr(kinds))
    return Shape(lambda value: shapes[type(value)].check(value))


def _or_none(shape: Shape) -> Shape:
    check, dump = shape.check, shape.dump
    return Shape(
        lambda value: None if value is None else check(value),
        dump and (lambda value: None if value is None else dump(value)),
    )


def _tuple(kinds: tuple[Any, ...]) -> Shape:
    """``tuple[X, ...]``, or one of a fixed length; a list is as good."""
    if kinds[-1] is not ...:
        return _fixed_tuple(kinds)
    item = shape_of(kinds[0])
    each = item.check

    def check(value: Any) -> object:  # noqa: ANN401
        if type(value) is not tuple and type(value) is not list:
            refuse(value)
        return tuple([each(one) for one in value])

    if item.dump is None:
        return Shape(check)
    dump = item.dump
    return Shape(check, lambda value: tuple(map(dump, value)))


def _fixed_tuple(kinds: tuple[Any, ...]) -> Shape:
    shapes = [shape_of(kind) for kind in kinds]
    if any(shape.dump for shape in shapes):
        raise Unsuited(repr(kinds))

    def check(value: Any) -> object:  # noqa: ANN401
        if type(value) is not tuple and type(value) is not list:
            refuse(value)
        return tuple([s.check(one) for s, one in zip(shapes, value, strict=True)])

    return Shape(check)


def _frozenset(kinds: tuple[Any, ...]) -> Shape:
    item = shape_of(kinds[0])
    if item.dump is not None:
        raise Unsuited(repr(kinds))

    def check(value: Any) -> object:  # noqa: ANN401
        if type(value) not in (tuple, list, set, frozenset):
            refuse(value)
        return frozenset([item.check(one) for one in value])

    return Shape(check)


def _mapping(kinds: tuple[Any, ...]) -> Shape:
    """Written down by a serializer of its own, which all of ours have."""
    key, item = shape_of(kinds[0]).check, shape_of(kinds[1]).check

    def check(value: object) -> object:
        if not isinstance(value, Mapping):
            refuse(value)
        return {key(name): item(one) for name, one in value.items()}

    return Shape(check)


_CONTAINERS: Final = {tuple: _tuple, frozenset: _frozenset, Mapping: _mapping}


def _model(model: Any, *, subclasses: bool = False) -> Shape:  # noqa: ANN401
    """One of our models. That of a subclass would be written down as a part of it."""
    from .pydantic import BaseModel

    if not isinstance(model, type) or not issubclass(model, BaseModel):
        raise Unsuited(repr(model))

    def check(value: Any) -> object:  # noqa: ANN401
        if type(value) is model or (subclasses and isinstance(value, model)):
            return model.model_checked(value)
        return model.model_built(value)

    return Shape(check)
