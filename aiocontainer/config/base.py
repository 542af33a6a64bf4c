"""What all models share: frozen, strict, and `ConfigError` as the only error."""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    Strict,
    ValidationError,
)

from aiocontainer.errors import ConfigError

__all__ = (
    "AbsolutePath",
    "ConfigError",
    "Environment",
    "Flag",
    "FrozenMap",
    "Model",
    "StrPath",
    "Text",
    "Whole",
    "as_map",
    "replace",
)

_K = TypeVar("_K")
_V = TypeVar("_V")
_M = TypeVar("_M", bound="Model")

StrPath: TypeAlias = str | os.PathLike[str]
"""A path as a caller may give it."""

_FIELD_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class Model(BaseModel):
    """Base of every configuration model: immutable, hashable, no unknown fields.

    Raises:
        ConfigError: a value is wrong. It names the field by its path from the model
            that was being built, as ``mounts[2].destination``.
    """

    # Not use_attribute_docstrings: to read all these sources again costs 30 ms of
    # import, for descriptions that nothing asks for at run time.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    if not TYPE_CHECKING:

        def __init__(self, /, **data: object) -> None:
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise _translate(error) from None
            except (UnicodeError, RecursionError) as error:
                raise ConfigError("", str(error)) from None

        # Else pydantic would build nested models by this method, one exception per
        # level, instead of in one pass of its core.
        __init__.__pydantic_base_init__ = True

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(f"{name} can't be changed: make another by replace()")

        def __delattr__(self, name: str) -> None:
            raise AttributeError(f"{name} can't be changed: make another by replace()")

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:  # noqa: ANN401
        """Build from a mapping (or return an instance of this class as it is)."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise _translate(error) from None
        except (UnicodeError, RecursionError) as error:
            raise ConfigError("", str(error)) from None

    @classmethod
    def model_validate_json(
        cls,
        json_data: str | bytes | bytearray,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Build from the JSON that ``model_dump_json`` wrote."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise _translate(error) from None
        except (UnicodeError, RecursionError) as error:
            raise ConfigError("", str(error)) from None


def replace(model: _M, **changes: object) -> _M:
    """A copy with some fields changed, validated as a whole.

    Raises:
        ConfigError: a change is wrong, or doesn't fit the rest.
    """
    fields = {name: getattr(model, name) for name in model.model_fields_set}
    return type(model)(**{**fields, **changes})


def _translate(error: ValidationError) -> ConfigError:
    """The first complaint as a `ConfigError`, the others as its notes."""
    first, *others = [
        _complaint(details["loc"], details["msg"], details.get("ctx", {}).get("error"))
        for details in error.errors(include_url=False, include_input=False)
    ]
    for other in others:
        first.add_note(f"also {other}")
    return first


def _complaint(
    location: tuple[int | str, ...], message: str, cause: object
) -> ConfigError:
    path = "".join(map(_step, location))
    if isinstance(cause, ConfigError):
        inner = cause.field if cause.field.startswith("[") else f".{cause.field}"
        return ConfigError(
            (path + (inner if cause.field else "")).lstrip("."), cause.reason
        )
    reason = str(cause) if isinstance(cause, ValueError) else message
    return ConfigError(path.lstrip("."), reason[:1].lower() + reason[1:])


def _step(part: int | str) -> str:
    if part == "[key]":  # pydantic's mark for a complaint about the key itself
        return ""
    if isinstance(part, int) or not re.fullmatch(_FIELD_NAME, part):
        return f"[{part}]"
    return f".{part}"


class FrozenMap(Mapping[_K, _V]):
    """A mapping that can't be changed and can be hashed; equal to a like ``dict``."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[_K, _V] | Iterable[tuple[_K, _V]] = ()) -> None:
        self._items = dict(items)

    def __getitem__(self, key: _K) -> _V:
        return self._items[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._items,)


def _as_dict(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ConfigError("", "should be a mapping")
    return dict(value)


as_map = (
    BeforeValidator(_as_dict),
    AfterValidator(FrozenMap),
    PlainSerializer(dict, return_type=dict[str, Any]),
)
"""Annotations of a field whose mapping is stored as a `FrozenMap`."""


def without_nul(text: str) -> str:
    if "\0" in text:
        raise ConfigError("", "contains a NUL byte")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise ConfigError("", "can't be written as UTF-8")
    return text


def as_text(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ConfigError("", f"should be an absolute path, not {path!r}")
    if len(path) > 4095:
        raise ConfigError("", "is longer than the kernel's limit of 4095 bytes")
    return "/" + posixpath.normpath(path).lstrip("/")


Text: TypeAlias = Annotated[str, Strict(), AfterValidator(without_nul)]
"""A string the kernel can take: no NUL, and expressible in UTF-8."""

AbsolutePath: TypeAlias = Annotated[
    str,
    Strict(),
    BeforeValidator(as_text),
    AfterValidator(without_nul),
    AfterValidator(absolute),
]
"""An absolute path, without ``.``, ``..``, doubled or trailing slashes."""


def _environment(value: Mapping[str, str]) -> Mapping[str, str]:
    for name in value:
        if not name or "=" in name:
            raise ConfigError(f"[{name}]", "should be a name without '='")
    return value


Environment: TypeAlias = Annotated[
    Mapping[Text, Text],
    as_map[0],
    AfterValidator(_environment),
    *as_map[1:],
]
"""Variables and their values, as execve(2) takes them."""

Whole: TypeAlias = Annotated[int, Strict()]
"""An integer; neither a truth value nor a numeral."""

Flag: TypeAlias = Annotated[bool, Strict()]
"""A truth value; neither a number nor a word."""
