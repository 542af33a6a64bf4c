"""Whatever a document holds: a container, or an error of ours, and soon."""

import contextlib
import copy
import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocontainer.config import Config
from aiocontainer.config.bundle import Bundle, read_process, read_resources
from aiocontainer.errors import ConfigError, UnsupportedFeature

from ..support.mutations import OCI, OLD, TREES, mutated

SLOW_S = 0.1

relaxed = settings(
    max_examples=int(os.environ.get("AIOCONTAINER_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def only_our_errors(make: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What ``make`` gives, or ``None`` if it raised an error of ours."""
    # The fastest of three: a pause of the collector isn't ours.
    for _ in range(3):
        began = time.thread_time()
        made = refused = None
        try:
            made = make(*args, **options)
        except (ConfigError, UnsupportedFeature) as error:
            refused = error
        if time.thread_time() - began < SLOW_S:
            break
    else:
        pytest.fail(f"took over {SLOW_S} s")
    if isinstance(refused, ConfigError):
        assert isinstance(refused.field, str)
        assert refused.reason
    return made


@relaxed
@given(mutated(OCI), st.sampled_from(["cgroupfs", "systemd"]))
def test_a_mutated_document_is_a_container_or_an_error_of_ours(
    document: dict[str, Any], manager: Any
) -> None:
    bundle = only_our_errors(Bundle.read, document, bundle="/b", cgroup_manager=manager)
    # Without a process in it, a document leaves our defaults, which aren't OCI's.
    if bundle is not None and document.get("process") is not None:
        # What can be read can be said again, or there is no word for it.
        again = only_our_errors(bundle.config.to_oci)
        if again is not None:
            read = Config.from_oci(again, bundle="/b", cgroup_manager=manager)
            assert differences(read, bundle.config) == {}


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    return {
        name: (getattr(one, name), getattr(other, name))
        for name in Config.model_fields
        if getattr(one, name) != getattr(other, name)
    }


@relaxed
@given(mutated(OCI))
def test_parts_of_a_mutated_document_are_read_or_refused(document: Any) -> None:
    only_our_errors(read_process, document.get("process"))
    linux = document.get("linux")
    if isinstance(linux, dict):
        only_our_errors(read_resources, linux.get("resources"))


@relaxed
@given(mutated(OLD))
def test_a_mutated_container_json_is_a_container_or_an_error_of_ours(
    document: dict[str, Any],
) -> None:
    only_our_errors(Config.from_libcontainer, document, rootfs="/srv/x")


@relaxed
@given(TREES)
def test_any_tree_is_a_container_or_an_error_of_ours(tree: Any) -> None:
    only_our_errors(Bundle.read, tree)
    only_our_errors(read_process, tree)
    only_our_errors(read_resources, tree)
    only_our_errors(Config.from_libcontainer, tree)


@relaxed
@given(st.binary(max_size=60), st.integers(0, 5000))
def test_broken_json_is_an_error_of_ours(noise: bytes, at: int) -> None:
    text = json.dumps(OCI["docker"]).encode()
    only_our_errors(Bundle.read, text[:at])
    only_our_errors(Bundle.read, text[:at] + noise + text[at:])
    only_our_errors(Config.from_libcontainer, b"{" + noise)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("mounts",), id="mounts"),
        pytest.param(("process", "env"), id="env"),
        pytest.param(("linux", "devices"), id="devices"),
        pytest.param(("linux", "resources", "devices"), id="rules"),
        pytest.param(("linux", "seccomp", "syscalls"), id="seccomp"),
        pytest.param(("process", "rlimits"), id="rlimits"),
        pytest.param(("linux", "uidMappings"), id="mappings"),
    ],
)
def test_a_list_ten_times_as_long_takes_about_ten_times_as_long(
    path: tuple[str, ...],
) -> None:
    def spent(times: int) -> float:
        document = copy.deepcopy(OCI["everything"])
        at: Any = document
        for step in path:
            at = at[step]
        at[:] = at * times
        best = float("inf")
        for _ in range(3):
            began = time.thread_time()
            with contextlib.suppress(ConfigError, UnsupportedFeature):
                Bundle.read(document, bundle="/b")
            best = min(best, time.thread_time() - began)
        return best

    # A quadratic reader would take a hundred times as long.
    assert spent(2000) < 40 * max(spent(200), 0.002)
