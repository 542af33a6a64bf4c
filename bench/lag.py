"""How late an event loop is: what a caller's own timers would feel."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

TICK_S = 0.002


class Lag:
    """Samples of how much later than asked a timer's callback ran, in ms."""

    def __init__(self) -> None:
        self.samples_ms: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def _tick(self) -> None:
        now_s = time.monotonic()
        late_s = now_s - self._due_s if self._due_s else -1.0
        # A loop that was blocked missed ticks, too: each counts with what it would have
        # waited, else the longest blocks would weigh the least.
        while late_s >= 0:
            self.samples_ms.append(late_s * 1e3)
            late_s -= TICK_S
        self._due_s = time.monotonic() + TICK_S
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def start(self) -> None:
        """Begin to sample."""
        self._tick()

    def stop(self) -> None:
        """Take no more samples."""
        if self._timer is not None:
            self._timer.cancel()

    def p99_ms(self) -> float:
        """99 of 100 timers were at most this late."""
        ordered = sorted(self.samples_ms)
        return ordered[int(len(ordered) * 0.99)] if ordered else 0.0


@contextmanager
def lag() -> Iterator[Lag]:
    """Sample the running loop's lag within a block."""
    meter = Lag()
    meter.start()
    try:
        yield meter
    finally:
        meter.stop()
