"""Documents of nsinit and of runc's libcontainer run as they are."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, run
from tests.support.capabilities import needs
from tests.support.inside import status_fields
from tests.support.libcontainer_documents import sample

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def document(name: str) -> dict[str, Any]:
    """A sample, without what this machine lacks and without a parent cgroup."""
    whole = sample(name)
    name_of_cgroup = f"aiocontainer-test-{os.getpid()}"
    whole["cgroups"] |= {"parent": "", "path": "", "name": name_of_cgroup}
    whole["mask_paths"] = ["/proc/uptime"]
    whole.pop("apparmor_profile", None)
    # This program may be short of some capabilities itself.
    whole["capabilities"] = ["CHOWN", "KILL", "SETUID"]
    if name == "2014":
        whole["networks"] = whole["networks"][:1]
        del whole["mount_config"]["mounts"][1]
    if name == "runc":
        del whole["mounts"][1], whole["Hooks"]
        for limit in ("unified", "blkio_throttle_read_bps_device"):
            del whole["cgroups"]["resources"][limit]
        whole["seccomp"]["default_action"] = 4
        whole["rlimits"] = [{"type": 7, "hard": 1024, "soft": 1024}]
    return whole


async def said(config: Config, command: str) -> str:
    result = await run(config, ["sh", "-c", command], timeout=20)
    assert result.stderr == b"", result.stderr
    return result.stdout.decode().strip()


@pytest.mark.parametrize(
    ("name", "hostname"), [("2014", "koye"), ("2015", "nsinit"), ("runc", "runc")]
)
async def test_each_spelling_runs(rootfs: Path, name: str, hostname: str) -> None:
    whole = document(name)
    whole.pop("user", None)
    config = Config.from_libcontainer(whole, rootfs=rootfs)
    assert await said(config, "hostname; echo $$") == f"{hostname}\n1"
    fields = status_fields(await said(config, "cat /proc/self/status"))
    assert int(fields["CapBnd"], 16) == 1 << 0 | 1 << 5 | 1 << 7
    assert int(fields["CapInh"], 16) == 0


async def test_what_a_document_of_2015_says_is_in_force(rootfs: Path) -> None:
    config = Config.from_libcontainer(document("2015"), rootfs=rootfs)
    assert await said(config, "ulimit -n") == "1024"
    assert await said(config, "cat /proc/uptime | wc -c") == "0"
    assert await said(config, "stat -c '%t %T %a' /dev/fuse") == "a e5 0"
    mounts = "awk '{print $2}' /proc/mounts"
    for place in ("/dev/shm", "/dev/mqueue", "/dev/pts", "/sys"):
        assert f"\n{place}\n" in await said(config, mounts)


async def test_ids_are_mapped_in_a_user_namespace_of_2015(
    rootfs: Path, tmp_path: Path
) -> None:
    config = Config.from_libcontainer(document("2015-userns"), rootfs=rootfs)
    told = await said(config, "cat /proc/self/uid_map | xargs")
    assert told == "0 1000 1 1 1 999 1001 1001 2147482647"


async def test_the_file_of_nsinit_lies_in_its_root(own_rootfs: Path) -> None:
    shutil.copy(
        Path(__file__).parents[1] / "data/libcontainer/2014.json",
        own_rootfs / "container.json",
    )
    whole = document("2014")
    whole["user"] = "tester"
    config = Config.from_libcontainer(whole, rootfs=own_rootfs)
    assert config.rootfs == Config(rootfs=own_rootfs).rootfs
    assert await said(config, "test -f /container.json && id -un") == "tester"
