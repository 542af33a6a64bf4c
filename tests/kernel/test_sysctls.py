"""Kernel parameters: each that is permitted is a namespace's; none is the host's."""

from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, ConfigError, Container, Namespaces
from aiocontainer.config import sysctl_path
from tests.support.capabilities import needs
from tests.support.inside import shell_in

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "ipc-namespace")]

VALUES = {
    "kernel.msgmax": "4096",
    "kernel.msgmnb": "8192",
    "kernel.msgmni": "777",
    "kernel.sem": "100\t3200\t10\t77",
    "kernel.shmall": "12345",
    "kernel.shmmax": "1234567",
    "kernel.shmmni": "123",
    "kernel.shm_rmid_forced": "1",
    "kernel.msg_next_id": "17",
    "kernel.sem_next_id": "18",
    "kernel.shm_next_id": "19",
    "fs.mqueue.queues_max": "33",
    "fs.mqueue.msg_max": "21",
    "fs.mqueue.msgsize_max": "4097",
    "fs.mqueue.msg_default": "7",
    "fs.mqueue.msgsize_default": "2048",
    "kernel.ns_last_pid": "4000",
    "vm.memfd_noexec": "1",
    "kernel.domainname": "example.org",
    "net.ipv4.ip_forward": "1",
    "net.ipv4.ping_group_range": "0\t1000",
    "net.core.somaxconn": "77",
    "net/ipv4/conf/lo/forwarding": "1",
}


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def host(name: str) -> str:
    path = name if name.startswith("net/") else sysctl_path(name)
    return Path("/proc/sys", path).read_text()


async def test_each_is_set_in_the_container_and_on_the_host_none(rootfs: Path) -> None:
    fleeting = {"kernel.ns_last_pid"}  # counts on by itself
    paths = {n: n if n.startswith("net/") else sysctl_path(n) for n in VALUES}
    present = {n: v for n, v in VALUES.items() if Path("/proc/sys", paths[n]).exists()}
    before = {name: host(name) for name in present.keys() - fleeting}
    async with Container(Config(rootfs=rootfs, sysctl=present)) as container:
        for name, value in present.items():
            said = await shell_in(container, f"cat /proc/sys/{paths[name]}")
            if name in fleeting:
                assert int(said) >= int(value)
            else:
                assert said.strip() == value, name
        assert {name: host(name) for name in before} == before
    assert len(present) > 15


NAMESPACE = {
    "ipc": ["kernel.shmmax", "fs.mqueue.msg_max", "kernel.sem_next_id"],
    "uts": ["kernel.domainname"],
    "network": ["net.ipv4.ip_forward"],
    "pid": ["kernel.ns_last_pid", "vm.memfd_noexec"],
    "user": ["user.max_user_namespaces"],
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in NAMESPACE for name in NAMESPACE[kind]]
)
def test_one_of_the_hosts_namespaces_is_refused(
    rootfs: Path, kind: str, name: str
) -> None:
    shared: Any = {kind: "host"}
    with pytest.raises(ConfigError, match=f"needs a {kind} namespace of its own"):
        Config(rootfs=rootfs, sysctl={name: "1"}, namespaces=Namespaces(**shared))


@pytest.mark.parametrize(
    "name",
    [
        *("kernel.core_pattern", "kernel.pid_max", "kernel.modprobe", "vm.swappiness"),
        *("kernel.sysrq", "fs.file-max", "fs.mqueue", "kernel.shm", "kernel.msgmax.x"),
        *("dev.tty.ldisc_autoload", "kernel", "net", "user", "netx.y", "vm.memfd"),
        *("kernel.randomize_va_space", "kernel.yama.ptrace_scope", "sunrpc.x"),
    ],
)
def test_one_of_no_namespace_is_refused(rootfs: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="belongs to the host"):
        Config(rootfs=rootfs, sysctl={name: "1"})
