"""A process that reads configurations, with the stand-ins of the OCI command or without
them, and tells all that it made of each.

Questions are pickled (name of a function here, arguments), answers are
``("made", picture)``, ``("refused", reason)``, ``("unsuited", what)``, or ``("failed",
exception)`` where something is made that can't be told, or anything else goes wrong.
"""

import importlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ("Reader", "reading")

ROOT = Path(__file__).parents[2]
# Before anything else is loaded, as the command does it.
INSTALL = "from aiocontainer.oci import lean; lean.install()\n"
ANSWER = f"from {__name__} import main; main()"


class Reader:
    """The other end of such a process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def __call__(self, name: str, *args: Any) -> tuple[str, Any]:
        """The answer to one question."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump((name, args), process.stdin)
        process.stdin.flush()
        answer: tuple[str, Any] = pickle.load(process.stdout)
        return answer


@contextmanager
def reading(mode: str) -> Iterator[Reader]:
    """Run such a process; ``mode`` is ``"lean"`` or ``"real"``."""
    words = [sys.executable, "-c", (INSTALL if mode == "lean" else "") + ANSWER]
    pipe = subprocess.PIPE
    # Some warnings come in the order of a set.
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, cwd=ROOT, env=env) as process:
        yield Reader(process)


def main() -> None:
    """Answer until there are no more questions."""
    from aiocontainer.oci import lean

    errors = importlib.import_module("aiocontainer.errors")
    refused = (errors.ConfigError, errors.UnsupportedFeature)
    while True:
        try:
            name, args = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = "made", globals()[name](*args)
        except refused as error:
            answer = "refused", str(error)
        except lean.Unsuited as error:
            answer = "unsuited", str(error)
        except Exception as error:
            answer = "failed", repr(error)
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def bundle(document: Any, manager: str) -> Any:
    """What ``create`` makes of a document."""
    from aiocontainer.config.bundle import Bundle

    made = Bundle.read(document, bundle="/b", cgroup_manager=manager)  # type: ignore[arg-type]
    return picture(made), told(made.config)


def process(document: Any) -> Any:
    """What ``exec --process`` makes of one."""
    from aiocontainer.config.bundle import read_process

    spec, warnings = read_process(document)
    changes = dict(sorted(spec.changes.items()))  # their order is that of a set
    return spec.args, spec.terminal, picture(changes), warnings


def resources(document: Any) -> Any:
    """What ``update --resources`` makes of one."""
    from aiocontainer.config.bundle import read_resources

    limits, warnings = read_resources(document)
    return written(limits), warnings


def config(fields: dict[str, Any]) -> Any:
    """What these keywords make."""
    from aiocontainer.config import Config

    return told(Config(**{"rootfs": "/srv/x", **fields}))


def bad_config(index: int) -> Any:
    """What the keywords of a row of `BAD` make."""
    from .bad_configs import BAD

    return config(BAD[index][1])


def rich() -> Any:
    """What is told of the config with something in nearly every field."""
    from .configs import RICH

    return told(RICH)


def model(name: str, tree: Any) -> Any:
    """What one of the models makes of anything."""
    models: Any = importlib.import_module("aiocontainer.config")
    return written(getattr(models, name).model_validate(tree))


def model_of_models(name: str) -> Any:
    """What comes of models inside of models, of which some aren't what they seem."""
    from aiocontainer.config import (
        Capabilities,
        Config,
        DirectoryRootfs,
        Hook,
        Hooks,
        MountCommand,
        Rootfs,
    )

    held = Capabilities.of("KILL")
    if name == "subclass":  # written down as its base, by pydantic
        return written(Hooks(prestart=[MountCommand(path="/x", directory="/y")]))
    if name == "changed copy":
        wrong = held.model_copy(update={"effective": frozenset({"CAP_CHOWN"})})
        return written(Config(rootfs="/x", capabilities=wrong))
    if name == "another":
        return written(Config(rootfs="/x", capabilities=Hook(path="/x")))
    assert name == "good"
    roots: list[Rootfs] = [DirectoryRootfs(path="/x"), Rootfs.overlay("/a")]
    return [
        written(Config(rootfs=root, capabilities=held, hooks=Hooks(prestart=hook)))
        for root in roots
        for hook in (Hook(path="/x"), [Hook(path="/x"), {"path": "/y"}])
    ]


def written(made: Any) -> Any:
    """A model, and how it is written down."""
    from aiocontainer.oci.lean import Unsuited

    try:
        return picture(made), picture(made.model_dump()), made.model_dump_json()
    except Unsuited as error:
        raise RuntimeError(f"made, but not told: {error}") from None


def changed(fields: dict[str, Any], changes: dict[str, Any]) -> Any:
    """A config after changes, by each of the three ways to make them."""
    from aiocontainer.config import Config, override, replace

    whole = Config(**{"rootfs": "/srv/x", **fields})
    return [
        picture(override(whole, **changes)),
        picture(replace(whole, **changes)),
        picture(whole.model_copy(update={"hostname": "x"})),
    ]


def told(config: Any) -> Any:
    """All that is told of a config by any means."""
    from aiocontainer.runtime.configs import dumped, loaded

    kept = dumped(config)
    return {
        "whole": written(config),
        "kept": kept,
        "loaded": picture(loaded(kept)),
        "equal": loaded(json.loads(json.dumps(kept))) == config,
        "hash": hash(config) == hash(loaded(kept)),
        "repr": repr(config.namespaces),
        "plan": planned(config),
    }


def planned(config: Any) -> Any:
    """The first process's plan, or why there can't be one here."""
    from aiocontainer.errors import ConfigError, UnsupportedFeature
    from aiocontainer.plan import compile as plans

    try:
        frame = plans.frame(config)
        plan = plans.first(frame, "name", config, plans.Program(("/bin/true",), ()))
    except (ConfigError, UnsupportedFeature) as error:
        return str(error)
    return repr((plan.wire, plan.host_wire, plan.describe(), frame.namespaces))


def picture(value: Any) -> Any:
    """A value and the types of all in it, as plain objects."""
    kind = type(value).__name__
    if hasattr(value, "model_fields_set"):
        fields = {name: picture(one) for name, one in vars(value).items()}
        return kind, fields, list(fields), sorted(value.model_fields_set)
    if hasattr(value, "__dataclass_fields__"):
        return kind, {n: picture(getattr(value, n)) for n in value.__match_args__}
    if isinstance(value, Mapping):
        return kind, [(picture(name), picture(one)) for name, one in value.items()]
    if isinstance(value, list | tuple):
        return kind, [picture(one) for one in value]
    if isinstance(value, frozenset | set):
        return kind, sorted(map(repr, value))
    return kind, repr(value)
