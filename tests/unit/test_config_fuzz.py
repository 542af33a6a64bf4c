"""Whatever is given: a configuration, or a `ConfigError`, and soon."""

import json
import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocontainer.config import (
    DEFAULT_SECCOMP,
    CgroupSettings,
    Config,
    Device,
    Mount,
    Namespaces,
    ProcessSettings,
    Resources,
    Seccomp,
    override,
)
from aiocontainer.config.base import Model
from aiocontainer.errors import ConfigError

from ..support.bad_configs import BAD
from ..support.configs import RICH

SLOW_S = 0.1

ODD = st.sampled_from(
    [
        *("", "/", "..", "\0", "\ud800", "a\nb", "/a/../..", "-1", "0", "unlimited"),
        *("9" * 5000, "1e999", "host", "new", "/proc/self", "CAP_CHOWN", "bind", "ro"),
        *(0, -1, 1, 2**31, 2**32 - 1, 2**63, 2**64, 10**400, True, False, None),
        *(float("nan"), float("inf"), 1e308, -0.0, b"\xff", ..., object(), int),
    ]
)
WORDS = st.text(max_size=20)
LEAVES = ODD | WORDS | st.integers() | st.floats() | st.binary(max_size=4)
KEYS = WORDS | st.sampled_from(["kind", "path", "a.b", "nofile", "\ud800", "\0"])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(LEAVES, inner, max_size=2)
    ),
    max_leaves=12,
)


def likely(model: type[Model], depth: int = 3) -> st.SearchStrategy[Any]:
    """Mappings with the model's own fields, whose values are mostly of no use."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        inner = [m for m in MODELS if m.__name__ in str(field.annotation)]
        if inner and depth:
            nested = likely(inner[0], depth - 1)
            fields[name] = nested | st.lists(nested, max_size=2) | TREES
        else:
            fields[name] = TREES
    return st.fixed_dictionaries({}, optional=fields)


MODELS: list[type[Model]] = [Mount, Device, Namespaces, Resources, CgroupSettings]

JSON_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)

relaxed = settings(
    max_examples=int(os.environ.get("AIOCONTAINER_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def only_config_errors(make: Any, *args: Any, **kwargs: Any) -> Any:
    """What ``make`` gives, or ``None`` if it raised a `ConfigError`."""
    # The fastest of three: a pause of the collector, over hypothesis' own objects,
    # isn't ours.
    for _ in range(3):
        began = time.thread_time()
        made = refused = None
        try:
            made = make(*args, **kwargs)
        except ConfigError as error:
            refused = error
        if time.thread_time() - began < SLOW_S:
            break
    else:
        pytest.fail(f"took over {SLOW_S} s")
    assert refused is None or (isinstance(refused.field, str) and refused.reason)
    return made


@relaxed
@given(likely(Config))
def test_a_config_from_anything_is_that_or_an_error(fields: dict[str, Any]) -> None:
    made = only_config_errors(Config, **{"rootfs": "/srv/x", **fields})
    if made is not None:
        hash(made)
        assert Config.model_validate_json(made.model_dump_json()) == made


GOOD = RICH.model_dump()


@relaxed
@given(
    st.dictionaries(st.sampled_from(list(GOOD)), st.just(None)),
    st.lists(st.sampled_from([wrong for _, wrong in BAD]), max_size=2),
)
def test_parts_of_good_and_bad_configs_make_either(
    left_out: dict[str, None], wrong: list[dict[str, Any]]
) -> None:
    fields = {name: value for name, value in GOOD.items() if name not in left_out}
    for part in wrong:
        fields |= part
    made = only_config_errors(Config, **{"rootfs": "/srv/x", **fields})
    if made is not None:
        assert Config.model_validate_json(made.model_dump_json()) == made


@relaxed
@given(st.dictionaries(KEYS, TREES, max_size=3), TREES)
def test_unknown_fields_and_foreign_values_are_config_errors(
    fields: dict[str, Any], whole: Any
) -> None:
    only_config_errors(Config, **fields)
    only_config_errors(Config.model_validate, whole)
    only_config_errors(override, Config(rootfs="/srv/x"), **fields)


@relaxed
@given(st.sampled_from([*MODELS, ProcessSettings, Seccomp]), TREES)
def test_every_model_takes_a_mapping_or_refuses(model: type[Model], tree: Any) -> None:
    only_config_errors(model.model_validate, tree)


@relaxed
@given(JSON_TREES)
def test_json_of_any_shape_is_a_config_or_a_config_error(tree: Any) -> None:
    text = json.dumps(tree)
    only_config_errors(Config.model_validate_json, text)
    only_config_errors(Seccomp.from_docker, text)


@relaxed
@given(TREES, st.sampled_from(["defaultAction", "syscalls", "archMap", "flags"]))
def test_a_docker_profile_with_any_part_wrong_is_a_config_error(
    tree: Any, part: str
) -> None:
    whole = {"defaultAction": "SCMP_ACT_ERRNO", part: tree}
    only_config_errors(Seccomp.from_docker, whole)
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    for key in ("names", "action", "args", "includes", "excludes", "errnoRet", "name"):
        broken = {**whole, "defaultAction": "SCMP_ACT_LOG", "syscalls": [rule]}
        broken["syscalls"] = [{**rule, key: tree}]
        only_config_errors(Seccomp.from_docker, broken)


def test_the_default_filter_is_as_valid_as_any() -> None:
    assert Seccomp.model_validate(DEFAULT_SECCOMP.model_dump()) == DEFAULT_SECCOMP
