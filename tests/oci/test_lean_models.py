"""The stand-in for pydantic makes of a document what pydantic does, or nothing."""

import importlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocontainer.config import Config

from ..support.bad_configs import BAD
from ..support.bad_oci import BAD_OCI
from ..support.mutations import OCI, TREES, mutated
from ..support.oci_configs import configs
from ..support.oci_documents import SAMPLES, sample
from ..support.reading import Reader, reading

relaxed = settings(
    max_examples=int(os.environ.get("AIOCONTAINER_FUZZ_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Both:
    """A process with the stand-ins, and one with the real libraries."""

    def __init__(self, lean: Reader, real: Reader) -> None:
        self._readers = lean, real

    def agree(self, *question: Any) -> str:
        """What became of it with the stand-ins; fails where the answers differ."""
        lean, real = (reader(*question) for reader in self._readers)
        assert real[0] in ("made", "refused")
        if lean[0] != "unsuited":
            assert lean == real
        return lean[0]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with reading("lean") as lean, reading("real") as real:
        yield Both(lean, real)


@pytest.mark.parametrize(("name", "manager"), SAMPLES.items())
def test_what_engines_write_is_read_as_pydantic_reads_it(
    both: Both, name: str, manager: str
) -> None:
    assert both.agree("bundle", sample(name), manager) == "made"
    assert both.agree("process", sample(name)["process"]) == "made"
    limits = sample(name)["linux"].get("resources", {})
    assert both.agree("resources", limits) == "made"


def test_a_config_with_something_in_nearly_every_field_is_made_alike(
    both: Both,
) -> None:
    assert both.agree("rich") == "made"


IDS = [{"container_id": 0, "host_id": 9, "size": 3}]
# What OCI documents don't have, or our samples of them.
GOOD: list[dict[str, Any]] = [
    {},
    {"rootfs": {"kind": "host", "extra": ["/opt"]}},
    {"memory": "64MiB", "cpus": "1.5", "pids": 7, "resources": {"misc": {"sev": 1}}},
    {"uid_mappings": "auto"},
    {"groups": ["audio", 4, "7"], "user": 1000, "umask": 0},
    {"rlimits": {"core": None, "nofile": 5, "nproc": [1, None]}},
    {"landlock": {"execute": ["/usr"], "bind_tcp": [80], "scope": ["signals"]}},
    {"require": ["seccomp", "cgroup.memory"]},
    {"network": {"kind": "loopback"}},
    {
        "network": [
            {"kind": "veth", "address": "10.0.0.2/24", "gateway": "10.0.0.1"},
            {"kind": "bridge", "name": "eth1", "dns": ["192.0.2.1"], "mtu": 1400},
            {"kind": "device", "device": "data0"},
            {"kind": "route", "destination": "fd09::/48", "interface": "eth1"},
        ]
    },
    {
        "network": {
            "kind": "bridge",
            "subnet": "10.9.0.0/24",
            "publish": [
                "8080:80",
                (53, 53, "udp"),
                {"host_port": 0, "container_port": 1},
            ],
            "dns": {"servers": ["::1"], "hosts": {"db": "10.9.0.7"}},
        }
    },
    {"network": {"kind": "user", "program": "pasta", "dns": None}},
    {
        "cgroup": {
            "mode": "systemd",
            "systemd_properties": {
                "TimeoutStopUSec": 5,
                "SendSIGHUP": True,
                "After": ["a.service"],
                "Description": "x",
            },
        }
    },
    {
        "hooks": {"prestart": {"path": "/x", "timeout": 3}, "poststop": []},
        "mounts": [
            {
                "destination": "/v",
                "source": "/srv/v",
                "type": "bind",
                "relabel": "z",
                "premount_commands": [{"path": "/x", "timeout": 0.5}],
            },
            {
                "destination": "/w",
                "source": "/srv/v",
                "options": ["bind", "idmap=uids=0-1-1;gids=@0-0-1"],
            },
        ],
        "namespaces": {"user": "new"},
        "uid_mappings": IDS,
        "gid_mappings": IDS,
    },
    {
        "scheduler": {"policy": "deadline", "runtime_ns": 2048, "deadline_ns": 4096},
        "memory_policy": {"mode": "bind", "nodes": "0", "flags": ["static_nodes"]},
        "personality": {"flags": ["ADDR_NO_RANDOMIZE"]},
        "exec_cpu_affinity": {"final": "0-3"},
        "parent_death_signal": "term",
        "time_offsets": {"boottime": 5, "monotonic": {"secs": -2, "nanosecs": 1}},
        "namespaces": {"time": "new"},
    },
    {"seccomp": {"syscalls": [{"names": ["read"], "min_kernel": [4, 8]}]}},
    {"intel_rdt": {"clos_id": "a", "l3_cache_schema": "L3:0=f"}},
]


@pytest.mark.parametrize("fields", GOOD)
def test_a_config_of_other_forms_is_made_alike(
    both: Both, fields: dict[str, Any]
) -> None:
    assert both.agree("config", fields) == "made"


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "7", "env": {"A": "b"}, "no_new_privs": False},
        {"capabilities": {"bounding": ["CAP_KILL"]}, "rlimits": {"core": (0, 1)}},
        {"cwd": "/a/../b", "groups": (1, 2), "seccomp": None},
    ],
)
def test_changed_settings_are_made_alike(both: Both, changes: dict[str, Any]) -> None:
    assert both.agree("changed", GOOD[2], changes) == "made"


@relaxed
@given(config=configs())
def test_any_config_that_oci_has_words_for_is_read_alike(
    both: Both, config: Config
) -> None:
    assert both.agree("bundle", config.to_oci(["x"]), "cgroupfs") == "made"


@pytest.mark.parametrize("manager", ["cgroupfs", "systemd"])
@relaxed
@given(document=mutated(OCI))
def test_a_mutated_document_is_read_alike_or_left_to_pydantic(
    both: Both, document: dict[str, Any], manager: str
) -> None:
    both.agree("bundle", document, manager)
    both.agree("process", document.get("process"))
    linux = document.get("linux")
    if isinstance(linux, dict):
        both.agree("resources", linux.get("resources"))


@pytest.mark.parametrize(
    "index",
    [pytest.param(n, id=f"{n}-{field}"[:60]) for n, (field, _) in enumerate(BAD)],
)
def test_a_wrong_config_is_left_to_pydantic(both: Both, index: int) -> None:
    assert both.agree("bad_config", index) == "unsuited"


@pytest.mark.parametrize(
    "wrong", [pytest.param(w, id=f"{n}-{f}"[:60]) for n, (f, w) in enumerate(BAD_OCI)]
)
def test_a_wrong_document_is_refused_alike_or_left_to_pydantic(
    both: Both, wrong: Any
) -> None:
    both.agree("bundle", wrong, "cgroupfs")


MODELS = (
    *("Capabilities", "CgroupSettings", "CpuLimits", "Device", "DeviceRule", "Dns"),
    *("Hook", "Hooks", "IdMapping", "IntelRdt", "Landlock", "MemoryLimits", "Mount"),
    *("MountCommand", "Namespaces", "NetworkLimits", "PublishedPort", "Resources"),
    *("Rlimit", "Scheduler", "Seccomp", "SyscallRule", "TimeOffsets", "Veth"),
    *("BridgeNetwork", "UserNetwork", "Route", "Config", "ProcessSettings"),
)
# What pydantic would take for something else, or refuse, by the type alone.
ODD = st.sampled_from(
    [
        *(True, False, 0, 1, -1, 5, 2**31, 2**63, 2**64, 0.0, 1.0, 1.5, float("nan")),
        *("", "0", "1", "true", "new", "/x", "a b", "\0", "64MiB", "unlimited", "rw"),
        *(b"", b"1", None, (), [], {}, ..., frozenset(), {"a"}, ("/x",), ["/x"]),
        *({"": 1}, {"a": "b"}, {1: 2}, (0, 1), [1, 2, 3], "10.0.0.1", "10.0.0.2/24"),
        *("fd00::1", "8080:80", "CHOWN", "nofile", {"path": "/x"}, {"read"}, range(3)),
    ]
)


@st.composite
def fields_of(draw: Any) -> tuple[str, dict[str, Any]]:
    """The name of a model, and values for some of its fields and for others."""
    name = draw(st.sampled_from(MODELS))
    fields = getattr(importlib.import_module("aiocontainer.config"), name).model_fields
    return name, draw(
        st.dictionaries(st.sampled_from([*fields, "other"]), ODD | TREES, max_size=4)
    )


@settings(relaxed, max_examples=400)
@given(fields_of())
def test_a_model_of_odd_values_is_made_alike_or_left_to_pydantic(
    both: Both, question: tuple[str, dict[str, Any]]
) -> None:
    name, fields = question
    both.agree("model", name, fields)
    both.agree("config", fields)


def test_models_inside_of_models_are_taken_as_they_are(both: Both) -> None:
    assert both.agree("model_of_models", "good") == "made"


@pytest.mark.parametrize("name", ["subclass", "changed copy", "another"])
def test_models_that_are_not_what_they_seem_are_left_to_pydantic(
    both: Both, name: str
) -> None:
    assert both.agree("model_of_models", name) == "unsuited"


# Each is refused, or taken for something else, for a type that is like the right one.
@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("IdMapping", {"container_id": False, "host_id": 0, "size": 1}),
        ("IdMapping", {"container_id": 0.0, "host_id": 0, "size": 1}),
        ("IdMapping", {"container_id": "0", "host_id": 0, "size": 1}),
        ("DeviceRule", {"allow": 1}),
        ("DeviceRule", {"allow": "true"}),
        ("DeviceRule", {"allow": True, "access": "rw\n"}),
        ("DeviceRule", {"allow": True, "access": "rrrr"}),
        ("DeviceRule", {"allow": True, "access": ""}),
        ("Mount", {"destination": b"/x", "type": "tmpfs"}),
        ("Mount", {"destination": "/x", "type": "tmpfs", "options": "ro"}),
        ("Mount", {"destination": "/x", "type": "tmpfs", "options": {"ro": 1}}),
        ("Mount", {"destination": "/x", "type": "tmpfs", "options": b"ro"}),
        ("Hook", {"path": "/x", "timeout": True}),
        ("Hook", {"path": "/x", "timeout": "1"}),
        ("Hook", {"path": "/x", "timeout": float("nan")}),
        ("Hook", {"path": "/x", "timeout": 10**400}),
        ("SyscallRule", {"names": ["read"], "min_kernel": (4,)}),
        ("SyscallRule", {"names": ["read"], "min_kernel": (4, 8, 1)}),
        ("SyscallRule", {"names": ["read"], "min_kernel": (4, True)}),
        ("Landlock", {"execute": ["/x"], "scope": "signals"}),
        ("Seccomp", {"listener_metadata": "x" * 16_385}),
        ("Device", {"path": "/dev/x", "typ": "c"}),
        ("Device", {"path": "/dev/x", "type": None}),
        ("Device", {}),
        ("HostDevice", {}),
        ("IdMapping", {"container_id": 0, "host_id": 0}),
        ("Device", None),
        ("Device", []),
        ("Device", [("path", "/dev/x")]),
    ],
)
def test_what_is_only_like_the_right_type_is_left_to_pydantic(
    both: Both, model: str, fields: Any
) -> None:
    assert both.agree("model", model, fields) == "unsuited"
