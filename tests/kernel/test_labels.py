"""Attributes of security modules, written to the kernel's own files."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Config, Container, SetupError, UnsupportedFeature, run
from aiocontainer.plan import lsm
from tests.support.capabilities import needs
from tests.support.inside import shell, shell_in

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

LABEL = "system_u:system_r:container_t:s0:c1,c2"
MAPPED = {
    "namespaces": {"user": "new"},
    "uid_mappings": [{"container_id": 0, "host_id": 0, "size": 65536}],
    "gid_mappings": [{"container_id": 0, "host_id": 0, "size": 65536}],
}


@pytest.fixture
def anyio_backend() -> Any:
    """What is tested is the same on every event loop."""
    return "asyncio", {}


PROFILE = """
profile aiocontainer-test flags=(attach_disconnected) {
    file,
    capability,
    network,
    mount,
    umount,
    pivot_root,
    signal,
    ptrace,
    unix,
    deny /tmp/secret r,
}
"""


@pytest.fixture(scope="module")
def profile() -> Iterator[str]:
    def parser(action: str) -> None:
        subprocess.run(
            ["apparmor_parser", action, "--skip-cache"],
            input=PROFILE.encode(),
            check=True,
        )

    parser("-r")
    yield "aiocontainer-test"
    parser("-R")


@needs("apparmor")
@pytest.mark.parametrize("settings", [{}, {"no_new_privs": False}, MAPPED])
@pytest.mark.covers("AppArmor", "process.apparmorProfile", where="guest")
async def test_programs_run_under_their_apparmor_profile(
    rootfs: Path, profile: str, settings: dict[str, Any]
) -> None:
    mounts = [{"destination": "/tmp", "type": "tmpfs"}]
    fields: dict[str, Any] = {"rootfs": rootfs, "mounts": mounts, **settings}
    current = "cat /proc/self/attr/current"
    denied = "echo x > /tmp/secret; cat /tmp/secret 2>&1"
    said = await shell(Config(apparmor_profile=profile, **fields), current)
    assert said == f"{profile} (enforce)\n"
    async with Container(Config(apparmor_profile=profile, **fields)) as container:
        assert await shell_in(container, current) == f"{profile} (enforce)\n"
        assert container.isolation.apparmor == profile
        result = await container.run(["sh", "-c", denied])
        assert b"Permission denied" in result.stdout
    async with Container(Config(**fields)) as container:
        said = await shell_in(container, current, apparmor_profile=profile)
        assert said == f"{profile} (enforce)\n"


@needs("apparmor")
async def test_hooks_run_under_their_own_profile_and_not_the_containers(
    rootfs: Path, profile: str, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    words = ["sh", "-c", f"cat /proc/self/attr/current > {said}"]
    hook = {"path": "/bin/sh", "args": words}
    config = Config(
        rootfs=rootfs,
        apparmor_profile=profile,
        hooks={"create_container": [hook]},  # type: ignore[arg-type]
    )
    result = await run(config, ["cat", "/proc/self/attr/current"])
    assert result.stdout.decode() == f"{profile} (enforce)\n"
    assert said.read_text().strip() == "unconfined"


@needs("apparmor")
async def test_a_profile_that_is_not_loaded_is_an_error(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, apparmor_profile="no-such-profile")
    with pytest.raises(SetupError, match="write attributes"):
        await run(config, ["true"])


@pytest.mark.skipif(lsm.has_selinux(), reason="SELinux is there")
@pytest.mark.parametrize("field", ["selinux_label", "mount_label"])
async def test_labels_without_selinux_are_refused(rootfs: Path, field: str) -> None:
    with pytest.raises(UnsupportedFeature, match="SELinux"):
        Container(Config(rootfs=rootfs, **{field: LABEL}))  # type: ignore[arg-type]


@pytest.mark.skipif(lsm.has_apparmor(), reason="AppArmor is there")
async def test_profiles_without_apparmor_are_refused(rootfs: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="AppArmor"):
        Container(Config(rootfs=rootfs, apparmor_profile="x"))
    async with Container(Config(rootfs=rootfs)) as container:
        await container.run(["true"])
        with pytest.raises(UnsupportedFeature, match="AppArmor"):
            await container.start(["true"], apparmor_profile="x")
    config = Config(rootfs=rootfs, apparmor_profile="unconfined")
    assert (await run(config, ["true"])).returncode == 0


@pytest.mark.skipif(lsm.has_selinux(), reason="SELinux is there")
@pytest.mark.parametrize("settings", [{}, MAPPED])
@pytest.mark.covers("AppArmor", "SELinux process label", "process.selinuxLabel")
async def test_attributes_reach_the_kernel_that_judges_them(
    rootfs: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    """Where the machine only looks as if it had the module, the kernel says no: the
    write isn't swallowed by anything on its way."""
    monkeypatch.setattr(lsm, "has_selinux", lambda _root: True)
    for keyring, file in ((True, "keycreate"), (False, "exec")):
        fields = {"rootfs": rootfs, "session_keyring": keyring, **settings}
        refused = rf"write attributes {file}: Invalid argument: attr/{file}"
        with pytest.raises(SetupError, match=refused) as raised:
            await run(Config(selinux_label=LABEL, **fields), ["true"])
        assert isinstance(raised.value.__cause__, OSError)
        async with Container(Config(**fields)) as container:
            await container.run(["true"])
            with pytest.raises(SetupError, match=refused):
                await container.start(["true"], selinux_label=LABEL)
