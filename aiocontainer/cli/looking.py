"""``ps``, ``stats``, ``events`` and ``inspect``: what there is, and what it does."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from ..errors import CgroupError, ContainerError, StatusError
from .completion import container_argument, ids
from .going import go, leave, runtime, told
from .showing import HEADINGS, age, table

if TYPE_CHECKING:
    from ..runtime import Listed

_json = click.option("--json", "as_json", is_flag=True, help="For programs to read.")
_some = click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=ids)


@click.command("ps")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@_json
def ps_command(quiet: bool, as_json: bool) -> None:
    """List all containers, running or not.

    \b
    Examples:
      aiocontainer ps
      aiocontainer ps --json | jq -r '.[] | select(.status == "running") | .id'
    """
    # Without the rest of the library, which takes longer to load than this to answer.
    from ..runtime.listing import listed
    from ..state import Store

    with told():
        found = listed(Store(click.get_current_context().obj))
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=1))
    elif quiet:
        for each in found:
            click.echo(each.id)
    else:
        table(
            ("ID", "STATUS", "PID", "AGE", "MADE BY", "COMMAND"),
            (_row(each) for each in found),
        )


def _row(each: Listed) -> tuple[str, ...]:
    maker = "detached" if each.detached else f"pid {each.owner}"
    if each.leftover:
        maker = "gone (see gc)"
    return (
        each.id,
        each.status,
        str(each.pid or "-"),
        age(each.created),
        "-" if each.owner is None else maker,
        each.error.reason if each.error else " ".join(each.args)[:60],
    )


def _as_json(each: Listed) -> dict[str, Any]:
    data = dataclasses.asdict(each)
    data["created"] = None if each.created is None else each.created.isoformat()
    data["error"] = None if each.error is None else str(each.error)
    return data


@click.command("stats")
@click.option("-f", "--follow", is_flag=True, help="Again and again.")
@click.option("--interval", metavar="SECONDS", default=1.0, show_default=True)
@_json
@_some
@go
async def stats_command(
    ids: tuple[str, ...], follow: bool, interval: float, as_json: bool
) -> None:
    """What containers use: those named, or all that run.

    \b
    Examples:
      aiocontainer stats
      aiocontainer stats -f web
      aiocontainer stats --json web | jq .data.memory.usage.usage
    """
    import anyio

    from .sampling import Samples

    with Samples(runtime(), ids) as samples:
        await samples.take()
        if not as_json:  # a rate takes two
            await anyio.sleep(min(interval, 0.2))
        while True:
            taken = await samples.take()
            if as_json:
                for id, stats in taken.items():
                    said = {"type": "stats", "id": id, "data": stats.to_dict()}
                    click.echo(json.dumps(said))
            else:
                rows = ((id, *samples.figures(id).row()) for id in taken)
                table(("ID", *HEADINGS), rows)
            if not follow or not taken:
                return
            await anyio.sleep(interval)


@click.command("events")
@_json
@container_argument
@go
async def events_command(id: str, as_json: bool) -> None:
    """Print what happens in a container, a line each, until it ends.

    \b
    Examples:
      aiocontainer events web
      aiocontainer events --json web | jq 'select(.event == "oom")'
    """
    async with runtime().load(id) as container, container.events() as events:
        click.echo(f"watching {id}", err=True)
        async for event in events:
            fields = dataclasses.asdict(event)
            name = _kebab(type(event).__name__)
            if as_json:
                click.echo(json.dumps({"event": name, "id": id, **fields}))
                continue
            known = {k: v for k, v in fields.items() if v is not None and v != ""}
            words = [f"{k}={v}" for k, v in known.items() if not isinstance(v, dict)]
            click.echo(f"{name:<12} {' '.join(words)}")


def _kebab(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


@click.command("inspect")
@container_argument
def inspect_command(id: str) -> None:
    """Print all that is known of a container, as JSON: record, status, isolation.

    \b
    Examples:
      aiocontainer inspect web | jq .isolation
      aiocontainer inspect web | jq .config > web.json
    """
    from ..state import Store, status_of

    with told():
        store = Store(click.get_current_context().obj)
        with store.open(id) as folder:
            record = folder.read()
            status = status_of(folder, record)
        said = {"id": id, "status": status, **json.loads(record.text())}
        said["isolation"] = _isolation(id)
        click.echo(json.dumps(said, indent=1))
    leave(0)


def _isolation(id: str) -> dict[str, Any] | None:
    """What is in force, while it runs."""
    container = None
    try:
        container = runtime().load(id)
        found = dataclasses.asdict(container.isolation)
    except (StatusError, CgroupError, ContainerError):
        return None
    finally:
        if container is not None:
            container.let_go()
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in found.items()
    }
