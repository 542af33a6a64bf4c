"""The docker engine, and with it containerd's shim, with our runtime."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import needs
from tests.support.engines import IMAGE, Engine, docker, engine_host

pytestmark = [
    needs("root", "docker"),
    pytest.mark.leaves_behind("what an engine keeps ends with its namespaces"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def engine(rootfs: Path) -> Iterator[Engine]:
    with engine_host() as host, docker(host, rootfs) as made:
        yield made


@pytest.fixture
def sleeper(engine: Engine) -> Iterator[str]:
    id = engine("run", "--detach", "--memory", "64m", IMAGE, "sleep", "1000")
    yield id
    engine("rm", "--force", id)


@pytest.mark.parametrize(
    ("program", "status"),
    [
        pytest.param(["true"], 0, id="well"),
        pytest.param(["sh", "-c", "exit 3"], 3, id="its-own"),
        pytest.param(["nope"], 127, id="not-found"),
        pytest.param(["/etc/passwd"], 126, id="not-executable"),
    ],
)
def test_exit_statuses_are_what_engines_expect(
    engine: Engine, program: list[str], status: int
) -> None:
    assert engine.call("run", "--rm", IMAGE, *program).returncode == status


def test_a_program_runs_with_user_rights_and_mounts(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("from the host\n")
    tmp_path.chmod(0o755)
    words = ("--user", "1000:100", "--workdir", "/tmp", "--env", "A=b", "--read-only")
    rights = ("--cap-drop", "all", "--security-opt", "no-new-privileges")
    script = "id -u; id -g; pwd; echo $A; cat file; grep NoNewPrivs /proc/self/status"
    volume = ("--volume", f"{tmp_path}:/tmp:ro")
    told = engine("run", "--rm", *words, *rights, *volume, IMAGE, "sh", "-c", script)
    assert told.split("\n")[:5] == ["1000", "100", "/tmp", "b", "from the host"]
    assert told.endswith("NoNewPrivs:\t1")


def test_exec_joins(engine: Engine, sleeper: str) -> None:
    assert "sleep 1000" in engine("exec", sleeper, "ps")
    assert engine.call("exec", sleeper, "sh", "-c", "exit 5").returncode == 5
    assert engine("exec", "--tty", sleeper, "tty") == "/dev/pts/0"
    assert engine("exec", "-i", sleeper, "tr", "a-z", "A-Z", text="shout") == "SHOUT"


def test_limits_are_changed_and_told(engine: Engine, sleeper: str) -> None:
    form = ("stats", "--no-stream", "--format", "{{.MemUsage}}", sleeper)
    assert engine(*form).endswith("/ 64MiB")
    engine("update", "--memory", "96m", "--memory-swap", "128m", sleeper)
    assert engine(*form).endswith("/ 96MiB")


def test_out_of_memory_is_told(engine: Engine) -> None:
    words = ("--memory", "24m", "--memory-swap", "24m", IMAGE, "tail", "/dev/zero")
    id = engine("create", *words)
    assert engine.call("start", "--attach", id).returncode == 137
    form = "{{.State.OOMKilled}} {{.State.ExitCode}}"
    assert engine("inspect", "--format", form, id) == "true 137"
    engine("rm", id)


def test_stop_pause_and_top(engine: Engine, sleeper: str) -> None:
    engine("pause", sleeper)
    assert engine("inspect", "--format", "{{.State.Status}}", sleeper) == "paused"
    engine("unpause", sleeper)
    assert "sleep 1000" in engine("top", sleeper)
    engine("stop", "--time", "1", sleeper)
    assert engine("inspect", "--format", "{{.State.ExitCode}}", sleeper) == "137"
    engine("start", sleeper)
    assert engine("inspect", "--format", "{{.State.Running}}", sleeper) == "true"


def test_a_restart_policy_is_followed(engine: Engine) -> None:
    words = ("--detach", "--restart", "on-failure:2", IMAGE, "sh", "-c", "exit 1")
    id = engine("run", *words)
    deadline = time.monotonic() + 40
    form = "{{.RestartCount}} {{.State.Running}}"
    while engine("inspect", "--format", form, id) != "2 false":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    engine("rm", id)


def test_an_init_of_the_engine(engine: Engine) -> None:
    told = engine("run", "--rm", "--init", IMAGE, "cat", "/proc/1/comm")
    assert told == "docker-init"


def test_logs_and_a_hostname(engine: Engine) -> None:
    id = engine("run", "--detach", "--hostname", "box", IMAGE, "hostname")
    assert engine("wait", id) == "0"
    assert engine("logs", id) == "box"
    engine("rm", id)


def test_containers_reach_each_other_over_the_engines_bridge(engine: Engine) -> None:
    script = "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    server = engine("run", "--detach", IMAGE, "sh", "-c", script)
    try:
        form = "{{.NetworkSettings.IPAddress}}"
        address = engine("inspect", "--format", form, server)
        assert address.startswith("10.99.0.")
        ask = f"until wget -qO- http://{address}/; do sleep 0.1; done"
        assert engine("run", "--rm", IMAGE, "sh", "-c", ask) == "hello"
        joined = engine(
            *("run", "--rm", "--network", f"container:{server}", IMAGE),
            *("wget", "-qO-", "http://127.0.0.1/"),
        )
        assert joined == "hello"
    finally:
        engine("rm", "--force", server)


def test_a_published_port_is_reached_from_the_host(engine: Engine) -> None:
    script = "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    words = ("--publish", "127.0.0.1:8080:80", IMAGE, "sh", "-c", script)
    server = engine("run", "--detach", *words)
    try:
        ask = "until busybox wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done"
        assert engine.host.call("sh", "-c", ask).stdout == "hello\n"
    finally:
        engine("rm", "--force", server)


@pytest.mark.parametrize(
    ("network", "interfaces"),
    [("none", ["lo"]), ("bridge", ["eth0", "lo"]), ("host", ["docker0", "lo"])],
)
def test_a_container_has_the_interfaces_of_its_network(
    engine: Engine, network: str, interfaces: list[str]
) -> None:
    told = engine("run", "--rm", "--network", network, IMAGE, "ls", "/sys/class/net")
    assert sorted(told.split()) == interfaces
