"""The OCI runtime as an engine calls it, with bundles and a state root of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

RUNTIME = (sys.executable, "-m", "aiocontainer.oci")
PATIENCE_S = 20.0


class Oci:
    """Calls of the runtime. What was created is removed, and reaped, by `clean_up`."""

    def __init__(
        self, folder: Path, rootfs: Path, runtime: Sequence[str] = RUNTIME
    ) -> None:
        self.folder = folder
        self._runtime = runtime
        self.root = folder / "state"
        self._rootfs = rootfs
        self._pids: set[int] = set()

    def command(self, *words: str) -> list[str]:
        """What a call of it is, for who wants to run that himself."""
        return [*self._runtime, "--root", str(self.root), *words]

    def call(
        self, *words: str, options: Sequence[str] = (), **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        """Call it, whatever comes of it."""
        command = self.command(*options, *words)
        settings.setdefault("stdin", subprocess.DEVNULL)
        # Files: what the container inherits stays open after the call.
        with (
            open(self.folder / "out", "w+b") as out,
            open(self.folder / "err", "w+b") as err,
        ):
            settings.setdefault("stdout", out)
            done = subprocess.run(
                command, stderr=err, timeout=PATIENCE_S, check=False, **settings
            )
            out.seek(0)
            err.seek(0)
            texts = out.read().decode(), err.read().decode()
        return subprocess.CompletedProcess(command, done.returncode, *texts)

    def __call__(self, *words: str, **settings: Any) -> str:
        """Call it, and fail where it fails; what it printed."""
        done = self.call(*words, **settings)
        assert done.returncode == 0, f"{words}: {done.returncode}: {done.stderr}"
        return done.stdout

    def state(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("state", id))
        if found["pid"]:
            self._pids.add(found["pid"])
        return found

    def bundle(
        self, *args: str, change: Callable[[dict[str, Any]], None] | None = None
    ) -> str:
        """A bundle whose program is ``args``; the path of its directory."""
        folder = self.folder / f"bundle-{len(os.listdir(self.folder))}"
        folder.mkdir()
        self("spec", "--bundle", str(folder))
        path = folder / "config.json"
        document = json.loads(path.read_text())
        document["root"] = {"path": str(self._rootfs), "readonly": True}
        document["process"]["args"] = list(args)
        document["process"]["terminal"] = False
        name = f"/aiocontainer-test-oci-{os.getpid()}-{folder.name}"
        document["linux"]["cgroupsPath"] = name
        if change is not None:
            change(document)
        path.write_text(json.dumps(document))
        return str(folder)

    def create(self, id: str, *args: str, **options: Any) -> dict[str, Any]:
        self("create", "--bundle", self.bundle(*args, **options), id)
        return self.state(id)

    def reap(self, pid: int) -> int:
        """Wait for a process that the runtime left to us, as a shim would; its status,
        negative for a signal."""
        self._pids.discard(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def await_status(self, id: str, status: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.state(id)["status"] != status:
            assert time.monotonic() < deadline, self.state(id)
            time.sleep(0.05)  # another process's state, of which nothing tells us

    def clean_up(self) -> None:
        for line in self("list", "--quiet").split():
            self("delete", "--force", line)
        for pid in self._pids:
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


@contextlib.contextmanager
def console_socket(path: Path) -> Iterator[Callable[[], int]]:
    """A socket that takes a terminal's master; a call gives the descriptor."""
    import socket

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(PATIENCE_S)

        def take() -> int:
            connection, _ = listening.accept()
            with connection:
                _, (master,), _, _ = socket.recv_fds(connection, 100, 1)
                return int(master)

        yield take
