"""What a container tells by itself, where the kernel doesn't."""

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from aiocontainer.notify import Paused, Resumed
from aiocontainer.watching import Watching

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("unified", "told"),
    [
        pytest.param(None, [Paused("/freezer"), Resumed("/freezer")], id="v1-alone"),
        pytest.param("/unified", [], id="cgroup2-tells-by-itself"),
    ],
)
async def test_pausing_is_told_by_us_only_where_the_kernel_does_not(
    unified: str | None, told: list[Any]
) -> None:
    paths = {"freezer": "/freezer"}
    watching = Watching("box")
    events = watching.streams.events(None)
    cgroup: Any = SimpleNamespace(name="box", unified=unified, paths=paths)
    watching.froze(cgroup, frozen=True)
    watching.froze(cgroup, frozen=False)
    watching.end()
    with anyio.fail_after(5):
        assert [event async for event in events] == told
