"""Filters that ask this program about some calls."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiocontainer import Config, Mount, Seccomp, SyscallCall, SyscallRule, run
from aiocontainer.proc.syscall_call import Answer

from . import leaks
from .inside import PYTHON, PYTHON_ROOT

MAKING = ("mkdir", "mkdirat")

TRY = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    ctypes.set_errno(0)
    return libc.syscall(*args), ctypes.get_errno()
"""
"""The beginning of a program whose ``call`` gives (answer, errno)."""


def listening(*names: str, **settings: Any) -> Seccomp:
    """All is allowed, but we are asked about these calls."""
    rule = SyscallRule(names=names, action="NOTIFY")
    return Seccomp(default_action="ALLOW", syscalls=[rule], **settings)


def asking(rootfs: Path, *names: str, **settings: Any) -> Config:
    """A container whose processes ask about these calls, or about mkdir; it has a /tmp
    of its own."""
    temporary = Mount(destination="/tmp", type="tmpfs")
    seccomp = listening(*(names or MAKING))
    fields = {"rootfs": rootfs, "mounts": [temporary], "seccomp": seccomp}
    return Config(**{**fields, **settings})  # type: ignore[arg-type]


async def path_of(call: SyscallCall) -> str:
    """What a mkdir or mkdirat is to make."""
    return await call.read_path(call.args[0 if call.name == "mkdir" else 1])


def always(answer: Answer) -> Callable[[SyscallCall], Awaitable[Answer]]:
    """A handler that gives one answer to everything."""

    async def decide(_call: SyscallCall) -> Answer:
        return answer

    return decide


def python(*names: str, **settings: Any) -> Config:
    """A container with a Python in it that asks about these calls."""
    return Config(rootfs=PYTHON_ROOT, seccomp=listening(*names), **settings)


async def told(config: Config, source: str, **options: Any) -> Any:
    """What a Python program in a container prints, read as JSON."""
    args = [PYTHON, "-I", "-c", source]
    result = await run(config, args, timeout=20, **options)
    assert result.returncode == 0, result
    return json.loads(result.stdout)


class NothingLeft:
    """That all is as it was when this was made."""

    def __init__(self) -> None:
        self.before = leaks.take()

    def __call__(self, point: int) -> None:
        assert leaks.find(self.before) == [], f"disturbed at {point}"
