"""Mounts in the hands of a user without privileges: what works, and what says no."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.capabilities import needs
from tests.support.unprivileged import found_as

pytestmark = [needs("root", "mount-namespace", "user-namespace", "pid-namespace")]

PROGRAM = """
import json, os, sys
import anyio
from aiocontainer import *

root, folder = sys.argv[1:]
def here(*words, name="", **ids):
    source = folder + "/" + name
    return Mount(destination="/tmp/it", source=source, options=["bind", *words], **ids)

async def said(*mounts, script="cat /tmp/it", **settings):
    config = Config(rootfs=Rootfs.overlay(root), mounts=mounts, **settings)
    try:
        result = await run(config, ["sh", "-c", script])
    except ContainerError as error:
        return type(error).__name__ + ": " + str(error)
    return (result.stdout + result.stderr).decode()

async def hot():
    found = {}
    config = Config(rootfs=Rootfs.overlay(root))
    async with Container(config) as container:
        await container.run(["true"])
        await container.mount(Mount.tmpfs("/tmp", size="64KiB"))
        script = "echo x > /tmp/x; stat -c %u /tmp/x; grep -c size=64k /proc/mounts"
        result = await container.run(["sh", "-c", script])
        found["tmpfs"] = result.stdout.decode()
        try:
            await container.mount(Mount.bind(folder, "/mnt"))
        except UnsupportedFeature as error:
            found["bind"] = str(error)
        await container.unmount("/tmp")
        result = await container.run(["sh", "-c", script])
        found["gone"] = result.stdout.decode()
    return found

async def main():
    tmp = Mount(destination="/tmp", type="tmpfs")
    ids = [IdMapping(container_id=0, host_id=0, size=1)]
    print(json.dumps({
        "link": await said(tmp, here("src-nofollow", name="link"),
                           script="readlink /tmp/it"),
        "copied": await said(tmp, here("copy-symlink", name="link"),
                             script="readlink /tmp/it"),
        "file": await said(tmp, here("ro", "dest-nofollow", name="file")),
        "idmap": await said(tmp, here("idmap", uid_mappings=ids, gid_mappings=ids)),
        "size": await said(
            Mount(destination="/dev/shm", options=["remount", "size=64k", "ro"]),
            script="grep /dev/shm /proc/mounts"),
        "cgroup": await said(
            Mount(destination="/sys/fs/cgroup", type="cgroup2"),
            script="grep /sys/fs/cgroup /proc/mounts; echo 1 > /sys/fs/cgroup/x"),
        "hot": await hot(),
    }))

anyio.run(main)
"""


@pytest.fixture(scope="module")
def found(rootfs: Path) -> Any:
    folder = rootfs.parent / "shown"
    folder.mkdir()
    (folder / "file").write_text("shown\n")
    (folder / "link").symlink_to("file")
    return found_as(PROGRAM, str(rootfs), str(folder))


@pytest.mark.parametrize(
    ("what", "said"),
    [("link", "file\n"), ("copied", "file\n"), ("file", "shown\n")],
)
def test_words_about_links_work(found: Any, what: str, said: str) -> None:
    assert found[what] == said


def test_owners_can_not_be_translated(found: Any) -> None:
    assert found["idmap"].startswith("SetupError: could not prepare tree")


def test_a_tmpfs_can_be_changed(found: Any) -> None:
    assert "ro," in found["size"]
    assert "size=64k" in found["size"]


def test_cgroups_are_shown_read_only(found: Any) -> None:
    assert " ro," in found["cgroup"]
    assert "Read-only" in found["cgroup"]


def test_a_running_container_can_be_given_a_tmpfs_but_nothing_of_the_host(
    found: Any,
) -> None:
    hot = found["hot"]
    assert hot["tmpfs"] == "0\n1\n"
    assert "privileges" in hot["bind"]
    assert hot["gone"].endswith("0\n")
