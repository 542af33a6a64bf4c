"""containerd, by its own shim for runc, with our runtime."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import needs
from tests.support.engines import RUNTIME, Engine, containerd, engine_host

pytestmark = [
    needs("root", "containerd"),
    pytest.mark.leaves_behind("what an engine keeps ends with its namespaces"),
    pytest.mark.timeout(120),
]

OURS = ("--runtime", "io.containerd.runc.v2", "--runc-binary", str(RUNTIME))


@pytest.fixture(scope="module")
def engine(rootfs: Path) -> Iterator[Engine]:
    with engine_host() as host, containerd(host, rootfs) as made:
        yield made


def words(engine: Engine, rootfs: Path, id: str, *options: str) -> tuple[str, ...]:
    cgroup = f"{engine.host.cgroup}/{id}"
    return (
        *("run", *OURS, "--cgroup", cgroup, *options, "--rootfs"),
        *(str(rootfs), id),
    )


def test_a_program_runs(engine: Engine, rootfs: Path) -> None:
    told = engine(*words(engine, rootfs, "one", "--rm"), "echo", "hello")
    assert told == "hello"


def test_an_exit_status_is_told(engine: Engine, rootfs: Path) -> None:
    done = engine.call(*words(engine, rootfs, "two", "--rm"), "sh", "-c", "exit 3")
    assert done.returncode == 3


def test_a_task_is_joined_paused_measured_and_killed(
    engine: Engine, rootfs: Path
) -> None:
    engine(*words(engine, rootfs, "three", "--detach"), "sleep", "1000")
    try:
        told = engine("task", "exec", "--exec-id", "e1", "three", "echo", "joined")
        assert told == "joined"
        engine("task", "pause", "three")
        assert "PAUSED" in engine("task", "ls")
        engine("task", "resume", "three")
        assert "memory.usage_in_bytes" in engine("task", "metrics", "three")
        assert len(engine("task", "ps", "three").splitlines()) == 2
    finally:
        engine("task", "kill", "--signal", "9", "three")
        engine.call("task", "delete", "--force", "three")
        engine("container", "delete", "three")
