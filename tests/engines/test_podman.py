"""Podman with our runtime."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import needs
from tests.support.engines import IMAGE, Engine, engine_host, podman

pytestmark = [
    needs("root", "podman"),
    pytest.mark.leaves_behind("what an engine keeps ends with its namespaces"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def engine(rootfs: Path) -> Iterator[Engine]:
    with engine_host() as host, podman(host, rootfs) as made:
        yield made


def run(engine: Engine, *words: str) -> str:
    return engine("run", "--rm", "--cgroup-parent", engine.host.cgroup, *words)


@pytest.fixture
def sleeper(engine: Engine) -> Iterator[str]:
    words = ("--cgroup-parent", engine.host.cgroup, IMAGE, "sleep", "1000")
    id = engine("run", "--detach", *words)
    yield id
    engine("rm", "--force", "--time", "0", id)


def test_a_program_runs_and_its_output_arrives(engine: Engine) -> None:
    assert run(engine, IMAGE, "echo", "hello") == "hello"


@pytest.mark.parametrize(
    ("program", "status"),
    [
        pytest.param(["sh", "-c", "exit 3"], 3, id="its-own"),
        pytest.param(["nope"], 127, id="not-found"),
        pytest.param(["/etc/passwd"], 126, id="not-executable"),
    ],
)
def test_exit_statuses_are_what_engines_expect(
    engine: Engine, program: list[str], status: int
) -> None:
    words = ("run", "--rm", "--cgroup-parent", engine.host.cgroup, IMAGE)
    assert engine.call(*words, *program).returncode == status


def test_limits_hold(engine: Engine) -> None:
    words = ("--memory", "24m", "--memory-swap", "24m", "--pids-limit", "20")
    done = engine.call(
        *("run", "--rm", "--cgroup-parent", engine.host.cgroup, *words),
        *(IMAGE, "tail", "/dev/zero"),
    )
    assert done.returncode == 137


def test_a_terminal_is_one(engine: Engine) -> None:
    assert run(engine, "--tty", IMAGE, "tty") == "/dev/pts/0"


def test_user_directory_environment_and_rights(engine: Engine) -> None:
    words = ("--user", "1000:100", "--workdir", "/tmp", "--env", "A=b")
    script = "id -u; id -g; pwd; echo $A; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    rights = ("--cap-drop", "all", "--security-opt", "no-new-privileges")
    told = run(engine, *words, *rights, IMAGE, "sh", "-c", script).split()
    assert told == ["1000", "100", "/tmp", "b", "CapEff:", "0" * 16, "NoNewPrivs:", "1"]


def test_mounts_and_a_read_only_root(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    tmp_path.chmod(0o755)
    words = ("--read-only", "--tmpfs", "/mnt", "--volume", f"{tmp_path}:/tmp:ro")
    script = "cat /tmp/file; touch /mnt/a && echo made; touch /a /tmp/a 2>&1 | wc -l"
    told = run(engine, *words, IMAGE, "sh", "-c", script)
    assert told.splitlines() == ["from the host", "made", "2"]


def test_id_mappings(engine: Engine) -> None:
    told = run(engine, "--uidmap", "0:100000:65536", IMAGE, "cat", "/proc/self/uid_map")
    assert told.split() == ["0", "100000", "65536"]


def test_exec_joins(engine: Engine, sleeper: str) -> None:
    assert "sleep 1000" in engine("exec", sleeper, "ps")
    assert engine.call("exec", sleeper, "sh", "-c", "exit 5").returncode == 5
    assert engine("exec", "--tty", sleeper, "tty") == "/dev/pts/0"
    words = ("exec", "--user", "1000", "--workdir", "/tmp", "--env", "A=b", sleeper)
    assert engine(*words, "sh", "-c", "id -u; pwd; echo $A").split() == [
        "1000",
        "/tmp",
        "b",
    ]


def test_input_reaches_the_program(engine: Engine, sleeper: str) -> None:
    words = ("exec", "--interactive", sleeper, "tr", "a-z", "A-Z")
    assert engine(*words, text="shout") == "SHOUT"


def test_pause_stats_top_and_logs(engine: Engine) -> None:
    words = ("--cgroup-parent", engine.host.cgroup, IMAGE)
    id = engine("run", "--detach", *words, "sh", "-c", "echo said; sleep 1000")
    engine("pause", id)
    assert engine("inspect", "--format", "{{.State.Status}}", id) == "paused"
    engine("unpause", id)
    assert "sleep" in engine("top", id)
    stats = engine("stats", "--no-stream", "--format", "{{.PIDs}}", id)
    assert int(stats) >= 1
    assert engine("logs", id) == "said"
    engine("kill", id)
    assert engine("wait", id) == "137"
    engine("rm", id)


def test_stop_ends_what_ignores_it(engine: Engine, sleeper: str) -> None:
    engine("stop", "--time", "1", sleeper)
    assert engine("inspect", "--format", "{{.State.ExitCode}}", sleeper) == "137"


def test_health_checks(engine: Engine) -> None:
    words = ("--cgroup-parent", engine.host.cgroup, "--health-cmd", "test -e /tmp/ok")
    id = engine("run", "--detach", *words, IMAGE, "sleep", "1000")
    assert engine.call("healthcheck", "run", id).returncode == 1
    engine("exec", id, "touch", "/tmp/ok")
    assert engine.call("healthcheck", "run", id).returncode == 0
    engine("rm", "--force", "--time", "0", id)


def test_without_cgroups(engine: Engine) -> None:
    assert engine("run", "--rm", "--cgroups=disabled", IMAGE, "echo", "hi") == "hi"


def test_containers_of_a_pod_share_namespaces(engine: Engine) -> None:
    infra = ("--infra-image", IMAGE, "--infra-command", "sleep 1000")
    words = ("--share", "ipc,uts", "--cgroup-parent", engine.host.cgroup)
    pod = engine("pod", "create", *words, "--hostname", "podhost", *infra)
    engine.host.own_cgroups.add(pod)
    try:
        names = [
            engine("run", "--rm", "--pod", pod, IMAGE, "readlink", f"/proc/self/ns/{n}")
            for n in ("uts", "uts")
        ]
        assert names[0] == names[1]
        assert engine("run", "--rm", "--pod", pod, IMAGE, "hostname") == "podhost"
    finally:
        engine("pod", "rm", "--force", "--time", "0", pod)


def test_a_container_can_be_started_again(engine: Engine) -> None:
    words = ("--cgroup-parent", engine.host.cgroup, IMAGE, "sh", "-c", "echo once more")
    id = engine("create", *words)
    for _ in range(2):
        assert engine("start", "--attach", id) == "once more"
    engine("rm", id)


def test_containers_reach_each_other_over_the_engines_network(engine: Engine) -> None:
    words = ("--network", "podman", "--cgroup-parent", engine.host.cgroup, IMAGE)
    script = "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    server = engine("run", "--detach", *words, "sh", "-c", script)
    try:
        form = "{{.NetworkSettings.IPAddress}}"
        address = engine("inspect", "--format", form, server)
        ask = f"until wget -qO- http://{address}/; do sleep 0.1; done"
        assert engine("run", "--rm", *words, "sh", "-c", ask) == "hello"
    finally:
        engine("rm", "--force", "--time", "0", server)
