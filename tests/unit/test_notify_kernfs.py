"""The shared epoll: who waits for it, and what is left of it."""

import os
import random
import select
import threading

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.notify.kernfs import EventFd, Waiter, current_poller
from tests.support.notify import descriptors

pytestmark = pytest.mark.anyio


class Bell:
    """An eventfd that counts what it was told, and a task's way to wait for it."""

    def __init__(self):
        self.rung = 0
        self.poller = current_poller()
        self.eventfd = EventFd(self.answer)
        self.waiter = None

    def ring(self):
        os.eventfd_write(self.eventfd._fd, 1)

    def answer(self):
        self.rung += self.eventfd.take()
        if self.waiter is not None:
            self.poller.wake(self.waiter)

    async def wait(self):
        self.waiter = Waiter()
        try:
            await self.poller.wait(self.waiter)
        finally:
            self.waiter = None


async def settle():
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_one_descriptor_serves_any_number_of_files_and_goes_with_the_last():
    before = descriptors()
    bells = [Bell() for _ in range(50)]
    assert len(descriptors() - before) == 51
    for bell in bells:
        bell.eventfd.close()
    assert descriptors() == before


async def test_whoever_leads_wakes_the_one_whose_file_is_ready():
    bells = [Bell() for _ in range(20)]
    order = []

    async def wait(number):
        await bells[number].wait()
        order.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(wait, number)
        await settle()
        for number in (13, 0, 7, 19):
            bells[number].ring()
            with anyio.fail_after(5):
                while not order or order[-1] != number:
                    await anyio.lowlevel.checkpoint()
        assert order == [13, 0, 7, 19]
        tasks.cancel_scope.cancel()
    for bell in bells:
        bell.eventfd.close()


async def test_any_pattern_of_cancelling_leaves_somebody_to_lead():
    """Whoever is cancelled, in whatever state, the others are still served."""
    chance = random.Random(42)
    bells = [Bell() for _ in range(12)]
    before = descriptors()
    for _ in range(150):
        chosen = chance.randrange(12)
        doomed = chance.sample([n for n in range(12) if n != chosen], 8)
        scopes = {}

        async def wait(number, scopes=scopes):
            with anyio.CancelScope() as scope:
                scopes[number] = scope
                await bells[number].wait()

        async with anyio.create_task_group() as tasks:
            for number in chance.sample(range(12), 12):
                tasks.start_soon(wait, number)
            await settle()
            for number in doomed:
                if chance.random() < 0.3:
                    bells[number].ring()
                scopes[number].cancel()
                if chance.random() < 0.3:
                    await anyio.lowlevel.checkpoint()
            bells[chosen].ring()
            rung = bells[chosen].rung
            with anyio.fail_after(5):
                while bells[chosen].rung == rung:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert descriptors() == before
    for bell in bells:
        bell.eventfd.close()


async def test_what_happens_while_nobody_waits_is_told_when_somebody_does():
    bell = Bell()
    bell.ring()
    bell.ring()
    await settle()
    assert bell.rung == 0
    with anyio.fail_after(5):
        await bell.wait()
    assert bell.rung == 2
    bell.eventfd.close()


async def test_waking_before_waiting_is_not_lost():
    poller, waiter = current_poller(), Waiter()
    poller.wake(waiter)
    with anyio.fail_after(5):
        await poller.wait(waiter)


async def test_a_timer_runs_in_time_also_when_it_is_set_while_one_leads():
    poller, waiter = current_poller(), Waiter()
    late = []

    def ring():
        late.append(anyio.current_time() - due_s)
        poller.wake(waiter)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(poller.wait, waiter)
        await settle()
        cancelled = poller.call_later(0.001, lambda: late.append(-1.0))
        cancelled.cancel()
        due_s = anyio.current_time() + 0.02
        poller.call_later(0.02, ring)
    assert len(late) == 1
    assert 0 <= late[0] < 1


async def test_closing_the_last_file_under_a_waiting_leader_is_safe():
    before = descriptors()
    bell = Bell()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bell.wait)
        await settle()
        bell.eventfd.close()
        other = Bell()
        other.ring()
        other.waiter = bell.waiter
        with anyio.fail_after(5):
            while not other.rung:
                await anyio.lowlevel.checkpoint()
        other.eventfd.close()
    assert descriptors() == before


async def test_a_forked_child_does_not_touch_our_epoll():
    bell = Bell()
    pid = os.fork()
    if pid == 0:
        bell.eventfd.close()
        os._exit(0)
    os.waitpid(pid, 0)  # noqa: ASYNC222 (the child ends at once)
    bell.ring()
    with anyio.fail_after(5):
        await bell.wait()
    assert bell.rung == 1
    bell.eventfd.close()


def test_loops_in_two_threads_do_not_meet():
    rounds, pollers = 200, []
    failures = []

    async def work():
        pollers.append(current_poller())
        bell = Bell()
        for _ in range(rounds):
            bell.ring()
            with anyio.fail_after(5):
                await bell.wait()
        assert bell.rung == rounds
        bell.eventfd.close()

    def run(backend, options):
        try:
            anyio.run(work, backend=backend, backend_options=options)
        except BaseException as error:
            failures.append(error)

    before = descriptors()
    backends = [("asyncio", {}), ("asyncio", {}), ("trio", {})]
    threads = [threading.Thread(target=run, args=backend) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({id(poller) for poller in pollers}) == 3
    assert descriptors() == before


async def test_a_file_that_forgets_is_asked_whenever_anything_happens():
    """PSI triggers forget that they fired once they are polled."""
    poller, asked = current_poller(), []
    reader, writer = os.pipe()
    poller.add(reader, select.EPOLLIN, lambda: asked.append(1), forgets=True)
    bell = Bell()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bell.wait)
        await settle()
        bell.ring()
    assert asked
    poller.remove(reader)
    bell.eventfd.close()
    os.close(reader)
    os.close(writer)
