"""Root file systems for tests, from the static busybox that `make setup` installs."""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
tester:x:1000:1000:Tester:/home/tester:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = """\
root:x:0:
daemon:x:1:
audio:x:29:tester
users:x:100:tester
tester:x:1000:
nogroup:x:65534:
"""
DIRECTORIES = (
    *("bin", "dev", "etc", "home/tester", "mnt", "proc", "root", "run", "sys"),
    *("tmp", "usr/bin", "usr/sbin", "var/tmp"),
)


@functools.cache
def busybox() -> str:
    """Path of the host's busybox."""
    found = shutil.which("busybox")
    assert found, "busybox is missing: run `make setup`"
    return found


@functools.cache
def applets() -> tuple[str, ...]:
    """Names that busybox answers to."""
    words = subprocess.run(
        [busybox(), "--list"], capture_output=True, check=True
    ).stdout
    return tuple(name for name in words.decode().split() if name != "busybox")


def make_rootfs(path: Path, names: Iterable[str] | None = None) -> Path:
    """Fill a new directory with what a small Linux has, owned by root, and return it.

    With all programs of busybox, or only those of these names, which takes less time.

    User ``tester`` (1000) is in the groups tester (1000), users (100) and audio (29).
    """
    for name in DIRECTORIES:
        (path / name).mkdir(parents=True)
    path.chmod(0o755)
    (path / "tmp").chmod(0o1777)
    (path / "var/tmp").chmod(0o1777)
    shutil.copy2(busybox(), path / "bin/busybox")
    for name in applets() if names is None else names:
        os.symlink("busybox", path / "bin" / name)
    (path / "etc/passwd").write_text(PASSWD)
    (path / "etc/group").write_text(GROUP)
    (path / "etc/hostname").write_text("rootfs\n")
    if os.geteuid() == 0:
        os.chown(path / "home/tester", 1000, 1000)
    return path
