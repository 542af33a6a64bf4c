"""The figures of the OCI runtime's command line, beside runc's."""

import sys
from collections.abc import Callable
from contextlib import ExitStack

from bench.coprocess import Coprocess
from bench.lives import Samples, Turn, measured, ratio, running_peer
from bench.setting import OURS, Setting
from bench.table import Limit, Row

RUNTIMES = (OURS, "crun", "runc")
INTERPRETER = "python -I -S -c pass"
"""What none of our commands can be faster than."""


def run(setting: Setting, rounds: int) -> tuple[Samples, list[Row]]:
    """``run`` of ``/bin/true``."""
    samples = _of_each(setting, rounds, _run)
    return samples, [_ratio("run", samples, 1.3)]


def steps(setting: Setting, rounds: int) -> tuple[Samples, list[Row]]:
    """``create``, ``start`` and ``delete``, together."""
    samples = _of_each(setting, rounds, _steps)
    return samples, [_ratio("create, start and delete", samples, 1.3)]


def state(setting: Setting, rounds: int) -> tuple[Samples, list[Row]]:
    """``state`` of a running container."""
    return _of_running(setting, rounds, "state")


def kill(setting: Setting, rounds: int) -> tuple[Samples, list[Row]]:
    """``kill`` of a running container, with a signal that does nothing."""
    return _of_running(setting, rounds, "kill", "CONT")


def _ratio(command: str, samples: Samples, target: float) -> Row:
    return ratio(f"{OURS} {command} / runc", samples, OURS, "runc", Limit(target))


def _of_each(
    setting: Setting,
    rounds: int,
    turn_of: Callable[[Setting, Coprocess, str], list[float]],
) -> Samples:
    with setting.runner() as runner:
        contestants: dict[str, Turn] = {
            name: lambda name=name: turn_of(setting, runner, name) for name in RUNTIMES
        }
        contestants[INTERPRETER] = lambda: runner.ask({"turn": [_interpreter()]})
        return measured(rounds, contestants)


def _run(setting: Setting, runner: Coprocess, name: str) -> list[float]:
    found: list[float] = runner.ask({"turn": [setting.run(name)]})
    return found


def _steps(setting: Setting, runner: Coprocess, name: str) -> list[float]:
    runtime = setting.runtime(name)
    bundle, id = str(setting.bundle(name, "sleep")), setting.name()
    commands = [
        [*runtime, "create", "--bundle", bundle, id],
        [*runtime, "start", id],
        [*runtime, "delete", "--force", id],
    ]
    return [sum(runner.ask({"turn": commands}))]


def _of_running(
    setting: Setting, rounds: int, command: str, *words: str
) -> tuple[Samples, list[Row]]:
    with ExitStack() as stack:
        runner = stack.enter_context(setting.runner())
        contestants: dict[str, Turn] = {}
        for name in RUNTIMES:
            joined = stack.enter_context(running_peer(setting, runner, name))
            line = [*setting.runtime(name), command, joined[-2], *words]
            contestants[name] = lambda line=line: runner.ask({"turn": [line] * 3})
        contestants[INTERPRETER] = lambda: runner.ask({"turn": [_interpreter()] * 3})
        samples = measured(rounds, contestants)
    return samples, [_ratio(command, samples, 1.5)]


def _interpreter() -> list[str]:
    _, *options = INTERPRETER.split()
    return [sys.executable, *options]
