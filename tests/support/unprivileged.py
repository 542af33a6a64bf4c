"""Programs run as a user without privileges, as users of this library would.

In a mount namespace of its own: there the interpreter and this project can be reached
by everybody, and ``/etc/subuid`` says what the test wants.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import procfs

PROJECT = Path(__file__).parents[2]

NOBODY = 65_534
"""Has a name on every machine, which newuidmap(1) insists on."""

NAMELESS = 61_234
"""A user that no machine knows of."""

FIRST_SUB_ID = 300_000
PATIENCE_S = 5.0

SUB_IDS = f"{NOBODY}:{FIRST_SUB_ID}:65536\n"


def run_as(
    program: str | Path,
    *arguments: str,
    uid: int = NOBODY,
    sub_ids: str = "",
    before: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    prefix: Iterable[str] = (),
    unshare: Iterable[str] = (),
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a Python program (its text, or a file) as ``uid``, without any privilege.

    Args:
        program: what is run.
        arguments: of it.
        uid: user and group.
        sub_ids: content of ``/etc/subuid`` and ``/etc/subgid``.
        before: shell commands run as root in the program's mount namespace.
        environment: further variables.
        prefix: a command that runs the program, as ``setpriv --no-new-privs``.
        unshare: further namespaces of its own, as ``--net``.
        timeout: seconds.
    """
    with tempfile.TemporaryDirectory(prefix="user-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "subids").write_text(sub_ids)
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        os.chown(runtime, uid, uid)
        if isinstance(program, str):
            (folder / "program.py").write_text(program)
            program = folder / "program.py"
        variables = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join([str(PROJECT), *filter(None, sys.path)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": str(runtime),
            **(environment or {}),
        }
        command = [
            *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
            *("env", "-i", "-C", "/", *(f"{k}={v}" for k, v in variables.items())),
            *(*prefix, sys.executable, str(program), *arguments),
        ]
        script = [
            "set -e",
            *openings(),
            f"mount --bind {folder}/subids /etc/subuid",
            f"mount --bind {folder}/subids /etc/subgid",
            *before,
            "exec " + shlex.join(command),
        ]
        into = ("unshare", "--mount", "--propagation", "private", *unshare)
        others = set(procfs.children())
        done = subprocess.run(
            [*into, "sh", "-c", "\n".join(script)],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
        left = _reap(others)
    assert left == [], "it left processes running"
    return done


def _reap(others: set[int]) -> list[int]:
    """Reap what the program left, as init would: its spawner, which ends after it."""
    deadline = time.monotonic() + PATIENCE_S
    while left := set(procfs.children()) - others:
        for pid in left:
            facts = procfs.read_stat(pid)
            if facts is not None and facts.state == "Z":
                os.waitpid(pid, 0)
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return [pid]
        time.sleep(0.002)  # nothing tells when a stranger's child ends
    return []


def found_as(program: str, *arguments: str, **options: Any) -> Any:
    """`run_as`, for programs that print JSON; what it said."""
    done = run_as(program, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def openings() -> list[str]:
    """Commands that let others pass to what the interpreter needs, and nothing else."""
    needed = {PROJECT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable)}
    needed |= {Path(entry) for entry in sys.path if entry and os.path.isdir(entry)}
    needed |= {path.resolve() for path in needed}
    closed: dict[Path, list[Path]] = {}
    for path in sorted(needed):
        gate = next((p for p in (*path.parents[::-1], path) if not _is_open(p)), None)
        inside = closed.setdefault(gate, []) if gate else None
        if inside is not None and not any(path.is_relative_to(p) for p in inside):
            inside.append(path if path.is_dir() else path.parent)
    commands = []
    for gate, paths in closed.items():
        commands.append("mount -t tmpfs -o mode=755 none /mnt")
        for number, path in enumerate(paths):
            commands.append(f"mkdir /mnt/{number}; mount --bind {path} /mnt/{number}")
        commands.append(f"mount -t tmpfs -o mode=755 none {gate}")
        for number, path in enumerate(paths):
            commands.append(f"mkdir -p {path}; mount --move /mnt/{number} {path}")
        commands.append("umount /mnt")
    return commands


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o001)
