"""Models of hooks, and the steps that the plan makes of them."""

import json
from typing import Any

import pytest

from aiocontainer import Config, ConfigError
from aiocontainer.config import Hook, Hooks
from aiocontainer.plan import compile as plans
from aiocontainer.plan import hooks as hook_plans
from aiocontainer.plan import steps as s
from aiocontainer.plan.compile import Program

BAD: list[tuple[str, dict[str, Any]]] = [
    ("hooks.prestart[0].path", {"prestart": [{"path": "relative"}]}),
    ("hooks.prestart[0].path", {"prestart": [{}]}),
    ("hooks.prestart[1].path", {"prestart": [{"path": "/a"}, {"path": "/a\0b"}]}),
    ("hooks.poststop[0].args[0]", {"poststop": [{"path": "/a", "args": [1]}]}),
    ("hooks.poststop[0].args", {"poststop": [{"path": "/a", "args": "a"}]}),
    ("hooks.poststart[0].env[A=B]", {"poststart": [{"path": "/a",
                                                    "env": {"A=B": "c"}}]}),
    ("hooks.poststart[0].env", {"poststart": [{"path": "/a", "env": ["A=b"]}]}),
    ("hooks.create_runtime[0].timeout", {"create_runtime": [{"path": "/a",
                                                             "timeout": 0}]}),
    ("hooks.create_runtime[0].timeout", {"create_runtime": [{"path": "/a",
                                                             "timeout": -1}]}),
    ("hooks.create_runtime[0].timeout", {"create_runtime": [{"path": "/a",
                                                             "timeout": "1"}]}),
    ("hooks.create_runtime[0].timeout", {"create_runtime": [
        {"path": "/a", "timeout": float("nan")}]}),
    ("hooks.create_runtime[0].timeout", {"create_runtime": [
        {"path": "/a", "timeout": float("inf")}]}),
    ("hooks.create_container[0].user", {"create_container": [{"path": "/a",
                                                              "user": "x"}]}),
    ("hooks.stop", {"stop": []}),
    ("hooks.start_container", {"start_container": 3}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "wrong"), [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in BAD]
)
def test_a_wrong_hook_is_refused_by_its_path(field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(rootfs="/x", hooks=wrong)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_one_hook_is_as_good_as_a_list_of_one() -> None:
    one = Hook(path="/a", timeout=2)
    assert Hooks(prestart=one) == Hooks(prestart=[one])
    assert Hooks(prestart={"path": "/a", "timeout": 2}) == Hooks(prestart=one)  # type: ignore[arg-type]


def test_no_hooks_are_false() -> None:
    assert not Hooks()
    assert Hooks(poststop=Hook(path="/a"))


def plan(**hooks: Any) -> plans.Plan:
    config = Config(rootfs="/x", hooks=Hooks(**hooks))
    return plans.first(plans.frame(config), "it", config, Program(("true",), ()))


def test_where_hooks_of_the_child_are_in_its_order() -> None:
    hook = Hook(path="/a")
    made = plan(create_container=hook, start_container=[hook, hook])
    order = [type(step) for step in made.steps]
    first, *late = (n for n, kind in enumerate(order) if kind is s.RunHook)
    assert order.index(s.MountFilesystem) < first < order.index(s.Pivot)
    assert order[late[0] - 1] is s.Stop
    assert late[-1] == len(order) - 2
    assert order.index(s.ChangeIdentity) < order.index(s.SayReady) < late[0]


def test_hooks_of_the_program_are_no_steps() -> None:
    hook = Hook(path="/a")
    made = plan(prestart=hook, create_runtime=hook, poststart=hook, poststop=hook)
    assert made.wire == plan().wire


def test_the_state_is_whole_with_and_without_a_pid() -> None:
    config = Config(rootfs="/x", annotations={"a": "\n\x01"}, bundle="/b")
    before, after = hook_plans.state(config, "it", "running")
    assert json.loads(before + b"17" + after) == {
        "ociVersion": "1.3.0",
        "id": "it",
        "status": "running",
        "pid": 17,
        "bundle": "/b",
        "annotations": {"a": "\n\x01"},
    }
    stopped = json.loads(hook_plans.state_without_pid(config, "it", "stopped"))
    assert "pid" not in stopped
    assert stopped["status"] == "stopped"


def test_timeouts_are_whole_milliseconds_for_the_child() -> None:
    made = plan(create_container=Hook(path="/a", timeout=0.0001))
    (step,) = (step for step in made.steps if isinstance(step, s.RunHook))
    assert step.timeout_ms == 1
    assert step.title == "run hook createContainer /a"
