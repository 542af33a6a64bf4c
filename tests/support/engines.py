"""Container engines, started by the tests with everything of their own.

They run in a mount, a pid and a network namespace made for them, so that whatever they
leave ends with these, and so do their mounts and bridges. Their runtime is ours.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import unprivileged
from .cgroups import wipe

RUNTIME = Path(sys.executable).with_name("aiocontainer-oci")
IMAGE = "localhost/test:1"
PATIENCE_S = 60.0

_INIT = """
import os, time
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.05)
"""


class Host:
    """Namespaces for an engine, with a first process that reaps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cgroup = f"/aiocontainer-test-engine-{os.getpid()}"
        self.own_cgroups = {"conmon"}
        """Names of cgroups that aren't containers'."""
        unshare = ("unshare", "-m", "-p", "-n", "-f", "--mount-proc", "--kill-child")
        self._outer = subprocess.Popen([*unshare, sys.executable, "-c", _INIT])
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        deadline = time.monotonic() + PATIENCE_S
        while not (inside := children.read_text().split()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.init = int(inside[0])

    def command(self, *words: str) -> list[str]:
        return ["nsenter", "-t", str(self.init), "-m", "-p", "-n", "--", *words]

    def call(
        self, *words: str, env: dict[str, str] | None = None, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside, whatever comes of it."""
        return subprocess.run(
            self.command(*words),
            env={**os.environ, **(env or {})},
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def end(self) -> None:
        self._outer.kill()
        self._outer.wait()
        # Killed with it, and ours to reap now: the tests are a subreaper.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.init, 0)


class Engine:
    """A command line that is called with the same words before each of its own."""

    def __init__(self, host: Host, words: list[str], env: dict[str, str]) -> None:
        self.host = host
        self.words = words
        self.env = env

    def call(
        self, *words: str, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.host.call(*self.words, *words, env=self.env, text=text)

    def __call__(self, *words: str, text: str | None = None) -> str:
        done = self.call(*words, text=text)
        assert done.returncode == 0, f"{words}: {done.returncode}: {done.stderr}"
        return done.stdout.strip()


@contextlib.contextmanager
def engine_host() -> Iterator[Host]:
    assert RUNTIME.exists(), f"{RUNTIME} is missing: install the project"
    # Where users that root is mapped to may enter, too.
    folder = Path(tempfile.mkdtemp(prefix="aiocontainer-engine-", dir="/tmp"))
    folder.chmod(0o755)
    host = Host(folder)
    try:
        assert host.call("ip", "link", "set", "lo", "up").returncode == 0
        yield host
    finally:
        host.end()
        shutil.rmtree(folder)
        own = _own_cgroups(host.cgroup)
        inside = [path for folder in own for path in folder.iterdir() if path.is_dir()]
        left = [path for path in inside if path.name not in host.own_cgroups]
        wipe(tuple(map(str, own)))
        assert not left, f"cgroups that the engine's containers left: {left}"


def _own_cgroups(parent: str) -> list[Path]:
    """The engine's directory in each hierarchy."""
    own = (path / parent.strip("/") for path in Path("/sys/fs/cgroup").iterdir())
    return [path for path in own if path.is_dir()]


@contextlib.contextmanager
def podman(host: Host, rootfs: Path) -> Iterator[Engine]:
    """Podman, with storage of its own and one image."""
    hidden = host.call("mount", "-t", "tmpfs", "tmpfs", "/var/lib")  # where CNI writes
    assert hidden.returncode == 0, hidden.stderr
    env = {"CONTAINERS_CONF": str(_containers_conf(host.folder))}
    with _with_image(Engine(host, _podman(host.folder), env), rootfs) as engine:
        yield engine


@contextlib.contextmanager
def rootless_podman(host: Host, rootfs: Path) -> Iterator[Engine]:
    """Podman of a user without privileges, who has ids in ``/etc/subuid``; without
    cgroups, since none are delegated to him."""
    home = host.folder
    (home / "subids").write_text(unprivileged.SUB_IDS)
    binds = [f"mount --bind {home}/subids /etc/{name}" for name in ("subuid", "subgid")]
    script = "\n".join(["set -e", *unprivileged.openings(), *binds])
    prepared = host.call("sh", "-c", script)
    assert prepared.returncode == 0, prepared.stderr
    own = str(unprivileged.NOBODY)
    variables = {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "CONTAINERS_CONF": str(_containers_conf(home, 'cgroups = "disabled"')),
    }
    words = ["setpriv", f"--reuid={own}", f"--regid={own}", "--clear-groups"]
    words += ["env", "-i", "-C", str(home)]
    words += [f"{name}={value}" for name, value in variables.items()]
    os.chown(home, int(own), int(own))
    with _with_image(Engine(host, words + _podman(home), {}), rootfs) as engine:
        yield engine


def _podman(home: Path) -> list[str]:
    words = ["podman", "--root", f"{home}/root", "--runroot", f"{home}/runroot"]
    return [*words, "--tmpdir", f"{home}/tmp", "--storage-driver", "vfs"]


def _containers_conf(home: Path, more: str = "") -> Path:
    kinds = json.dumps(["crun", "runc", "aiocontainer-oci"])
    path = home / "containers.conf"
    path.write_text(
        f"""[containers]
default_ulimits = ["nofile=1024:2048", "nproc=4096:4096"]
netns = "none"
log_driver = "k8s-file"
{more}
[network]
network_config_dir = "{home}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "aiocontainer-oci"
runtime_supports_json = {kinds}
runtime_supports_nocgroup = {kinds}
runtime_supports_nocgroups = {kinds}
[engine.runtimes]
aiocontainer-oci = ["{RUNTIME}"]
"""
    )
    return path


@contextlib.contextmanager
def _with_image(engine: Engine, rootfs: Path) -> Iterator[Engine]:
    engine("import", str(_image(engine.host.folder, rootfs)), IMAGE)
    try:
        yield engine
    finally:
        engine("rm", "--all", "--force", "--time", "0")


@contextlib.contextmanager
def docker(host: Host, rootfs: Path) -> Iterator[Engine]:
    """A docker engine on a socket of its own, with its bridge in the namespace that it
    was given, and without rules of a firewall."""
    home = host.folder
    log = home / "dockerd.log"
    options = {
        "iptables": "false",
        "ip6tables": "false",
        "bip": "10.99.0.1/24",
        "ip-forward": "false",
        "ip-masq": "false",
        "exec-opt": "native.cgroupdriver=cgroupfs",
        "cgroup-parent": host.cgroup,
        "storage-driver": "vfs",
        "add-runtime": f"ours={RUNTIME}",
        "default-runtime": "ours",
        "data-root": f"{home}/data",
        "exec-root": f"{home}/exec",
        "host": f"unix://{home}/docker.sock",
        "pidfile": f"{home}/docker.pid",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    engine = Engine(host, ["docker"], {"DOCKER_HOST": f"unix://{home}/docker.sock"})
    with _daemon(host.command("dockerd", *words), log):
        _await(lambda: engine.call("version").returncode == 0, log)
        engine("import", str(_image(home, rootfs)), IMAGE)
        yield engine
        if ids := engine("ps", "--all", "--quiet").split():
            engine("rm", "--force", *ids)


@contextlib.contextmanager
def containerd(host: Host, rootfs: Path) -> Iterator[Engine]:
    """containerd on a socket of its own, and ``ctr`` to drive it with a root file
    system for an image."""
    home = host.folder
    (home / "config.toml").write_text(
        f"""version = 2
root = "{home}/data"
state = "{home}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{home}/containerd.sock"
[ttrpc]
address = "{home}/containerd.ttrpc"
"""
    )
    log = home / "containerd.log"
    engine = Engine(host, ["ctr", "--address", f"{home}/containerd.sock"], {})
    command = host.command("containerd", "--config", f"{home}/config.toml")
    with _daemon(command, log):
        _await(lambda: engine.call("version").returncode == 0, log)
        yield engine


@contextlib.contextmanager
def _daemon(command: list[str], log: Path) -> Iterator[None]:
    with open(log, "wb") as output:
        daemon = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        # nsenter waits for the daemon, and wouldn't pass a signal on.
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text()
        for pid in map(int, children.split()):
            os.kill(pid, signal.SIGTERM)
        try:
            daemon.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _await(ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)


def _image(home: Path, rootfs: Path) -> Path:
    return Path(shutil.make_archive(str(home / "image"), "tar", rootfs))
