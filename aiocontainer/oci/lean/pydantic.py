"""`pydantic` for our own models, loaded in 2 ms instead of 100.

It takes what is right and refuses nothing: any doubt, and any exception of a validator,
is `Unsuited`. Annotations are looked at when a field is first given.
"""

from __future__ import annotations

import json

from . import Unsuited, missing
from .annotations import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    Strict,
    shape_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final, Self

    from .annotations import Call

__all__ = (
    "AfterValidator",
    "BaseModel",
    "BeforeValidator",
    "ConfigDict",
    "Field",
    "PlainSerializer",
    "PlainValidator",
    "SerializeAsAny",
    "Strict",
    "ValidationError",
    "model_validator",
)

_REQUIRED: Final = object()


class ValidationError(ValueError):
    """Never raised here."""


def ConfigDict(
    *, frozen: bool = True, extra: str = "forbid", **others: object
) -> dict[str, object]:
    """What the models here are anyway."""
    known = {"hide_input_in_errors", "ser_json_bytes", "val_json_bytes"}
    if not frozen or extra != "forbid" or not known.issuperset(others):
        raise Unsuited("ConfigDict")
    return {"frozen": frozen, "extra": extra, **others}


def model_validator(*, mode: str) -> Callable[[Any], Any]:
    """Mark a method that is called with what a model is made of, or with the model."""
    if mode not in ("before", "after"):
        raise Unsuited(f"model_validator({mode})")

    def mark(method: Any) -> Any:  # noqa: ANN401
        method.model_validator = mode
        return method

    return mark


class _FieldInfo:
    """One field of a model."""

    __slots__ = ("annotation", "check", "default", "dump")

    def __init__(self, annotation: object, default: object) -> None:
        self.annotation = annotation
        self.default = default
        self.check: Call | None = None
        """``None`` until it is asked for; and so is ``dump`` until then."""
        self.dump: Call | None = None

    def looked_at(self) -> Call:
        """The check, with ``dump`` beside it."""
        if self.check is None:
            shape = shape_of(self.annotation)
            self.check, self.dump = shape.check, shape.dump
        return self.check


class BaseModel:
    """As `pydantic.BaseModel`, frozen and without further fields."""

    __slots__ = ("__dict__", "_given")
    _given: set[str]

    model_config = ConfigDict()
    model_fields: dict[str, _FieldInfo] = {}  # noqa: RUF012
    _defaults: dict[str, object] = {}  # noqa: RUF012
    _required: set[str] = set()  # noqa: RUF012
    _before: tuple[str, ...] = ()
    _after: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        own, said = cls.__dict__, cls.__annotations__
        if len(cls.__bases__) != 1 or any(name.startswith("_") for name in said):
            raise Unsuited(cls.__name__)
        cls.model_fields = cls.model_fields | {
            name: _FieldInfo(annotation, own.get(name, _REQUIRED))
            for name, annotation in said.items()
        }
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        cls._defaults = defaults
        cls._required = {name for name in defaults if defaults[name] is _REQUIRED}
        for name, value in [*own.items()]:
            mode = getattr(value, "model_validator", None)
            if mode == "before":
                cls._before = (*(n for n in cls._before if n != name), name)
            elif mode == "after":
                cls._after = (*(n for n in cls._after if n != name), name)

    def __init__(self, /, **data: object) -> None:
        try:
            self._fill(data)
        except Exception as error:
            raise Unsuited(f"{type(self).__name__}: {error}") from error

    @classmethod
    def model_validate(cls, obj: Any, **others: object) -> Self:  # noqa: ANN401
        """As the real one."""
        if others:
            raise Unsuited(f"model_validate({others})")
        try:
            return cls.model_checked(obj) if type(obj) is cls else cls.model_built(obj)
        except Exception as error:
            raise Unsuited(f"{cls.__name__}: {error}") from error

    @classmethod
    def model_validate_json(cls, _: object, **__: object) -> Self:
        """Not here."""
        raise Unsuited("model_validate_json")

    @classmethod
    def model_built(cls, data: object) -> Self:
        """A model from a mapping."""
        self = cls.__new__(cls)
        self._fill(data)
        return self

    @classmethod
    def model_checked(cls, model: Self) -> Self:
        """The model, once more looked at as a whole: it may be a changed copy."""
        for name in cls._after:
            if getattr(cls, name)(model) is not model:
                raise Unsuited(name)
        return model

    def _fill(self, data: Any) -> None:  # noqa: ANN401
        cls = type(self)
        for name in cls._before:
            data = getattr(cls, name)(data)
        if type(data) is not dict or not cls._required <= data.keys():
            raise Unsuited(cls.__name__)
        fields = cls.model_fields
        values = cls._defaults.copy()
        for name, value in data.items():
            field = fields[name]
            values[name] = (field.check or field.looked_at())(value)
        self._hold(values, {*data})
        cls.model_checked(self)

    def _hold(self, values: dict[str, Any], given: set[str]) -> None:
        object.__setattr__(self, "__dict__", values)
        object.__setattr__(self, "_given", given)

    @property
    def model_fields_set(self) -> set[str]:
        """Names of the fields that were given."""
        return self._given

    @classmethod
    def model_construct(cls, **values: object) -> Self:
        """As the real one: nothing is looked at."""
        self = cls.__new__(cls)
        given = values.keys() & cls._defaults.keys()
        held = {n: values.get(n, default) for n, default in cls._defaults.items()}
        self._hold({n: v for n, v in held.items() if v is not _REQUIRED}, given)
        return self

    def model_copy(self, *, update: Mapping[str, object] | None = None) -> Self:
        """As the real one: the changes aren't looked at."""
        copy = type(self).__new__(type(self))
        changes = {} if update is None else update
        copy._hold({**self.__dict__, **changes}, self._given | changes.keys())
        return copy

    def model_dump(
        self, *, exclude_unset: bool = False, **others: object
    ) -> dict[str, Any]:
        """As the real one."""
        if others:
            raise Unsuited(f"model_dump({others})")
        return _written(self, as_json=False, all_of_it=not exclude_unset)

    def model_dump_json(self, *, exclude_unset: bool = False, **others: object) -> str:
        """As the real one."""
        if others:
            raise Unsuited(f"model_dump_json({others})")
        tree = _written(self, as_json=True, all_of_it=not exclude_unset)
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseModel):
            return NotImplemented
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"


def _written(model: BaseModel, *, as_json: bool, all_of_it: bool) -> dict[str, Any]:
    found = {}
    for name, value in vars(model).items():
        if all_of_it or name in model.model_fields_set:
            field = model.model_fields[name]
            field.looked_at()
            said = value if field.dump is None else field.dump(value)
            found[name] = _plain(said, as_json, all_of_it)
    return found


def _plain(value: Any, as_json: bool, all_of_it: bool) -> Any:  # noqa: ANN401
    """What no field says how to write down, by its own type."""
    kind = type(value)
    if value is None or kind in (str, int, bool, float):
        return value
    if isinstance(value, BaseModel):
        return _written(value, as_json=as_json, all_of_it=all_of_it)
    if kind is tuple or kind is list:
        made = [_plain(one, as_json, all_of_it) for one in value]
        return made if as_json or kind is list else tuple(made)
    if kind is dict:
        return {name: _plain(one, as_json, all_of_it) for name, one in value.items()}
    if kind is frozenset:
        return [*value] if as_json else value
    if not as_json:
        return value
    if kind.__module__ != "ipaddress":
        raise Unsuited(repr(value)[:80])
    return str(value)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    raise missing("pydantic", name)
