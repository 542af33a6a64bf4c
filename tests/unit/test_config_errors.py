"""Wrong configurations: each is a `ConfigError` that names the field."""

from typing import Any

import pytest

from aiocontainer.config import (
    Capabilities,
    Config,
    Device,
    IdMapping,
    Mount,
    Namespaces,
    Resources,
    Rootfs,
    Seccomp,
    override,
    replace,
)
from aiocontainer.config.base import Model
from aiocontainer.errors import ConfigError, ContainerError

from ..support.bad_configs import BAD


@pytest.mark.parametrize(
    ("field", "wrong"),
    [pytest.param(f, w, id=f"{n}-{f}"[:60]) for n, (f, w) in enumerate(BAD)],
)
def test_a_wrong_value_is_named_by_its_path(field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**{"rootfs": "/srv/x", **wrong})
    assert caught.value.field == field
    assert caught.value.reason
    assert not caught.value.reason.endswith(".")


def test_the_table_of_wrong_values_is_long() -> None:
    assert len(BAD) > 200


def test_a_missing_rootfs_is_named() -> None:
    with pytest.raises(ConfigError, match="rootfs: field required"):
        Config()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("model", "fields", "field"),
    [
        (Mount, {"destination": "/"}, "destination"),
        (Device, {"path": "/dev/x", "major": -1}, "major"),
        (Namespaces, {"pid": "x"}, "pid"),
        (IdMapping, {"container_id": 0, "host_id": 0}, "size"),
        (Resources, {"memory": {"limit_bytes": 0}}, "memory.limit_bytes"),
        (Seccomp, {"syscalls": [{"names": [1]}]}, "syscalls[0].names[0]"),
        (Capabilities, {"bounding": ["x"]}, "bounding"),
    ],
)
def test_a_model_of_its_own_names_fields_from_itself(
    model: type[Model], fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        model(**fields)
    assert caught.value.field == field
    with pytest.raises(ConfigError) as caught:
        model.model_validate(fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"rootfs": 1e999}', '{"a": ' * 5000, "\ud800"]
)
def test_json_that_is_wrong_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        Config.model_validate_json(text)


def test_other_complaints_are_notes() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(rootfs="/x", umask=-1, cwd="y")
    assert caught.value.field == "umask"
    assert caught.value.__notes__ == ["also cwd: should be an absolute path, not 'y'"]


def test_a_config_error_is_a_value_error_and_ours() -> None:
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, ContainerError)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Rootfs.directory("x"), "path"),
        (lambda: Rootfs.overlay(), "lower"),
        (lambda: Rootfs.overlay("/a", size="lots"), "upper_bytes"),
        (lambda: Rootfs.host(extra=["opt"]), "extra[0]"),
        (lambda: Mount.bind("srv"), "destination"),
        (lambda: Mount.bind("srv", "/srv"), "source"),
        (lambda: Mount.tmpfs("/t", size="x"), "size"),
        (lambda: Mount.tmpfs("/t", mode=-1), "mode"),
        (lambda: Capabilities.of("FLY"), "bounding"),
    ],
)
def test_constructors_name_the_field_too(make: Any, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.field == field


def test_derived_settings_are_checked() -> None:
    config = Config(rootfs="/srv/x")
    with pytest.raises(ConfigError, match="user"):
        override(config, user="1:")
    with pytest.raises(ConfigError, match="hostname"):
        override(config, hostname="x")
    with pytest.raises(ConfigError, match="hostname"):
        replace(config, namespaces=Namespaces(uts="host"), hostname="x")


def test_nothing_can_be_changed_afterwards() -> None:
    config = Config(rootfs="/srv/x")
    with pytest.raises(AttributeError, match="umask can't be changed"):
        config.umask = 0
    with pytest.raises(AttributeError, match="umask can't be changed"):
        del config.umask
    with pytest.raises(TypeError):
        config.env["A"] = "b"  # type: ignore[index]
