"""Listeners and Landlock in the hands of a user without privileges."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import needs
from tests.support.rootfs import make_rootfs
from tests.support.unprivileged import NAMELESS, NOBODY, SUB_IDS, found_as

pytestmark = [
    needs("root", "mount-namespace", "user-namespace", "pid-namespace", "seccomp")
]

PROGRAM = """
import errno, json, os, sys
import anyio
from aiocontainer import *

ASKED = SyscallRule(names=["mkdir", "mkdirat", "uname"], action="NOTIFY")
FILTER = Seccomp(default_action="ALLOW", syscalls=[ASKED])
SCRIPT = "mkdir /tmp/a; mkdir /tmp/b; ls /tmp; uname -r; rmdir /tmp/a"
MOUNT = Mount(destination="/tmp", type="tmpfs")

async def main():
    paths = []

    async def decide(call):
        if call.name == "uname":
            await call.write(call.args[0] + 130, b"seven" + bytes(1))
            return Return(0)
        path = await call.read_path(call.args[0 if call.name == "mkdir" else 1])
        paths.append(path)
        return Continue() if path.endswith("a") else Errno(errno.EDQUOT)

    said = []
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]), seccomp=FILTER, mounts=[MOUNT])
    for init in (False, True):
        async with Container(config) as container:
            for _ in range(1 + init):
                words = ["sh", "-c", SCRIPT]
                result = await container.run(words, on_syscall=decide, init=init)
                said.append(result.stdout.decode())
            if init:
                rules = Landlock(execute=["/bin"])
                result = await container.run(
                    ["sh", "-c", "cat /etc/passwd; echo $?"],
                    landlock=rules,
                    seccomp=None,
                )
                said.append(result.stdout.decode())
    print(json.dumps([said, paths]))

anyio.run(main)
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rootfs-", dir="/tmp"))
    folder.chmod(0o755)
    yield make_rootfs(folder / "rootfs")
    shutil.rmtree(folder)


@pytest.mark.parametrize("many", [False, True], ids=["one id", "subordinate ids"])
def test_a_user_answers_the_calls_of_their_own_containers(
    image: Path, many: bool
) -> None:
    uid, sub_ids = (NOBODY, SUB_IDS) if many else (NAMELESS, "")
    said, paths = found_as(PROGRAM, str(image), uid=uid, sub_ids=sub_ids)
    assert paths == ["/tmp/a", "/tmp/b"] * 3
    assert said == ["a\nseven\n"] * 3 + ["1\n"]
