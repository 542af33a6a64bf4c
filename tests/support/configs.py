"""A good configuration, with something in nearly every field."""

from aiocontainer.config import (
    Capabilities,
    CgroupSettings,
    Config,
    Device,
    IdMapping,
    Mount,
    Namespaces,
    Rootfs,
)

__all__ = ("RICH",)

RICH = Config(
    rootfs=Rootfs.overlay("/srv/a", "/srv/b", size="64MiB"),
    memory="64MiB",
    cpus=1.5,
    pids=32,
    user="app:staff",
    groups=[4, "audio"],
    env={"LANG": "C.UTF-8"},
    rlimits={"nofile": 1024, "core": (0, None)},
    hostname="box",
    capabilities=Capabilities(
        bounding=["net_raw"],
        permitted=["NET_RAW"],
        inheritable=["CAP_NET_RAW"],
        ambient=["cap_net_raw"],
    ),
    namespaces=Namespaces(user="new", network="/run/netns/blue"),
    uid_mappings=[IdMapping(container_id=0, host_id=100_000, size=65_536)],
    gid_mappings=[IdMapping(container_id=0, host_id=100_000, size=65_536)],
    mounts=[Mount.bind("/srv/data", "/data", readonly=True), Mount.tmpfs("/tmp")],
    devices=[Device(path="/dev/fuse", major=10, minor=229)],
    sysctl={"net/ipv4/ip_forward": "1"},
    cgroup=CgroupSettings(parent="/jobs//7/", name="x"),
)
