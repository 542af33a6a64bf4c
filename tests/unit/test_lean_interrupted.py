"""SIGINT ends a run of the stand-in for anyio as it ends one of anyio."""

import os
import signal
from typing import Any

import anyio
import pytest

from aiocontainer.oci.lean import anyio as lean

SHORT_S, LONG_S = 0.02, 30.0


async def wait_for_sigint(api: Any, undone: list[str]) -> None:
    try:
        async with api.create_task_group() as tasks:
            tasks.start_soon(api.sleep, LONG_S)
            os.kill(os.getpid(), signal.SIGINT)
            await api.sleep(LONG_S)
    finally:
        with api.CancelScope(shield=True):
            await api.sleep(0)
        undone.append("wait")


async def work_at_sigint(api: Any, undone: list[str]) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    undone.append("work")
    await api.sleep(0)


@pytest.mark.parametrize("main", [wait_for_sigint, work_at_sigint])
@pytest.mark.parametrize("api", [lean, anyio], ids=["lean", "anyio"])
def test_sigint_ends_the_run_once_what_it_did_is_undone(main: Any, api: Any) -> None:
    undone: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        api.run(main, api, undone)
    assert undone == [main.__name__.partition("_")[0]]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigint_ends_who_waits_already() -> None:
    async def wait() -> None:
        await lean.sleep(LONG_S)

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), 2))
    try:
        signal.setitimer(signal.ITIMER_REAL, SHORT_S)
        with pytest.raises(KeyboardInterrupt):
            lean.run(wait)
    finally:
        signal.signal(signal.SIGALRM, before)
