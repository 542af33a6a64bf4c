"""What was read is written back with the same meaning, and read again the same."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from aiocontainer.config import (
    Config,
    Network,
    Rootfs,
    Seccomp,
    replace,
)
from aiocontainer.config.bundle import Bundle
from aiocontainer.errors import ConfigError, UnsupportedFeature

from ..support.oci_configs import configs
from ..support.oci_documents import SAMPLES, minimal, sample

relaxed = settings(
    max_examples=int(os.environ.get("AIOCONTAINER_FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@relaxed
@given(configs())
def test_a_config_written_and_read_is_the_same(config: Config) -> None:
    document = config.to_oci(["x"])
    again = Config.from_oci(document)
    # Rules for what a runtime has to supply are added when it is read.
    mine, read = config.resources.devices, again.resources.devices
    start = 0 if read[: len(mine)] == mine else 1
    assert read[start : start + len(mine)] == mine
    limits = replace(again.resources, devices=mine)
    assert replace(again, resources=limits) == config
    assert Config.from_oci(again.to_oci(["x"])) == again


@pytest.mark.parametrize(("name", "manager"), SAMPLES.items())
def test_what_engines_write_is_written_back_with_the_same_meaning(
    name: str, manager: Any
) -> None:
    first = Bundle.read(sample(name), bundle="/b", cgroup_manager=manager)
    assert first.process is not None
    document = first.config.to_oci(first.process.args, terminal=first.process.terminal)
    second = Bundle.read(document, bundle="/b", cgroup_manager=manager)
    assert second.config == first.config
    assert second.process == first.process
    assert not [w for w in second.warnings if "annotations" not in w]


def test_our_defaults_are_written_out() -> None:
    document = Config(rootfs="/srv/x", memory="64MiB", cpus=1.5, pids=5).to_oci(["sh"])
    assert document["linux"]["resources"]["memory"] == {"limit": 64 << 20}
    assert document["linux"]["resources"]["cpu"] == {
        "quota": 150_000,
        "period": 100_000,
    }
    assert document["linux"]["resources"]["pids"] == {"limit": 5}
    assert {"type": "network"} in document["linux"]["namespaces"]
    assert document["process"]["noNewPrivileges"] is True
    assert document["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert [m["destination"] for m in document["mounts"]][:2] == ["/proc", "/dev"]


def test_each_device_of_a_config_may_be_used_in_the_document() -> None:
    fuse = {"path": "/dev/fuse", "major": 10, "minor": 229}
    document = Config(rootfs="/srv/x", devices=[fuse]).to_oci()
    assert document["linux"]["devices"][0]["path"] == "/dev/fuse"
    assert document["linux"]["resources"]["devices"][-1] == {
        "allow": True,
        "type": "c",
        "major": 10,
        "minor": 229,
        "access": "rwm",
    }


BIND = {"destination": "/v", "source": "/srv/v", "type": "bind"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rootfs": Rootfs.host()}, "rootfs"),
        ({"rootfs": Rootfs.overlay("/a")}, "rootfs"),
        (
            {
                "rootfs": Rootfs.directory("/a", idmap=True),
                "namespaces": {"user": "/proc/1/ns/user"},
            },
            "rootfs.idmap",
        ),
        ({"user": "app"}, "user"),
        ({"user": "5"}, "user"),
        ({"user": "5:staff"}, "user"),
        ({"groups": [4, "audio"]}, "groups[1]"),
        ({"session_keyring": False}, "session_keyring"),
        ({"pivot_root": False}, "pivot_root"),
        ({"cgroup": {"mode": "v1"}}, "cgroup.mode"),
        ({"cgroup": {"parent": "/a"}}, "cgroup.parent"),
        ({"cgroup": {"mode": "systemd", "name": "a:b"}}, "cgroup.name"),
        ({"system_devices": ()}, "system_devices"),
        ({"resources": {"misc": {"sev": 1}}}, "resources.misc"),
        ({"resources": {"cpu": {"weight": 5}}}, "resources.cpu.weight"),
        ({"parent_death_signal": "KILL"}, "parent_death_signal"),
        ({"namespaces": {"user": "auto"}}, "namespaces.user"),
        ({"pivot_dir": "/x"}, "pivot_dir"),
        ({"seccomp": Seccomp(bpf=b"\x06\0\0\0\0\0\xff\x7f")}, "seccomp.bpf"),
        ({"devices": [{"path": "/x", "host_path": "/dev/y"}]}, "devices"),
        (
            {"mounts": [{**BIND, "premount_commands": [{"path": "/x"}]}]},
            "mounts[0].premount_commands",
        ),
        ({"mounts": [{**BIND, "relabel": "z"}]}, "mounts[0].relabel"),
        ({"network": Network.bridge()}, "network[0]"),
        (
            {"scheduler": {"policy": "OTHER", "util_max": 5}},
            "scheduler.util_max",
        ),
    ],
)
def test_what_oci_has_no_word_for_is_refused(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        Config(**{"rootfs": "/srv/x", **fields}).to_oci()
    assert caught.value.feature == named


@pytest.mark.parametrize(
    ("memory", "unified"),
    [
        ({"high_bytes": 5}, {"memory.high": "5"}),
        ({"low_bytes": "unlimited"}, {"memory.low": "max"}),
        ({"min_bytes": 0}, {"memory.min": "0"}),
        ({"zswap_bytes": 1}, {"memory.zswap.max": "1"}),
        ({"oom_group": True}, {"memory.oom.group": "1"}),
        ({"swap_bytes": 4096}, {"memory.swap.max": "4096"}),
    ],
)
def test_what_only_v2_has_is_written_as_its_files(
    memory: dict[str, Any], unified: dict[str, str]
) -> None:
    document = Config(rootfs="/x", resources={"memory": memory}).to_oci()
    assert document["linux"]["resources"]["unified"] == unified


def test_a_systemd_cgroup_is_written_as_its_slice_and_scope() -> None:
    def path(**cgroup: Any) -> Any:
        config = Config(rootfs="/x", cgroup={"mode": "systemd", **cgroup})
        document = config.to_oci()
        again = Config.from_oci(document, cgroup_manager="systemd")
        assert again.cgroup.parent == config.cgroup.parent
        return document["linux"].get("cgroupsPath")

    assert path(parent="a.slice", name="p-x.scope") == "a.slice:p:x"
    assert path(name="x.scope") == "::x"
    assert path(name="x") == ":aiocontainer:x"
    assert path() is None


def test_properties_of_the_systemd_unit_become_annotations() -> None:
    properties = {"TimeoutStopUSec": 5, "SendSIGHUP": True, "After": ("a.service",)}
    cgroup = {"mode": "systemd", "systemd_properties": properties}
    config = Config(rootfs="/x", cgroup=cgroup)
    again = Config.from_oci(config.to_oci(), cgroup_manager="systemd")
    assert again.cgroup == config.cgroup


def test_the_minimal_document_comes_back() -> None:
    config = Config.from_oci(minimal())
    assert Config.from_oci(config.to_oci()) == config
    with pytest.raises(ConfigError):
        Config.from_oci({**config.to_oci(), "root": None})
