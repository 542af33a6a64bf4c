"""What a program inside a container sees: shell and Python, run there by the tests."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiocontainer import Config, Container, Rootfs, run


async def shell(config: Config, script: str, **options: Any) -> str:
    """Output of a script that is the container's own program; it must succeed."""
    result = await run(config, ["sh", "-c", script], **{"timeout": 20, **options})
    assert result.returncode == 0, result
    return result.stdout.decode()


async def shell_in(container: Container, script: str, **options: Any) -> str:
    """Output of a script that joins a container; it must succeed."""
    args = ["sh", "-c", script]
    result = await container.run(args, **{"timeout": 20, **options})
    assert result.returncode == 0, result
    return result.stdout.decode()


def interpreter() -> tuple[str, Rootfs]:
    """A Python of the host, and a root that shows it: Debian's own, else the tests'."""
    debian = shutil.which("python3", path="/usr/bin")
    if debian:
        return debian, Rootfs.host()
    real = os.path.realpath(sys.executable)
    return real, Rootfs.host(extra=[sys.base_prefix])


PYTHON, PYTHON_ROOT = interpreter()


def python_config(**settings: Any) -> Config:
    """A container with a Python in it, by the library's defaults."""
    return Config(rootfs=PYTHON_ROOT, **settings)


async def look(config: Config, source: str, **options: Any) -> Any:
    """What Python source prints as the container's own program, read as JSON."""
    args = [PYTHON, "-I", "-c", source]
    result = await run(config, args, **{"timeout": 30, **options})
    assert result.returncode == 0, result
    return json.loads(result.stdout)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of /proc/self/mountinfo."""

    path: str
    root: str
    options: frozenset[str]
    shared: bool
    slave: bool
    kind: str
    source: str
    superblock: frozenset[str]


def parse_mounts(text: str) -> dict[str, MountPoint]:
    """{path: the topmost mount there}."""
    found: dict[str, MountPoint] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        kind, source, superblock = after.split(" ", 2)
        tags = fields[6:]
        found[fields[4]] = MountPoint(
            fields[4],
            fields[3],
            frozenset(fields[5].split(",")),
            any(tag.startswith("shared:") for tag in tags),
            any(tag.startswith("master:") for tag in tags),
            kind,
            source,
            frozenset(superblock.split(",")),
        )
    return found


async def mounts_of(config: Config, **options: Any) -> dict[str, MountPoint]:
    """The mounts that a container's program sees."""
    return parse_mounts(await shell(config, "cat /proc/self/mountinfo", **options))


def status_fields(text: str) -> dict[str, str]:
    """Lines of /proc/<pid>/status: ``{"CapEff": "0000000000000000", ...}``."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def tree(path: Path) -> dict[str, tuple[int, int, int, int]]:
    """Everything below a directory: {path: (mode, owner, size, change time)}."""
    found = {}
    for folder, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            whole = os.path.join(folder, name)
            facts = os.lstat(whole)
            found[os.path.relpath(whole, path)] = (
                facts.st_mode,
                facts.st_uid,
                facts.st_size,
                facts.st_ctime_ns,
            )
    return found
