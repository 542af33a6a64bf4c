"""`Config.require`, and what `Container.isolation` says is in force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    Namespaces,
    RequirementMissing,
    Rootfs,
    run,
)
from aiocontainer.config import REQUIREMENTS
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


DEFAULTS = ("mountns", "pidns", "netns", "ipcns", "utsns", "cgroupns", "seccomp")
DEFAULTS += ("no_new_privs", "cgroup", "cgroup.memory", "cgroup.pids", "cgroup.devices")


async def test_what_every_container_has_may_be_required(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, require=DEFAULTS)
    async with Container(config) as container:
        assert (await container.run(["true"])).returncode == 0
        assert set(DEFAULTS) <= container.isolation.in_force


LACKING: dict[str, dict[str, Any]] = {
    "userns": {},
    "userns.range": {},
    "pidns": {"namespaces": Namespaces(pid="host")},
    "netns": {"namespaces": Namespaces(network="host")},
    "timens": {},
    "seccomp": {"seccomp": None},
    "no_new_privs": {"no_new_privs": False},
    "readonly_root": {},
    "cgroup": {"cgroup": {"mode": "off"}},
    "cgroup.memory": {"cgroup": {"mode": "off"}},
    "landlock": {},
}


@pytest.mark.parametrize("name", LACKING)
async def test_what_lacks_is_an_error_before_anything_is_touched(
    rootfs: Path, name: str
) -> None:
    config = Config.model_validate(
        {"rootfs": rootfs, **LACKING[name], "require": {name}}
    )
    async with Container(config) as container:
        with pytest.raises(RequirementMissing) as caught:
            await container.start(["true"])
        assert container.status() == "created"
    error = caught.value
    assert error.missing == (name,)
    assert error.cause
    assert error.cure == error.hint
    assert name in str(error)


async def test_all_that_lacks_is_named(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, require={"userns", "timens", "seccomp"})
    with pytest.raises(RequirementMissing) as caught:
        await run(config, ["true"])
    assert caught.value.missing == ("timens", "userns")


def test_unknown_names_are_refused(rootfs: Path) -> None:
    with pytest.raises(ConfigError, match="usernamespace"):
        Config(rootfs=rootfs, require={"usernamespace"})
    with pytest.raises(ConfigError):
        Config.model_validate({"rootfs": rootfs, "require": "userns"})


async def test_isolation_is_told_in_json(rootfs: Path) -> None:
    async with Container(Config(rootfs=Rootfs.directory(rootfs, readonly=True))) as box:
        await box.run(["true"])
        isolation = box.isolation
        told = json.loads(json.dumps(isolation.to_dict()))
    assert told["user_ids"] == "host"
    assert told["root_uid"] == 0
    assert told["network"] == "own"
    assert told["readonly_root"] is True
    assert "readonly_root" in isolation.in_force
    assert isolation.in_force <= set(REQUIREMENTS)
