"""The stand-in for anyio does what anyio does, as far as it goes."""

import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from aiocontainer.oci.lean import Unsuited
from aiocontainer.oci.lean import anyio as lean

SHORT_S, LONG_S = 0.02, 30.0


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


async def expires_within(api: Any) -> list[Any]:
    with pipe() as (reader, _), api.move_on_after(SHORT_S) as scope:
        await api.wait_readable(reader)
    return [scope.cancelled_caught, scope.cancel_called]


async def is_in_time(api: Any) -> list[Any]:
    with pipe() as (reader, writer), api.move_on_after(LONG_S) as scope:
        await api.wait_writable(writer)
        os.write(writer, b"x")
        await api.wait_readable(reader)
    return [scope.cancelled_caught, scope.cancel_called]


async def outer_ends_inner(api: Any) -> list[Any]:
    with api.move_on_after(SHORT_S) as outer, api.move_on_after(LONG_S) as inner:
        await api.sleep(LONG_S)
    return [outer.cancelled_caught, inner.cancelled_caught]


async def inner_ends_alone(api: Any) -> list[Any]:
    with api.move_on_after(LONG_S) as outer:
        with api.move_on_after(SHORT_S) as inner:
            await api.sleep(LONG_S)
        await api.sleep(0)
    return [outer.cancelled_caught, inner.cancelled_caught]


async def shield_keeps_out(api: Any) -> list[Any]:
    done = False
    with api.move_on_after(SHORT_S / 2) as outer:
        with api.CancelScope(shield=True):
            await api.sleep(SHORT_S)
            done = True
        await api.sleep(LONG_S)
    return [done, outer.cancelled_caught]


async def shield_has_its_own_end(api: Any) -> list[Any]:
    with api.move_on_after(SHORT_S, shield=True) as scope:
        await api.sleep(LONG_S)
    return [scope.cancelled_caught]


async def no_delay_is_no_end(api: Any) -> list[Any]:
    with api.move_on_after(None) as scope:
        await api.sleep(SHORT_S)
    return [scope.cancelled_caught]


async def clean_up_sees_the_end(api: Any) -> list[Any]:
    seen = []
    with api.move_on_after(SHORT_S):
        try:
            await api.sleep(LONG_S)
        except api.get_cancelled_exc_class():
            seen.append("cancelled")
            raise
    return seen


async def other_errors_pass(api: Any) -> list[Any]:
    try:
        with api.move_on_after(LONG_S) as scope:
            raise KeyError("x")
    except KeyError:
        return [scope.cancelled_caught]


async def one_at_a_time(api: Any) -> list[Any]:
    lock, limiter = api.Lock(), api.CapacityLimiter(2)
    async with lock, limiter:
        held = lock.locked()
    with api.ResourceGuard("reading"):
        await api.lowlevel.checkpoint()
    async with lock:  # again
        pass
    return [held, lock.locked(), limiter.total_tokens]


async def run_variable(api: Any) -> list[Any]:
    variable = api.lowlevel.RunVar[int]("test")
    try:
        missing = variable.get()
    except LookupError:
        missing = "missing"
    before = variable.get(None)
    variable.set(5)
    return [missing, before, variable.get(None), variable.get()]


@pytest.mark.parametrize(
    "scenario",
    [
        expires_within,
        is_in_time,
        outer_ends_inner,
        inner_ends_alone,
        shield_keeps_out,
        shield_has_its_own_end,
        no_delay_is_no_end,
        clean_up_sees_the_end,
        other_errors_pass,
        one_at_a_time,
        run_variable,
    ],
)
def test_the_stand_in_does_what_anyio_does(scenario: Callable[[Any], Any]) -> None:
    began = time.monotonic()
    assert lean.run(scenario, lean) == anyio.run(scenario, anyio)
    assert time.monotonic() - began < LONG_S


def test_errors_pass_through_run() -> None:
    async def fail() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        lean.run(fail)


@pytest.mark.parametrize("name", ["create_task_group", "Event", "open_process"])
def test_what_the_stand_in_does_not_have_is_never_taken_for_a_value(name: str) -> None:
    assert hasattr(anyio, name)
    with pytest.raises(Unsuited):
        getattr(lean, name)


def test_a_lock_that_is_waited_for_is_no_case_for_the_stand_in() -> None:
    async def twice() -> None:
        lock = lean.Lock()
        async with lock, lock:
            pass

    with pytest.raises(Unsuited):
        lean.run(twice)


@pytest.mark.parametrize("name", ["anyio", "anyio.abc", "anyio.lowlevel"])
def test_every_name_of_the_stand_in_is_one_of_anyios(name: str) -> None:
    here = f"aiocontainer.oci.lean.{name.replace('.', '_')}"
    for public in importlib.import_module(here).__all__:
        assert hasattr(importlib.import_module(name), public), public
