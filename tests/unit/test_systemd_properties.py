"""Limits as properties of a unit, and the properties that a config may add."""

from __future__ import annotations

from typing import Any

import pytest

from aiocontainer.cgroups.systemd_properties import (
    ASIDE_BYTES,
    INFINITE,
    properties_of,
)
from aiocontainer.config import CgroupSettings, DeviceRule, Resources
from aiocontainer.config.systemd import PROPERTY_SIGNATURES, systemd_property
from aiocontainer.errors import ConfigError

MIB = 1024 * 1024


def told(**fields: Any) -> list[tuple[str, Any]]:
    wanted = Resources(**{"devices": (), **fields})
    return [(one.name, one.value) for one in properties_of(wanted)]


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"memory": {"limit_bytes": MIB, "swap_bytes": 5, "min_bytes": 6}},
            [
                ("MemoryMin", 6),
                ("MemoryMax", MIB + ASIDE_BYTES),
                ("MemorySwapMax", 5),
            ],
            id="memory",
        ),
        pytest.param(
            {"memory": {"limit_bytes": "unlimited", "high_bytes": 7}},
            [("MemoryHigh", 7 + ASIDE_BYTES), ("MemoryMax", INFINITE)],
            id="unlimited",
        ),
        pytest.param(
            {"memory": {"reservation_bytes": 8}}, [("MemoryLow", 8)], id="reservation"
        ),
        pytest.param({"pids_limit": 9}, [("TasksMax", 10)], id="pids"),
        pytest.param({"cpu": {"shares": 1024}}, [("CPUWeight", 100)], id="shares"),
        pytest.param({"cpu": {"weight": 7}}, [("CPUWeight", 7)], id="weight"),
        pytest.param({"cpu": {"idle": True}}, [("CPUWeight", 0)], id="idle"),
        pytest.param(
            {"cpu": {"quota_us": 12_345, "period_us": 50_000}},
            [("CPUQuotaPeriodUSec", 50_000), ("CPUQuotaPerSecUSec", 250_000)],
            id="quota-rounded-up-to-10-ms",
        ),
        pytest.param(
            {"cpu": {"quota_us": "unlimited"}},
            [("CPUQuotaPeriodUSec", 100_000), ("CPUQuotaPerSecUSec", INFINITE)],
            id="no-quota",
        ),
        pytest.param(
            {"cpu": {"cpus": "0,9", "mems": "0-1"}},
            [("AllowedCPUs", b"\x01\x02"), ("AllowedMemoryNodes", b"\x03")],
            id="cpuset",
        ),
        pytest.param({"block_io": {"weight": 10}}, [("IOWeight", 1)], id="io"),
    ],
)
def test_limits_become_properties(
    fields: dict[str, Any], properties: list[tuple[str, Any]]
) -> None:
    assert told(**fields) == properties


DENY = DeviceRule(allow=False)


@pytest.mark.parametrize(
    ("rules", "policy", "allowed"),
    [
        pytest.param((DENY,), "strict", [], id="none"),
        pytest.param(
            (
                DENY,
                DeviceRule(allow=True, type="c", access="m"),
                DeviceRule(allow=True, type="b", major=8, minor=0, access="r"),
                DeviceRule(allow=True, type="c", major=136),
            ),
            "strict",
            [["char-*", "m"], ["/dev/block/8:0", "r"], ["char-136", "rwm"]],
            id="some",
        ),
        pytest.param(
            (DENY, DeviceRule(allow=True, type="c", minor=3)),
            "strict",
            [["char-*", "rwm"]],
            id="what-cannot-be-said-is-allowed",
        ),
        pytest.param((DeviceRule(allow=True),), "auto", None, id="all"),
        pytest.param(
            (
                DENY,
                DeviceRule(allow=True, type="c", access="m"),
                DeviceRule(allow=False, type="c", major=1, minor=3, access="m"),
            ),
            "auto",
            None,
            id="exception-from-an-exception",
        ),
    ],
)
def test_device_rules_of_systemd_are_never_stricter_than_ours(
    rules: tuple[DeviceRule, ...], policy: str, allowed: list[Any] | None
) -> None:
    expected = [("DevicePolicy", policy), ("DeviceAllow", [])]
    if allowed is not None:
        expected.append(("DeviceAllow", allowed))
    assert told(devices=rules) == expected


@pytest.mark.parametrize(
    ("name", "text", "property_"),
    [
        ("TimeoutStopUSec", "uint64 5000000", ("TimeoutStopUSec", 5_000_000)),
        ("TimeoutStopSec", "1.5", ("TimeoutStopUSec", 1_500_000)),
        ("RuntimeMaxSec", "uint64 10", ("RuntimeMaxUSec", 10_000_000)),
        ("CollectMode", "'inactive'", ("CollectMode", "inactive")),
        ("KillSignal", "int32 15", ("KillSignal", 15)),
        ("SendSIGHUP", "true", ("SendSIGHUP", True)),
        (
            "After",
            "['a.service', \"b.service\"]",
            ("After", ("a.service", "b.service")),
        ),
        ("Wants", "[]", ("Wants", ())),
    ],
)
@pytest.mark.covers("properties of systemd by annotation", where="fake")
def test_annotations_of_the_oci_become_properties(
    name: str, text: str, property_: tuple[str, Any]
) -> None:
    assert systemd_property(name, text) == property_


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("ExecStart", "'/bin/sh'", id="a-program"),
        pytest.param("PIDs", "[1]", id="ours"),
        pytest.param("MemoryMax", "uint64 1", id="a-limit"),
        pytest.param("TimeoutStopUSec", "'soon'", id="wrong-type"),
        pytest.param("TimeoutStopSec", "soon", id="no-seconds"),
        pytest.param("TimeoutStopSec", "inf", id="for-ever"),
        pytest.param("TimeoutStopSec", "-1", id="before"),
        pytest.param("SendSIGHUP", "uint64 1", id="no-truth-value"),
        pytest.param("CollectMode", "inactive", id="unquoted"),
        pytest.param("CollectMode", "'a\nb'", id="two-lines"),
        pytest.param("KillSignal", "99999999999", id="too-large"),
        pytest.param("After", "['a', b]", id="half-quoted"),
    ],
)
def test_other_annotations_are_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError):
        systemd_property(name, text)


def test_properties_are_part_of_the_settings() -> None:
    wanted = {"TimeoutStopUSec": 5, "After": ["a.service"], "SendSIGKILL": False}
    settings = CgroupSettings(mode="systemd", systemd_properties=wanted)
    assert settings.systemd_properties["After"] == ("a.service",)
    assert hash(settings)
    with pytest.raises(ConfigError, match=r"systemd_properties\[Slice\]"):
        CgroupSettings(mode="systemd", systemd_properties={"Slice": "x.slice"})
    with pytest.raises(ConfigError):
        CgroupSettings(systemd_properties={"TimeoutStopUSec": True})


def test_no_property_that_may_be_set_is_one_of_ours() -> None:
    ours = {name for name, _ in told(memory={"limit_bytes": 1}, pids_limit=1)}
    ours |= {"PIDs", "Slice", "Delegate", "DevicePolicy", "DeviceAllow", "CPUWeight"}
    assert not ours & set(PROPERTY_SIGNATURES)
