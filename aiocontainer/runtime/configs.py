"""A config in a record: what was said, so that what wasn't stays the default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from ..config import Config
from ..errors import ConfigError


def dumped(config: Config) -> dict[str, Any]:
    """A config as JSON, 16 KiB shorter than with all that is default.

    Raises:
        ConfigError: it holds what can't be written down, such as a function.
    """
    try:
        data: dict[str, Any] = json.loads(config.model_dump_json(exclude_unset=True))
    except PydanticSerializationError as error:
        raise ConfigError("config", f"can't be kept for others: {error}") from None
    _add_kinds(config, data)
    return data


def _add_kinds(value: object, data: object) -> None:
    """What tells alternatives apart is a default of each."""
    if isinstance(value, BaseModel) and isinstance(data, dict):
        if "kind" in type(value).model_fields:
            data["kind"] = getattr(value, "kind")  # noqa: B009  not of each model
        for name, inner in data.items():
            _add_kinds(getattr(value, name, None), inner)
    elif isinstance(value, Mapping) and isinstance(data, dict):
        for name, inner in data.items():
            _add_kinds(value.get(name), inner)
    elif isinstance(value, tuple) and isinstance(data, list):
        for one, inner in zip(value, data, strict=False):
            _add_kinds(one, inner)


def loaded(data: dict[str, Any]) -> Config:
    """The config that was `dumped`.

    Raises:
        ConfigError: it never was one.
    """
    return Config.model_validate(data)
