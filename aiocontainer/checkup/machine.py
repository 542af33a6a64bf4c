"""`Machine`: all that a report is made of, read once."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..cgroups import detect, open_cgroup, within_reach
from ..plan.host import HostFacts
from ..plan.users import IdFacts

SYSCTLS: Final = (
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
    "user/max_user_namespaces",
    "vm/memfd_noexec",
)
PROGRAMS: Final = ("pasta", "slirp4netns", "criu", "nft")
"""What some features need, where nothing of the library does it."""

_PROGRAM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt."""

    errno: int = 0
    call: str = ""
    words: str = ""
    """What the kernel said, or the value that it gave."""

    @property
    def works(self) -> bool:
        return self.errno == 0


@dataclass(frozen=True, slots=True)
class Cgroups:
    """What cgroups there are, and what of them is this user's."""

    mode: str
    """``v1``, ``v2``, ``hybrid`` or ``none``."""
    own: str
    """The directory in which one of ours would be made; empty without."""
    kind: int
    """Version that a container would get; 0 for none."""
    mounted: tuple[str, ...]
    within_reach: frozenset[str]
    user_manager: bool
    """systemd runs a manager for this user, which could delegate."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts only: `aiocontainer.checkup.findings` judges them."""

    kernel: str
    host: HostFacts
    ids: IdFacts
    probes: Mapping[str, Answer]
    """Name in `aiocontainer._sys.probes` -> what came of it."""
    sysctls: Mapping[str, str]
    """Those of `SYSCTLS` that there are."""
    programs: Mapping[str, str]
    """Name -> path, of those installed."""
    lsms: frozenset[str]
    cgroups: Cgroups
    runtime_directory: bool
    """This user has a directory for locks and states."""

    @staticmethod
    def read() -> Machine:
        """This machine, now, as this user sees it."""
        host = HostFacts.read()
        return Machine(
            kernel=platform.release(),
            host=host,
            ids=IdFacts.read(),
            probes=_probe(host),
            sysctls={name: text for name in SYSCTLS if (text := _sysctl(name))},
            programs=_programs(),
            lsms=_lsms(),
            cgroups=_cgroups(),
            runtime_directory=_has_runtime_directory(),
        )


def _probe(host: HostFacts) -> dict[str, Answer]:
    """Ask an interpreter of its own: this one may have threads, and is the caller's."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    program = (
        f"import sys; sys.path.append({package!r})\n"
        "from aiocontainer._sys.probes import main; main()"
    )
    word = "privileged" if host.is_privileged else "unprivileged"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, word],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        cwd="/",
        timeout=_PATIENCE_S,
    )
    answers = json.loads(done.stdout) if done.returncode == 0 else {}
    return {name: Answer(*answer) for name, answer in answers.items()}


def _sysctl(name: str) -> str:
    try:
        with open(f"/proc/sys/{name}") as file:
            return file.read().strip()
    except OSError:
        return ""


def _programs() -> dict[str, str]:
    found = {name: shutil.which(name, path=_PROGRAM_PATH) for name in PROGRAMS}
    return {name: path for name, path in found.items() if path}


def _lsms() -> frozenset[str]:
    try:
        with open("/sys/kernel/security/lsm") as file:
            return frozenset(file.read().strip().split(","))
    except OSError:
        pass
    # securityfs isn't mounted everywhere.
    signs = {"apparmor": "/sys/module/apparmor", "selinux": "/sys/fs/selinux/enforce"}
    return frozenset(name for name, path in signs.items() if os.path.exists(path))


def _cgroups() -> Cgroups:
    layout = detect()
    cgroup = open_cgroup(layout, None, "doctor")
    directories = cgroup.directories
    uid = os.geteuid()
    return Cgroups(
        mode=layout.mode,
        own=os.path.dirname(directories[0]) if directories else "",
        kind=cgroup.version,
        mounted=layout.controllers,
        within_reach=within_reach(cgroup) if directories else frozenset(),
        user_manager=os.path.exists(f"/run/user/{uid}/systemd/private"),
    )


def _has_runtime_directory() -> bool:
    uid = os.geteuid()
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    return uid == 0 or (os.path.isabs(base) and os.access(base, os.W_OK))
