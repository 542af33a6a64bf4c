"""``plan`` and ``doctor``: what would be done, and what this machine can do."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .going import FAILED, leave, told
from .options import config_of, config_options

if TYPE_CHECKING:
    from ..plan.parts import Plan

_COMMAND = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("plan", context_settings=_COMMAND)
@click.option("--json", "as_json", is_flag=True, help="The config, for `run --config`.")
@click.option("--name", metavar="ID", default="plan", help="Id of the container.")
@config_options
@click.argument("args", metavar="[--] [COMMAND...]", nargs=-1, type=click.UNPROCESSED)
def plan_command(
    as_json: bool,
    name: str,
    args: tuple[str, ...],
    **values: Any,  # noqa: ANN401  of the options
) -> None:
    """Print what `run` with these options would do, step by step; nothing is done.

    \b
    Examples:
      aiocontainer plan --overlay /srv/debian -- bash
      aiocontainer plan --memory 64MiB --json > task.json
    """
    with told():
        config = config_of(values)
        if as_json:
            from ..runtime.configs import dumped

            click.echo(json.dumps(dumped(config), indent=1))
            leave(0)
        from ..plan import compile as plans

        program = plans.Program(args or None, ())
        plan = plans.first(plans.frame(config), name, config, program)
        for number, line in enumerate(_lines(plan), start=1):
            click.echo(f"{number:>3}  {line}")


def _lines(plan: Plan) -> Iterator[str]:
    for line in plan.describe().splitlines():
        yield "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs to read.")
def doctor_command(as_json: bool) -> None:
    """Say what this machine and user can do, what not, and what would help.

    The exit status is 1 if something is lacking without which no container runs.

    \b
    Examples:
      aiocontainer doctor
      aiocontainer doctor --json | jq -r '.[] | select(.works | not) | .name'
    """
    from ..checkup import doctor, render

    findings = doctor()
    if as_json:
        said = [dataclasses.asdict(each) for each in findings]
        click.echo(json.dumps(said, indent=1))
    else:
        click.echo(render(findings))
    leave(FAILED if any(each.needed and not each.works for each in findings) else 0)
