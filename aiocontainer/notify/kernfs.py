"""Waiting for kernel files: one nested epoll for each event loop.

A file of kernfs (cgroup files, PSI) always polls as readable, so ``add_reader`` on it
spins; what tells a change is EPOLLPRI, which event loops don't offer. So all files
watched on one loop go into one epoll of ours, and only its descriptor is waited for.

There is no task that reads it. Among the tasks that wait for anything here one leads:
it waits for the epoll, calls back what is ready (which wakes other waiting tasks), and
passes the lead on when it leaves. While nobody waits nothing is read, and nothing is
lost: the kernel keeps its counters.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel

from .._sys.libc import call

__all__ = ("EventFd", "Poller", "Timer", "Waiter", "WatchedFile", "current_poller")

_FILE_BYTES: Final = 64 * 1024


class Waiter:
    """A task's wish to be woken. One task waits with it at a time."""

    __slots__ = ("event", "woken")

    def __init__(self) -> None:
        self.woken = False
        self.event: anyio.Event | None = None


class Timer:
    """A callback to come; `cancel` forgets it."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Don't call back. Does nothing once it was called."""
        self.callback = None


class Poller:
    """The files watched on one event loop. Use `current_poller`, don't make one.

    Not for use from another thread. Holds one descriptor, and that only while a file
    is watched or a task waits.
    """

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        # A forked child shares the epoll: a change made there would be made here too.
        self.pid = os.getpid()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._forgetful: dict[int, Callable[[], None]] = {}
        self._waiting: dict[Waiter, None] = {}
        self._leader: Waiter | None = None
        self._scope: anyio.CancelScope | None = None
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()

    def add(
        self, fd: int, events: int, callback: Callable[[], None], *, forgets: bool
    ) -> None:
        """Have ``callback`` called when ``fd`` has ``events``.

        It is called from a task that happens to wait here, so it must neither wait
        nor raise. What keeps its events (a kernfs file) or its count (an eventfd)
        must be read there, else it is called for ever.

        Args:
            forgets: its event is gone once polled, as that of a PSI trigger, and the
                loop's poll of our epoll is a poll of the trigger. So its callback is
                called whenever anything was ready, and has to find out by itself.

        Raises:
            OSError: the kernel can't watch it.
        """
        call("epoll_ctl", self._opened().register, fd, events)
        self._callbacks[fd] = callback
        if forgets:
            self._forgetful[fd] = callback

    def remove(self, fd: int) -> None:
        """Stop watching ``fd``; call this before it is closed."""
        if self._callbacks.pop(fd, None) is None:
            return
        self._forgetful.pop(fd, None)
        if self._epoll is not None and self.pid == os.getpid():
            self._epoll.unregister(fd)
        self._close_if_unused()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` after ``delay_s``, or when a task next waits here.

        Like any callback here, it must neither wait nor raise.
        """
        return self.call_at(anyio.current_time() + delay_s, callback)

    def call_at(self, when_s: float, callback: Callable[[], None]) -> Timer:
        """As `call_later`, by the event loop's clock."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when_s, next(self._numbers), timer))
        if self._scope is not None and when_s < self._scope.deadline:
            self._scope.deadline = when_s
        return timer

    def wake(self, waiter: Waiter) -> None:
        """Let the `wait` of ``waiter`` return, now or when it is called next."""
        waiter.woken = True
        if waiter.event is not None:
            waiter.event.set()
        if waiter is self._leader and self._scope is not None:
            self._scope.cancel()

    async def wait(self, waiter: Waiter) -> None:
        """Wait until `wake` was called for ``waiter``, serving others meanwhile.

        Cancelling this passes the lead on; nothing that was ready is lost.
        """
        self._waiting[waiter] = None
        try:
            while not waiter.woken:
                if self._leader is None:
                    await self._lead(waiter)
                else:
                    waiter.event = anyio.Event()
                    await waiter.event.wait()
        finally:
            del self._waiting[waiter]
            self._pass_lead_on()
            self._close_if_unused()

    async def _lead(self, waiter: Waiter) -> None:
        epoll = self._opened()
        # First what became ready while nobody waited. For a PSI trigger this is the
        # only chance: adding our epoll to the loop's would poll it, unseen.
        self._dispatch(epoll)
        if waiter.woken:
            return
        self._leader = waiter
        try:
            # Through the scope `wake` and `call_later` reach the leader.
            with anyio.CancelScope(deadline=self._next_deadline()) as self._scope:
                await anyio.wait_readable(epoll.fileno())
        finally:
            self._leader = self._scope = None
        self._dispatch(epoll)
        for callback in list(self._forgetful.values()):
            callback()

    def _pass_lead_on(self) -> None:
        # Waking one is enough: if it is cancelled before it leads, it comes by here.
        if self._leader is None and self._waiting:
            event = next(iter(self._waiting)).event
            if event is not None:  # else it has yet to look for itself
                event.set()

    def _dispatch(self, epoll: select.epoll) -> None:
        for fd, _ in call("epoll_wait", epoll.poll, 0):
            callback = self._callbacks.get(fd)  # an earlier callback may have closed it
            if callback is not None:
                callback()
        now = anyio.current_time()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()

    def _next_deadline(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else float("inf")

    def _opened(self) -> select.epoll:
        if self._epoll is None:
            self._epoll = call("epoll_create1", select.epoll)
        return self._epoll

    def _close_if_unused(self) -> None:
        # Never under a waiting leader: the loop would be left with a stale number.
        if self._callbacks or self._waiting or self._epoll is None:
            return
        self._epoll.close()
        self._epoll = None


_current: Final = anyio.lowlevel.RunVar[Poller]("aiocontainer.notify.poller")


def current_poller() -> Poller:
    """The poller of the running event loop.

    Raises:
        RuntimeError: no event loop is running in this thread (anyio's
            ``NoEventLoopError``).
    """
    poller = _current.get(None)
    if poller is None or poller.pid != os.getpid():
        poller = Poller()
        _current.set(poller)
    return poller


class WatchedFile:
    """A kernfs file, held open and watched; ``changed`` is called when it changes.

    ``changed`` must `read` it: that is what acknowledges the change.

    Args:
        path: the file.
        changed: called from some waiting task; must neither wait nor raise.
        trigger: a PSI trigger to write into it, which makes it report only that.

    Raises:
        OSError: it could not be opened, or doesn't take the trigger.
    """

    def __init__(
        self, path: str, changed: Callable[[], None], *, trigger: bytes | None = None
    ) -> None:
        self.path = path
        access = os.O_RDONLY if trigger is None else os.O_RDWR | os.O_NONBLOCK
        self._fd: int = call("open", os.open, path, access | os.O_CLOEXEC)
        try:
            if trigger is not None:
                call("write", os.write, self._fd, trigger, path=path)
            self._poller = current_poller()
            events = select.EPOLLPRI
            self._poller.add(self._fd, events, changed, forgets=trigger is not None)
        except BaseException:
            os.close(self._fd)
            raise

    def read(self) -> str:
        """The whole text, now.

        Raises:
            OSError: ``ENODEV`` once the cgroup is removed, also ``EBADF`` once closed.
        """
        text: bytes = call("read", os.pread, self._fd, _FILE_BYTES, 0, path=self.path)
        return text.decode("ascii", "replace")

    def close(self) -> None:
        """Stop watching. Does nothing the second time."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._poller.remove(fd)
            os.close(fd)


class EventFd:
    """An eventfd that cgroup v1 signals; ``signalled`` is called when it did.

    ``signalled`` must `take` the count. v1 signals once more when a cgroup that it is
    registered with is removed.
    """

    def __init__(self, signalled: Callable[[], None]) -> None:
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        self._fd: int = call("eventfd", os.eventfd, 0, flags)
        try:
            self._poller = current_poller()
            self._poller.add(self._fd, select.EPOLLIN, signalled, forgets=False)
        except BaseException:
            os.close(self._fd)
            raise

    def register(self, directory: str, file: str, argument: str = "") -> None:
        """Be signalled by ``file`` of a v1 cgroup; also of several cgroups.

        Raises:
            OSError: the file can't signal, or the cgroup is gone, or not ours.
        """
        path = f"{directory}/{file}"
        target: int = call("open", os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        try:  # the kernel keeps no reference to the target: it may be closed at once
            request = f"{self._fd} {target} {argument}".rstrip().encode()
            _write(f"{directory}/cgroup.event_control", request)
        finally:
            os.close(target)

    def take(self) -> int:
        """The number of signals since the last call; 0 for none."""
        try:
            count: int = call("read", os.eventfd_read, self._fd)
        except BlockingIOError:
            return 0
        return count

    def close(self) -> None:
        """Stop watching; the kernel forgets all registrations. Once is enough."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._poller.remove(fd)
            os.close(fd)


def _write(path: str, data: bytes) -> None:
    fd: int = call("open", os.open, path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        call("write", os.write, fd, data, path=path)
    finally:
        os.close(fd)
