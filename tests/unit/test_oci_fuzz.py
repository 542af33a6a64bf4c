"""Whatever a document holds: a container, or an error of ours, and soon."""

import contextlib
import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocontainer.config import Config
from aiocontainer.config.bundle import Bundle, read_process, read_resources
from aiocontainer.errors import ConfigError, UnsupportedFeature

from ..support.libcontainer_documents import SAMPLES as OLD_SAMPLES
from ..support.libcontainer_documents import sample as old_sample
from ..support.oci_documents import SAMPLES, sample

SLOW_S = 0.1

relaxed = settings(
    max_examples=int(os.environ.get("AIOCONTAINER_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

ODD = st.sampled_from(
    [
        *(
            "",
            "/",
            "..",
            "\0",
            "\ud800",
            "a\nb",
            "/a/../..",
            "-1",
            "host",
            "bind",
            "ro",
        ),
        *("x" * 5000, "SCMP_ACT_ALLOW", "CAP_KILL", "NEWNS", "a:b:c", "RLIMIT_CORE"),
        *(0, -1, 1, 5, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64, 10**400, True, False),
        *(None, 1e308, -0.5, [], {}, [[]], [{}], {"": None}, [None], "unlimited"),
    ]
)
TREES = st.recursive(
    ODD | st.text(max_size=10) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["path", "type", "limit", "name", "a"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a document."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


OCI = {name: sample(name) for name in SAMPLES}
OLD = {name: old_sample(name) for name in OLD_SAMPLES}
PLACES = {name: sorted(places(d), key=str) for name, d in (OCI | OLD).items()}


@st.composite
def mutated(draw: Any, documents: dict[str, Any]) -> dict[str, Any]:
    """A sample with some of its values changed, left out, doubled or moved."""
    name = draw(st.sampled_from(sorted(documents)))
    whole = copy.deepcopy(documents[name])
    for _ in range(draw(st.integers(1, 4))):
        *steps, last = draw(st.sampled_from(PLACES[name]))
        at: Any = whole
        try:
            for step in steps:
                at = at[step]
            match draw(st.sampled_from(["change", "remove", "double", "move"])):
                case "change":
                    at[last] = draw(TREES)
                case "remove":
                    del at[last]
                case "double":
                    at[last] = [at[last], at[last]]
                case "move":
                    at[last] = copy.deepcopy(whole)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    return whole


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
