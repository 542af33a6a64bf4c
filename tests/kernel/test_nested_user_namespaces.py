"""User namespaces inside a container's own: none, by the kernel's limit too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Capabilities, Config, IdMapping, Namespaces, Seccomp
from tests.support.capabilities import needs
from tests.support.inside import shell

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "user-namespace"),
]

LIMIT = "cat /proc/sys/user/max_user_namespaces"
TRY = "unshare -U true && echo made"


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def config(rootfs: Path, **settings: Any) -> Config:
    mapping = [IdMapping(container_id=0, host_id=200_000, size=1000)]
    return Config(
        rootfs=rootfs,
        namespaces=Namespaces(user="new"),
        uid_mappings=mapping,
        gid_mappings=mapping,
        **settings,
    )


PERMISSIVE = Seccomp(default_action="ALLOW")


async def test_the_kernel_refuses_what_a_weak_filter_lets_through(rootfs: Path) -> None:
    everything = Capabilities.of("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE")
    weak = config(rootfs, seccomp=PERMISSIVE, capabilities=everything)
    said = await shell(weak, f"{LIMIT}; ({TRY}) 2>&1 || true")
    assert said.split()[0] == "0"
    assert "No space left" in said
    assert "made" not in said


async def test_the_host_has_its_own_limit_still(rootfs: Path) -> None:
    path = Path("/proc/sys/user/max_user_namespaces")
    before = path.read_text()
    assert await shell(config(rootfs), LIMIT) == "0\n"
    assert path.read_text() == before


async def test_who_takes_the_filter_away_has_nested_ones(rootfs: Path) -> None:
    assert await shell(config(rootfs, seccomp=None), TRY) == "made\n"


async def test_the_limit_may_be_said(rootfs: Path) -> None:
    some = config(rootfs, seccomp=PERMISSIVE, sysctl={"user.max_user_namespaces": "3"})
    assert (await shell(some, f"{LIMIT}; {TRY}")).split() == ["3", "made"]
