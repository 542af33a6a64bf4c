"""The spawner: a process of one thread that forks a child for every request.

Started by `aiocontainer.proc.spawner` from a sealed copy of the interpreter. It
outlives nothing: when the program that started it is gone it ends that program's
containers.
"""

from __future__ import annotations

import _signal
import _socket
import errno
import gc
import marshal
import os
import resource
import select
import sys

from ..._sys import constants as c
from ..._sys import identity, namespaces, signals
from ..._sys.descriptors import close_others
from ..._sys.handover import Handover
from ..._sys.namespaces import clone, open_namespace, setns
from .. import init_pipe
from . import (
    child,
    id_maps,
    init_program,
    listeners,
    lockdown,
    netlink,
    proc_files,
    relay,
    time_namespace,
    wire,
)
from .janitor import Janitor
from .scheduling import tune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

CONTROL = 3
"""Descriptor number of the control socket, put there by the program."""

_MAX_DESCRIPTORS = 253  # SCM_MAX_FD of include/net/scm.h
_PROC_FILES = 3
_TUNINGS = 6
"""Index among the fields of a start that are for the one who launches."""


def main(program: int) -> NoReturn:
    """Serve requests until the program has gone, then clean up after it and exit."""
    close_others((0, 1, 2, CONTROL))
    identity.set_dumpable(False)
    identity.set_name("aiocontainer")
    identity.set_arguments(b"aiocontainer")
    os.umask(0)
    os.chdir("/")
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)  # the ones that Python changed
    watched = _watch(program)
    namespaces.probe_clone3()
    signals.default_internal()
    control = _socket.socket(fileno=CONTROL)
    os.set_inheritable(CONTROL, False)
    spawner = Spawner(control)
    lockdown.warm_up()
    gc.collect()
    gc.freeze()
    gc.disable()
    lockdown.lock()
    try:
        spawner.serve(watched)
        spawner.janitor.clean_up()
    except BaseException as error:
        # A traceback would look for source files; the program shows this line. Its
        # containers live on, and are told to our successor.
        os.write(2, f"{type(error).__name__}: {error}".encode("utf-8", "replace"))
    finally:
        os._exit(0)


def _watch(program: int) -> int:
    """A pidfd of the program, or -1 where it has gone already.

    And not only the socket's end: a fork of the program holds that open, too.
    """
    try:
        watched = os.pidfd_open(program)
    except ProcessLookupError:
        return -1
    return watched if os.getppid() == program else -1


class Spawner:
    """Receives requests one by one; each start becomes a child."""

    def __init__(self, control: _socket.socket) -> None:
        self._control = control
        self._buffer = bytearray(init_pipe.INLINE_REQUEST + 4096)
        self._own_pid_namespace = open_namespace(b"/proc/self/ns/pid")
        self.init_program = init_program.make()
        self.janitor = Janitor()
        self._trees: list[int] = []
        self._is_over = False
        self._is_intermediate = False
        # We hold a pidfd of everything that runs: the limit is for the programs.
        self._program_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        hard = self._program_limit[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def serve(self, program: int) -> None:
        """Handle requests until the socket or the program (a pidfd) has ended."""
        poll = select.poll()
        poll.register(CONTROL, select.POLLIN)
        if program >= 0:
            poll.register(program, select.POLLIN)
        while program >= 0:
            for descriptor, events in poll.poll():
                if descriptor == program:
                    poll.unregister(program)
                    program = -1
                elif not (events & select.POLLIN and self._receive()):
                    return
        # What the program said last may be of directories that it made then.
        self._is_over = True
        while poll.poll(0) and self._receive():
            pass

    def _receive(self) -> bool:
        size, ancillary, flags, _ = self._control.recvmsg_into(
            [self._buffer],
            _socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4),
            _socket.MSG_CMSG_CLOEXEC,
        )
        if size == 0:
            return False
        descriptors: list[int] = []
        for _level, _kind, data in ancillary:
            descriptors += memoryview(data)[: len(data) // 4 * 4].cast("i").tolist()
        try:
            if flags & _socket.MSG_CTRUNC:
                # Descriptors of ours were used up; the first one is the init pipe.
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            request = marshal.loads(memoryview(self._buffer)[:size])
            if request[0] == "memfd":
                request = marshal.loads(_read_all(descriptors.pop()))
            self._handle(request, descriptors)
        except Exception as error:
            self._refuse(descriptors, error)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _refuse(self, descriptors: list[int], error: Exception) -> None:
        """Say what became of a request; nobody else's is to suffer for it."""
        try:
            if descriptors:  # else the program hears the end of the pipe
                wire.report(descriptors[0], -1, error)
        except OSError:
            pass  # no init pipe: it was no start

    def _handle(self, request: tuple[Any, ...], descriptors: list[int]) -> None:
        match request:
            case ("start", *fields) if not self._is_over:
                self._start(fields, descriptors)
            case ("watch", key, directories, stale):
                self.janitor.forget(stale)
                self.janitor.watch(key, directories)
                if descriptors:
                    self.janitor.adopt(key, descriptors.pop())
            case ("netlink", protocol):
                pipe, pidfd = descriptors
                netlink.send_socket(pipe, pidfd, protocol)
            case ("relay", key) if not self._is_over:
                # A message that it has taken is not to reach the kernel after the
                # janitor has undone what was there.
                relay.start(descriptors, lambda pidfd: self.janitor.adopt(key, pidfd))
            case ("inherit", key, will):
                self.janitor.inherit(key, will, descriptors)
            case ("forget", stale):
                self.janitor.forget(stale)

    def _start(self, fields: list[Any], descriptors: list[int]) -> None:
        pipe = descriptors[0]
        key, paths, go_through, listens, host_steps, *rest = fields
        try:
            for path in paths:
                descriptors.append(open_namespace(path))  # noqa: PERF401
            if go_through or listens or host_steps:
                before = (go_through, listens, host_steps)
                self._launch_inside(key, before, rest, descriptors)
            else:
                self._launch(key, rest, descriptors)
        except OSError as error:
            wire.report(pipe, -1, error)

    def _launch_inside(
        self,
        key: int,
        before: tuple[Any, ...],
        fields: list[Any],
        descriptors: list[int],
    ) -> None:
        """Start from inside joined namespaces, so that the child is born in them; or
        by a process that stays to send the child's listener, or that does steps which
        take the host's rights.

        There is no way back out of a user namespace, so an intermediate goes in. It is
        a CLONE_PARENT child too: its own CLONE_PARENT child then is the program's.
        """
        pid, pidfd = clone(c.CLONE_PARENT)
        if pid == 0:
            self._intermediate(key, before, fields, descriptors)
        self.janitor.adopt(key, pidfd)
        kind = init_pipe.SENDER if before[1] else init_pipe.INTERMEDIATE
        hello = init_pipe.encode_hello(kind, pid)
        wire.send_descriptor(descriptors[0], hello, pidfd)

    def _intermediate(
        self,
        key: int,
        before: tuple[Any, ...],
        fields: list[Any],
        descriptors: list[int],
    ) -> NoReturn:
        go_through, listens, host_steps = before
        try:
            self._trees = child.run_host_steps(
                child.Context(descriptors, (), self.init_program),
                host_steps,
                fields[-1],
            )
            fields[_PROC_FILES] = proc_files.write_inherited(fields[_PROC_FILES])
            self._is_intermediate = True
            tune(0, fields[_TUNINGS])  # inherited
            fields[_TUNINGS] = ()
            for index, kind in go_through:
                setns(descriptors[index], kind)
            identity.set_dumpable(False)  # new credentials may have reset it
            handover = Handover() if listens else None
            self._launch(key, fields, descriptors, handover)
        except OSError as error:
            wire.report(descriptors[0], -1, error)
        finally:
            os._exit(0)

    def _launch(
        self,
        key: int,
        fields: list[Any],
        descriptors: list[int],
        handover: Handover | None = None,
    ) -> None:
        flags, pid_namespace, cgroup, files, commands, weak, *rest = fields
        tunings, time_offsets, join_files, steps, fault = rest
        cgroup_index, cgroup_fallback = cgroup
        opened: list[int] = []
        barrier: tuple[int, int] | None = None
        try:
            for path in join_files:
                file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
                opened.append(file)
            join = tuple(opened)
            if files or commands or tunings:
                barrier = os.pipe2(os.O_CLOEXEC)
                opened += barrier
            if cgroup_index is not None and namespaces.clone3_refused:
                opened.append(os.open(cgroup_fallback, os.O_WRONLY | os.O_CLOEXEC))
                join, cgroup_index = (*join, opened[-1]), None

            # Made here: a new child would copy each page that this takes.
            context = child.Context(
                descriptors,
                join,
                self.init_program,
                tuple(self._trees),
                -1 if barrier is None else barrier[0],
            )
            context.handover = handover

            def be_child() -> NoReturn:
                self._be_child(context, steps, fault)

            pid, pidfd = self._clone(
                flags | (0 if handover is None else c.CLONE_FILES),
                -1 if cgroup_index is None else descriptors[cgroup_index],
                -1 if pid_namespace is None else descriptors[pid_namespace],
                time_offsets,
                weak and barrier is not None,
                be_child,
            )
            self.janitor.adopt(key, pidfd)
            hello = init_pipe.encode_hello(init_pipe.HELLO, pid)
            wire.send_descriptor(descriptors[0], hello, pidfd)
            if barrier is not None:
                proc_files.write(str(pid), files)
                tune(pid, tunings)
                if commands:
                    self._map_ids(key, pid, commands, descriptors[0], barrier[1])
                else:
                    os.write(barrier[1], b"g")
            if handover is not None:  # from here on all descriptors are the child's
                listeners.send(handover, pidfd, steps)
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _clone(
        self,
        flags: int,
        cgroup: int,
        pid_namespace: int,
        time_offsets: bytes | None,
        dumpable: bool,
        be_child: Callable[[], NoReturn],
    ) -> tuple[int, int]:
        """Clone from where only our children are to go: a privileged spawner can go
        there and back, and no intermediate process is needed."""
        own_time = -1
        if pid_namespace >= 0:
            setns(pid_namespace, c.CLONE_NEWPID)
        try:
            if time_offsets is not None:
                own_time = time_namespace.open_own()
                time_namespace.make(time_offsets)
            if dumpable:
                # Its files in /proc are then its user's and not root's. Nobody of a
                # container can see it yet, and it takes this back in a moment.
                identity.set_dumpable(True)
            pid, pidfd = clone(flags | c.CLONE_PARENT, cgroup)
            if pid == 0:
                be_child()
            return pid, pidfd
        finally:
            if dumpable:
                identity.set_dumpable(False)
            if pid_namespace >= 0:
                setns(self._own_pid_namespace, c.CLONE_NEWPID)
            if own_time >= 0:
                if not self._is_intermediate:  # there is no way back for that
                    setns(own_time, c.CLONE_NEWTIME)
                os.close(own_time)

    def _map_ids(
        self,
        key: int,
        child_pid: int,
        commands: tuple[tuple[bytes, ...], ...],
        pipe: int,
        barrier: int,
    ) -> None:
        """Have a process wait for programs of the host, which we have no time for."""
        pid, pidfd = clone(c.CLONE_PARENT)
        if pid == 0:
            try:
                close_others((0, 1, 2, pipe, barrier))
                wire.introduce(pipe, init_pipe.INTERMEDIATE)
                id_maps.write(child_pid, commands)
                os.write(barrier, b"g")
            except OSError as error:
                wire.report(pipe, -1, error)
            finally:
                os._exit(0)
        self.janitor.adopt(key, pidfd)

    def _be_child(
        self,
        context: child.Context,
        steps: tuple[tuple[Any, ...], ...],
        fault: tuple[str, int, int] | None,
    ) -> NoReturn:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._program_limit)
            child.main(context, steps, fault)
        finally:
            os._exit(1)  # whatever happens, it isn't another spawner


def _read_all(descriptor: int) -> bytes:
    try:
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit("started by aiocontainer.proc.spawner only")
