"""A program in the background that keeps a container whose network needs its maker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import ContainerError
from .going import OURS, go, runtime, tell

if TYPE_CHECKING:
    from ..config import Config

_START: Final = (
    "import sys; sys.path.insert(0, {path!r})\n"
    "from aiocontainer.cli import main; main()"
)


def needs_keeper(config: Config) -> bool:
    """Whether its network would go with the command that made it."""
    from ..config import BridgeNetwork, UserNetwork

    return any(isinstance(one, BridgeNetwork | UserNetwork) for one in config.network)


def leave_to_keeper(
    name: str | None, config: Config, args: tuple[str, ...], output: str | None
) -> int:
    """Start a keeper, and wait until the program runs; print the id.

    The keeper ends with the container, and the container with the keeper.
    """
    from ..runtime.configs import dumped

    package = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    order = {
        "name": name,
        "config": dumped(config),
        "args": list(args),
        "output": None if output is None else os.path.abspath(output),
    }
    command = [sys.executable, "-P", "-c", _START.format(path=package)]
    keeper = subprocess.Popen(
        [*command, "--root", runtime().root, "keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    said = _told(keeper, json.dumps(order).encode())
    if said.get("id"):
        click.echo(said["id"])
        return 0
    tell(said.get("error", "the keeper ended without a word"))
    return int(said.get("status", OURS))


def _told(keeper: subprocess.Popen[bytes], order: bytes) -> dict[str, Any]:
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper.stdin:
        keeper.stdin.write(order)
    with keeper.stdout:
        line = keeper.stdout.readline()
    keeper.returncode = 0  # it lives on: not to be waited for, nor warned about
    found: dict[str, Any] = json.loads(line or b"{}")
    return found


@click.command("keeper", hidden=True)
@go
async def keeper_command() -> int:
    """For `run --detach`: make the container that stdin describes, and keep it."""
    from ..runtime.configs import loaded
    from .going import status_of

    order = json.load(sys.stdin)
    streams: dict[str, Any] = {}
    try:
        with open(order["output"] or os.devnull, "ab") as file:
            if order["output"]:
                streams = {"stdout": file, "stderr": file}
            container = await runtime().create(
                order["name"], loaded(order["config"]), order["args"], **streams
            )
        async with container:
            process = await container.start()
            _say({"id": container.id})
            await process.wait_for_end()
    except ContainerError as error:
        _say({"error": str(error), "status": status_of(error, OURS)})
        return OURS
    return 0


def _say(what: dict[str, Any]) -> None:
    """One line to who waits for it, and then no more: stdout is not ours to hold."""
    os.write(1, json.dumps(what).encode() + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)
