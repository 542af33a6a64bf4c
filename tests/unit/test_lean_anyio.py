"""The stand-in for anyio does what anyio does, as far as it goes."""

import os
import time
from collections.abc import Awaitable, Callable, Iterator
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


def asleep(api: Any, ended: list[Any], word: str) -> Callable[[], Awaitable[None]]:
    """What sleeps on, and notes a word when it is ended."""

    async def wait() -> None:
        try:
            await api.sleep(LONG_S)
        finally:
            ended.append(word)

    return wait


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


async def tasks_take_turns(api: Any) -> list[Any]:
    said, asked, answered = [], api.Event(), api.Event()

    async def answer() -> None:
        await asked.wait()
        said.append("answer")
        answered.set()

    async with api.create_task_group() as tasks:
        tasks.start_soon(answer)
        said.append("question")
        asked.set()
        await answered.wait()
        said.append("thanks")
    return [*said, asked.is_set()]


async def a_group_waits_for_its_tasks(api: Any) -> list[Any]:
    seen = []

    async def read(reader: int) -> None:
        await api.wait_readable(reader)
        seen.append(os.read(reader, 10))

    with pipe() as one, pipe() as two:
        async with api.create_task_group() as tasks:
            tasks.start_soon(read, one[0])
            tasks.start_soon(read, two[0])
            os.write(two[1], b"two")
            await api.sleep(SHORT_S)
            os.write(one[1], b"one")
    return seen


async def a_group_can_be_cancelled(api: Any) -> list[Any]:
    ended: list[Any] = []
    wait = asleep(api, ended, "child")

    async with api.create_task_group() as tasks:
        tasks.start_soon(wait)
        await api.sleep(SHORT_S)
        tasks.cancel_scope.cancel()
    return [*ended, tasks.cancel_scope.cancel_called]


async def a_deadline_ends_a_group(api: Any) -> list[Any]:
    ended: list[Any] = []
    wait = asleep(api, ended, "child")

    with api.move_on_after(SHORT_S) as scope:
        async with api.create_task_group() as tasks:
            tasks.start_soon(wait)
            await api.sleep(LONG_S)
        ended.append("never")
    return [*ended, scope.cancelled_caught]


async def a_shielded_task_ends_when_it_is_done(api: Any) -> list[Any]:
    ended = []

    async def clean_up() -> None:
        with api.CancelScope(shield=True):
            await api.sleep(SHORT_S)
            ended.append("clean")
        await api.sleep(LONG_S)
        ended.append("never")

    async with api.create_task_group() as tasks:
        tasks.start_soon(clean_up)
        await api.sleep(SHORT_S / 4)
        tasks.cancel_scope.cancel()
    return ended


async def an_error_ends_the_others(api: Any) -> list[Any]:
    ended: list[Any] = []
    wait = asleep(api, ended, "cancelled")

    async def fail() -> None:
        await api.lowlevel.checkpoint()
        raise KeyError("x")

    try:
        async with api.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(fail)
            await wait()
    except BaseExceptionGroup as group:
        ended += [type(error).__name__ for error in group.exceptions]
    return ended


async def an_error_of_the_block_ends_the_tasks(api: Any) -> list[Any]:
    ended: list[Any] = []
    wait = asleep(api, ended, "cancelled")

    try:
        async with api.create_task_group() as tasks:
            tasks.start_soon(wait)
            await api.sleep(SHORT_S)
            raise KeyError("x")
    except BaseExceptionGroup as group:
        ended += [type(error).__name__ for error in group.exceptions]
    return ended


async def a_lock_is_waited_for(api: Any) -> list[Any]:
    lock, order = api.Lock(), []

    async def take(name: str) -> None:
        async with lock:
            order.append(name)
            await api.sleep(SHORT_S)
            order.append(name)

    async with api.create_task_group() as tasks:
        tasks.start_soon(take, "a")
        tasks.start_soon(take, "b")
    return order


async def closing_wakes_who_waits(api: Any) -> list[Any]:
    seen = []

    async def wait(reader: int) -> None:
        try:
            await api.wait_readable(reader)
        except api.ClosedResourceError:
            seen.append("closed")

    with pipe() as (reader, _):
        async with api.create_task_group() as tasks:
            tasks.start_soon(wait, reader)
            await api.sleep(SHORT_S)
            api.notify_closing(reader)
    return seen


async def a_resource_is_one_tasks_at_a_time(api: Any) -> list[Any]:
    guard = api.ResourceGuard("reading from")
    try:
        with guard, guard:
            pass
    except api.BusyResourceError as error:
        return [str(error)]
    return []


@pytest.mark.parametrize(
    "scenario",
    [
        tasks_take_turns,
        a_group_waits_for_its_tasks,
        a_group_can_be_cancelled,
        a_deadline_ends_a_group,
        a_shielded_task_ends_when_it_is_done,
        an_error_ends_the_others,
        an_error_of_the_block_ends_the_tasks,
        a_lock_is_waited_for,
        closing_wakes_who_waits,
        a_resource_is_one_tasks_at_a_time,
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


def test_waiting_for_nobody_is_no_case_for_the_stand_in() -> None:
    undone = []

    async def wait() -> None:
        try:
            await lean.Event().wait()
        finally:
            await lean.sleep(0)
            undone.append("wait")

    with pytest.raises(Unsuited):
        lean.run(wait)
    assert undone == ["wait"]


def test_a_task_that_takes_the_real_anyio_is_not_one_of_several_errors() -> None:
    async def ask() -> None:
        lean.open_process()

    async def main() -> None:
        async with lean.create_task_group() as tasks:
            tasks.start_soon(ask)

    with pytest.raises(Unsuited):
        lean.run(main)
