"""Runs the peers' command lines, from a mount namespace of its own.

crun 1.8 refuses hybrid cgroups, so the cgroup2 mount of the hybrid is taken away here,
and only here: this process is started by unshare(1) with private propagation, and
checks that before it unmounts anything. It lives as long as the comparison, so that
neither the namespace nor an interpreter is in anybody's figure.

Each line on stdin: ``{"turn": [argv, ...]}`` runs one after the other and answers their
wall times in ns; ``{"flood": [argv, ...]}`` runs all at once and answers one time.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time


class Failed(Exception):
    """A command ended with anything but 0."""


def hide_the_second_half_of_a_hybrid(mounts_of_parent: str) -> None:
    """Unmount the cgroup2 directory below v1 hierarchies, in this namespace alone."""
    if os.readlink("/proc/self/ns/mnt") == mounts_of_parent:
        sys.exit("runner: not in a mount namespace of its own, nothing was unmounted")
    with open("/proc/self/mountinfo") as lines:
        mounts = [line.split() for line in lines]
    if any(
        field.startswith(("shared:", "master:")) for m in mounts for field in m[6:7]
    ):
        sys.exit("runner: its mounts would propagate, nothing was unmounted")
    hybrid = [m[4] for m in mounts if m[m.index("-") + 1] == "cgroup2"]
    if any(m[m.index("-") + 1] == "cgroup" for m in mounts):
        for path in hybrid:
            subprocess.run(["umount", path], check=True)


class Runner:
    """Spawns like a program that wants nothing but the child's end."""

    def __init__(self) -> None:
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as we)
        self._actions = [
            (os.POSIX_SPAWN_DUP2, self._null, 0),
            (os.POSIX_SPAWN_DUP2, self._null, 1),
            (os.POSIX_SPAWN_DUP2, self._words.fileno(), 2),
        ]

    def spawn(self, argv: list[str]) -> int:
        """Start a command with its stderr noted."""
        return os.posix_spawn(argv[0], argv, os.environ, file_actions=self._actions)

    def wait(self, pid: int, argv: list[str]) -> None:
        """Wait for a command that has to succeed."""
        _, status = os.waitpid(pid, 0)
        if status:
            self._words.seek(0)
            words = self._words.read()[-300:].decode(errors="replace")
            code = os.waitstatus_to_exitcode(status)
            raise Failed(f"{' '.join(argv)} ended with {code}: {words}")

    def turn(self, commands: list[list[str]]) -> list[int]:
        """One after the other: the wall time of each, spawn to exit."""
        times = []
        for argv in commands:
            began = time.monotonic_ns()
            self.wait(self.spawn(argv), argv)
            times.append(time.monotonic_ns() - began)
        return times

    def flood(self, commands: list[list[str]]) -> list[int]:
        """All at once: the time until the last has ended."""
        began = time.monotonic_ns()
        pids = [self.spawn(argv) for argv in commands]
        for pid, argv in zip(pids, commands, strict=True):
            self.wait(pid, argv)
        return [time.monotonic_ns() - began]


def main() -> None:
    """Answer until the end of the input."""
    hide_the_second_half_of_a_hybrid(sys.argv[1])
    runner = Runner()
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            (name, commands) = next(iter(json.loads(line).items()))
            try:
                answer: object = getattr(runner, name)(commands)
            except (Failed, OSError) as error:
                answer = {"error": str(error)}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
