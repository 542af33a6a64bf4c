"""What all contestants share: the root file system, the filter, bundles, programs."""

import compileall
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiocontainer.config import (
    CAPABILITIES,
    DEFAULT_CAPABILITIES,
    DEFAULT_DEVICE_RULES,
    DEFAULT_MASKED_PATHS,
    DEFAULT_READONLY_PATHS,
    SYSTEM_MOUNTS,
    DeviceRule,
)
from bench import filters
from bench.cgroup_folders import make_folders, remove_folders
from bench.coprocess import Coprocess

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
FLOOR = ("floor.c", "floor_cgroups.c", "floor_rootfs.c")
PROGRAMS = {
    "floor": (FLOOR, ()),
    "floor-profile": (FLOOR, ("-DPROFILE",)),
    "reads": (("reads.c",), ("-static",)),
}
"""{program: (sources, further flags)}"""
OURS = "aiocontainer-oci"
APPLETS = ("true", "sh", "sleep", "cat", "dd", "head", "echo")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where everything is, while the comparison runs."""

    folder: Path
    cgroup_name: str
    cgroups: tuple[Path, ...]
    numbers: Iterator[int]

    @property
    def rootfs(self) -> Path:
        """A static busybox and little else."""
        return self.folder / "rootfs"

    def name(self) -> str:
        """A container's id that nobody else has."""
        return f"{self.cgroup_name}-{next(self.numbers)}"

    def floor(self, mode: str, *extra: str, program: str = "floor") -> Coprocess:
        """The C floor, waiting for its turns."""
        folders = [word for path in self.cgroups for word in ("-g", str(path))]
        kept = sum(1 << CAPABILITIES[name] for name in DEFAULT_CAPABILITIES.bounding)
        shared = ["-r", str(self.rootfs), "-f", str(self.folder / "filter.bpf")]
        shared += ["-c", f"{kept:x}", *folders, *extra]
        return Coprocess([str(BUILD / program), mode, *shared, "--", "/bin/true"])

    def reads(self, *words: str) -> Coprocess:
        """The bare reader, waiting for its turns."""
        return Coprocess([str(BUILD / "reads"), *words], stderr=subprocess.DEVNULL)

    def ours(self, loop: str = "asyncio") -> Coprocess:
        """A program that uses aiocontainer, waiting for its turns."""
        argv = [sys.executable, "-m", "bench.ours", loop, str(self.rootfs)]
        return Coprocess(argv, cwd=HERE.parent)

    def runner(self) -> Coprocess:
        """What runs the peers' command lines, in a mount namespace of its own."""
        own = os.readlink("/proc/self/ns/mnt")
        command = [sys.executable, str(HERE / "runner.py"), own]
        return Coprocess(["unshare", "--mount", "--propagation", "private", *command])

    def run(self, runtime: str, *options: str, bundle: str = "true") -> list[str]:
        """The command line that runs one container of an OCI runtime."""
        bundle_path = str(self.bundle(runtime, bundle))
        return [
            *self.runtime(runtime),
            "run",
            *options,
            "--bundle",
            bundle_path,
            self.name(),
        ]

    def runtime(self, runtime: str) -> list[str]:
        """An OCI runtime, with a state folder of the comparison's own."""
        return [tool(runtime), "--root", str(self.folder / runtime)]

    def bundle(self, runtime: str, program: str) -> Path:
        """An OCI bundle with a cgroup of its own (made now, so not within a figure)."""
        number = next(self.numbers)
        words = {"true": ["/bin/true"], "sleep": ["/bin/sleep", "1000000"]}[program]
        path = self.folder / "bundles" / f"{runtime}-{number}"
        path.mkdir(parents=True)
        config = oci_config(
            self.rootfs, words, f"/{self.cgroup_name}/{runtime}-{number}"
        )
        (path / "config.json").write_text(json.dumps(config))
        return path

    def bwrap(self) -> list[str]:
        """The nearest that bubblewrap comes to it: fewer mounts, no cgroups."""
        words = "--unshare-all --new-session --cap-drop ALL --hostname container"
        mounts = ["--bind", str(self.rootfs), "/", "--proc", "/proc", "--dev", "/dev"]
        return [tool("bwrap"), *words.split(), *mounts, "/bin/true"]


def tool(name: str) -> str:
    """The full path of a program, for posix_spawn."""
    if name == OURS:
        return str(Path(sys.executable).with_name(name))
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: apt-get install {name}")
    return found


@contextmanager
def prepared() -> Iterator[Setting]:
    """Everything built and in place; all of it is removed afterwards."""
    build()
    # As an installation does: else each command would compile what has changed.
    compileall.compile_dir(HERE.parent / "aiocontainer", quiet=1)
    name = f"aiocontainer-bench-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    try:
        _make_rootfs(folder / "rootfs")
        (folder / "filter.bpf").write_bytes(filters.bpf())
        yield Setting(folder, name, tuple(make_folders(name)), itertools.count())
    finally:
        remove_folders(name)
        shutil.rmtree(folder)


def build() -> None:
    """Compile the C programs, where they are older than their sources."""
    BUILD.mkdir(exist_ok=True)
    flags = ["-O2", "-Wall", "-Wextra"]
    for name, (sources, extra) in PROGRAMS.items():
        program = BUILD / name
        paths = [HERE / source for source in sources]
        newest = max(path.stat().st_mtime for path in [*paths, HERE / "floor.h"])
        if not program.exists() or program.stat().st_mtime <= newest:
            command = ["gcc", *flags, *extra, "-o", str(program), *map(str, paths)]
            subprocess.run(command, check=True)


def _make_rootfs(rootfs: Path) -> None:
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(tool("busybox"), rootfs / "bin/busybox")
    shutil.copy(BUILD / "reads", rootfs / "bin/reads")
    for applet in APPLETS:
        (rootfs / "bin" / applet).symlink_to("busybox")


def oci_config(rootfs: Path, args: list[str], cgroup: str) -> dict[str, object]:
    """What the peers are told: the same container as ours, as far as they can."""
    capabilities = sorted(DEFAULT_CAPABILITIES.bounding)
    sets = dict.fromkeys(("bounding", "effective", "permitted"), capabilities)
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
            "capabilities": {**sets, "inheritable": [], "ambient": []},
            "noNewPrivileges": True,
        },
        "root": {"path": str(rootfs), "readonly": False},
        "hostname": "container",
        "mounts": [
            {
                "destination": mount.destination,
                "type": mount.type,
                "source": mount.source,
                "options": list(mount.options),
            }
            for mount in SYSTEM_MOUNTS
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": {"devices": [_device_rule(r) for r in DEFAULT_DEVICE_RULES]},
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": list(DEFAULT_MASKED_PATHS),
            "readonlyPaths": list(DEFAULT_READONLY_PATHS),
            "seccomp": filters.oci(),
        },
    }


def _device_rule(rule: DeviceRule) -> dict[str, object]:
    found = rule.model_dump(exclude_none=True)
    if rule.type == "a":
        del found["type"]
    return found
