"""The sampler's schedule, its losses and its end."""

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.errors import ConfigError
from aiocontainer.notify.sampler import Sampler
from tests.support.notify import descriptors

pytestmark = pytest.mark.anyio


class Reads:
    """Counts how often it was read; fails with ``error`` if told."""

    def __init__(self):
        self.count = 0
        self.error = None

    def __call__(self):
        if self.error is not None:
            raise self.error
        self.count += 1
        return self.count


async def settle():
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_the_first_sample_is_taken_at_once_and_the_others_on_the_grid():
    sampler = Sampler(Reads(), 0.02)
    samples = [await anext(sampler) for _ in range(6)]
    first = samples[0]
    for number, sample in enumerate(samples):
        taken_s = sample.taken_s - first.taken_s
        missed = sum(earlier.lost for earlier in samples[1 : number + 1])
        due_s = (number + missed) * 0.02
        assert due_s - 1e-4 <= taken_s < due_s + 0.0201
    assert [sample.value for sample in samples] == [1, 2, 3, 4, 5, 6]


async def test_a_reader_that_stalls_gets_one_sample_no_burst_and_the_old_grid():
    sampler = Sampler(Reads(), 0.05)
    first = await anext(sampler)
    await anyio.sleep(0.18)
    late = await anext(sampler)
    following = await anext(sampler)
    assert late.lost >= 2
    steps = (following.taken_s - first.taken_s) / 0.05
    assert steps >= 1 + late.lost + 1 - 0.01
    assert following.taken_s > late.taken_s
    assert late.value == 2


async def test_the_end_takes_the_last_sample_at_once_and_wakes_the_reader():
    reads = Reads()
    sampler = Sampler(reads, 1000)
    got = []

    async def read():
        async for sample in sampler:
            got.append((sample.value, sample.last))  # noqa: PERF401 (seen as it grows)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await settle()
        assert got == [(1, False)]
        sampler.end()
        assert reads.count == 2  # now, not when the reader runs: the cgroup goes
        sampler.end()
    assert got == [(1, False), (2, True)]
    assert reads.count == 2


async def test_the_last_sample_is_kept_for_a_reader_that_comes_later():
    sampler = Sampler(Reads(), 1000)
    sampler.end()
    assert [(s.value, s.last) async for s in sampler] == [(1, True)]


async def test_the_end_of_something_gone_already_has_no_last_sample():
    reads = Reads()
    sampler = Sampler(reads, 1000)
    await anext(sampler)
    reads.error = OSError(19, "No such device")
    sampler.end()
    assert [s async for s in sampler] == []


async def test_samples_end_when_the_cgroup_is_gone():
    reads = Reads()
    sampler = Sampler(reads, 0.001)
    await anext(sampler)
    reads.error = FileNotFoundError(2, "No such file or directory")
    assert [s async for s in sampler] == []


async def test_another_error_comes_out_of_the_iteration():
    reads = Reads()
    reads.error = PermissionError(13, "Permission denied")
    with pytest.raises(PermissionError):
        await anext(Sampler(reads, 0.001))


async def test_a_cancelled_wait_loses_no_sample():
    sampler = Sampler(Reads(), 0.02)
    await anext(sampler)
    with anyio.move_on_after(0.001) as scope:
        await anext(sampler)
    assert scope.cancelled_caught
    sample = await anext(sampler)
    assert sample.value == 2


async def test_a_reader_of_a_sampler_that_is_closed_meanwhile_is_told():
    before = descriptors()
    sampler = Sampler(Reads(), 1000)
    await anext(sampler)

    async def read():
        with pytest.raises(anyio.ClosedResourceError):
            await anext(sampler)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await settle()
        await sampler.aclose()
    assert descriptors() == before


@pytest.mark.parametrize("interval_s", [0, -1, 0.0001, float("nan")])
def test_an_interval_that_cannot_be_kept_is_refused(interval_s):
    with pytest.raises(ConfigError, match="interval"):
        Sampler(Reads(), interval_s)
