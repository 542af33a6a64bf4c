"""S8: a child that isn't what its config says never becomes the program.

Each test takes one step out of the plan, or bends it, as a mistake of ours would.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Capabilities,
    Config,
    Container,
    Mount,
    Namespaces,
    SetupError,
    run,
)
from aiocontainer._sys import constants as c
from aiocontainer.plan import compile as plans
from aiocontainer.plan import steps as s
from aiocontainer.plan.compile import Plan
from aiocontainer.plan.parts import Part
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

Bend = Callable[[Plan], Plan]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def without(kind: type[s.Step]) -> Bend:
    def bend(plan: Plan) -> Plan:
        kept = [step for step in plan.steps if not isinstance(step, kind)]
        assert len(kept) < len(plan.steps)
        return dataclasses.replace(plan, parts=(Part.of(kept),))

    return bend


def changed(kind: type[s.Step], **fields: object) -> Bend:
    def bend(plan: Plan) -> Plan:
        assert any(isinstance(step, kind) for step in plan.steps)
        bent = [
            dataclasses.replace(step, **fields) if isinstance(step, kind) else step
            for step in plan.steps
        ]
        return dataclasses.replace(plan, parts=(Part.of(bent),))

    return bend


def not_born_in(kind: int) -> Bend:
    return lambda plan: dataclasses.replace(plan, clone_flags=plan.clone_flags & ~kind)


FIRST = [
    pytest.param(without(s.NoNewPrivs), r"NoNewPrivs: 0, and not", id="no_new_privs"),
    pytest.param(
        changed(s.ChangeIdentity, drop_bounding=0),
        r"CapBnd: \w+, and not",
        id="bounding",
    ),
    pytest.param(
        changed(s.ChangeIdentity, effective=1 << 21, permitted=1 << 21),
        r"CapPrm: 0000000000200000, and not",
        id="permitted",
    ),
    pytest.param(
        changed(s.ChangeIdentity, inheritable=1 << 10),
        r"CapInh: \w+, and",
        id="inherited",
    ),
    pytest.param(changed(s.FindUser, user=b"0"), r"Uid: 0 0 0 0, and not", id="user"),
    pytest.param(changed(s.FindUser, user=b"1000:0"), r"Gid: 0 0 0 0, and", id="group"),
    pytest.param(without(s.Mask), r"/proc/\w+ is not masked", id="masks"),
    pytest.param(changed(s.Mask, masked=()), r"/proc/\w+ is not masked", id="no-masks"),
    pytest.param(without(s.MakeReadonly), r"can be written to", id="readonly"),
    pytest.param(not_born_in(c.CLONE_NEWIPC), r"wrong ipc namespace", id="ipc"),
    pytest.param(without(s.Unshare), r"wrong cgroup namespace", id="cgroup"),
]


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    return tmp_path


def make_config(rootfs: Path, proof: Path, **fields: Any) -> Config:
    return Config(
        rootfs=rootfs,
        mounts=[
            Mount(source=proof, destination="/proof", type="bind", options=("rbind",))
        ],
        **fields,
    )


@pytest.mark.parametrize(("bend", "reason"), FIRST)
@pytest.mark.covers("verification before the program runs")
async def test_a_first_process_that_is_not_as_configured_never_runs(
    bend: Bend,
    reason: str,
    rootfs: Path,
    proof: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_it = plans.first
    monkeypatch.setattr(plans, "first", lambda *a, **k: bend(compile_it(*a, **k)))
    proof.chmod(0o777)
    config = make_config(rootfs, proof, user="1000:1000")
    with pytest.raises(SetupError, match=reason):
        await run(config, ["touch", "/proof/ran"])
    assert list(proof.iterdir()) == []


async def test_an_early_filter_that_is_missing_ends_the_start(
    rootfs: Path, proof: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_it = plans.first
    bend = without(s.LoadFilter)
    monkeypatch.setattr(plans, "first", lambda *a, **k: bend(compile_it(*a, **k)))
    config = make_config(rootfs, proof, no_new_privs=False)
    with pytest.raises(SetupError, match="Seccomp: 0, and not Seccomp: 2"):
        await run(config, ["touch", "/proof/ran"])
    assert list(proof.iterdir()) == []


async def test_a_process_that_joined_another_namespace_never_runs(
    rootfs: Path, proof: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Container(make_config(rootfs, proof)) as container:
        await container.run(["true"])
        compile_it = plans.join

        def join(*arguments: Any, **options: Any) -> Plan:
            plan = compile_it(*arguments, **options)
            (step,) = [x for x in plan.steps if isinstance(x, s.JoinContainer)]
            return changed(s.JoinContainer, kinds=step.kinds & ~c.CLONE_NEWUTS)(plan)

        monkeypatch.setattr(plans, "join", join)
        with pytest.raises(SetupError, match="not in the container's uts namespace"):
            await container.run(["touch", "/proof/ran"])
        assert list(proof.iterdir()) == []
        monkeypatch.setattr(plans, "join", compile_it)
        assert (await container.run(["touch", "/proof/ran"])).returncode == 0


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"user": "1000:1000", "groups": (5, 7)}, id="user"),
        pytest.param({"capabilities": Capabilities.of()}, id="no-capabilities"),
        pytest.param(
            {
                "capabilities": Capabilities.of(
                    "CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"
                )
            },
            id="other-capabilities",
        ),
        pytest.param({"no_new_privs": False}, id="privileges-by-exec"),
        pytest.param({"seccomp": None}, id="no-filter"),
        pytest.param(
            {"namespaces": Namespaces(network="host", ipc="host", uts="host")},
            id="host",
        ),
    ],
)
async def test_what_is_as_configured_runs(
    fields: dict[str, Any], rootfs: Path, proof: Path
) -> None:
    proof.chmod(0o777)
    result = await run(make_config(rootfs, proof, **fields), ["touch", "/proof/ran"])
    assert result.returncode == 0, result
