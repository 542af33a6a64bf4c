"""The OCI runtime's command line: what it takes, and how it says what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aiocontainer.errors import (
    ConfigError,
    ContainerExists,
    ContainerNotFound,
    ExecError,
    SetupError,
    StatusError,
)
from aiocontainer.oci import (
    arguments,
    changing,
    documents,
    ending,
    report,
    telling,
    watching,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "--log-format=json --log F create --bundle D --pid-file P ID",
            {"log_format": "json", "log": "F", "bundle": "D", "pid_file": "P"},
            id="conmon-create",
        ),
        pytest.param(
            "--root R --log F --log-format json create --bundle D --pid-file P "
            "--console-socket S ID",
            {"root": "R", "console_socket": "S"},
            id="shim-create",
        ),
        pytest.param(
            "exec --pid-file P --process F --detach --tty --console-socket S ID",
            {"process": "F", "detach": True, "tty": True, "args": []},
            id="conmon-exec",
        ),
        pytest.param(
            "exec -e A=b -u 1:2 ID ls -l --all",
            {"env": ["A=b"], "user": "1:2", "args": ["ls", "-l", "--all"]},
            id="exec-with-options-of-the-program",
        ),
        pytest.param("kill --all ID 9", {"all": True, "signal": "9"}, id="kill-all"),
        pytest.param("kill ID", {"signal": "SIGTERM"}, id="kill-by-default"),
        pytest.param("delete --force ID", {"force": True}, id="delete"),
        pytest.param("ps --format json ID", {"format": "json"}, id="ps"),
        pytest.param("update --resources - ID", {"resources": "-"}, id="update"),
        pytest.param(
            "update --memory 1000 --cpuset-cpus 0-1 ID",
            {"memory.limit": "1000", "cpu.cpus": "0-1"},
            id="update-by-flags",
        ),
        pytest.param(
            "--systemd-cgroup=true exec --tty=1 --detach=false ID --tty=x",
            {"systemd_cgroup": True, "tty": True, "detach": False, "args": ["--tty=x"]},
            id="switches-with-values",
        ),
        pytest.param(
            "update --cpu-quota -1 ID", {"cpu.quota": -1}, id="update-to-no-limit"
        ),
        pytest.param(
            "exec --tty=false -d --tty -e=A --detach=0 ID",  # -e=A is argparse's
            {"tty": True, "detach": False},
            id="the-last-word-on-a-switch-counts",
        ),
        pytest.param("--systemd-cgroup start ID", {"systemd_cgroup": True}, id="start"),
        pytest.param(
            "run -d --keep --no-pivot --no-new-keyring --preserve-fds 2 ID",
            {"detach": True, "keep": True, "preserve_fds": 2},
            id="run",
        ),
    ],
)
def test_what_engines_say_is_understood(line: str, expected: dict[str, object]) -> None:
    options = vars(arguments.parse(line.split()))
    assert options["id"] == "ID"
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    "line",
    [
        *("frobnicate", "create", "start", "list --format yaml", "--bad", "start A B"),
        *("exec --tty=no ID", "exec --tty= ID", "--debug=no list"),
    ],
)
def test_what_can_not_be_understood_is_said(line: str) -> None:
    with pytest.raises(arguments.UsageError):
        arguments.parse(line.split())


@pytest.mark.parametrize("command", sorted(arguments.COMMANDS))
def test_each_command_has_help_and_a_function(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib import import_module

    from aiocontainer.oci.main import _FUNCTIONS

    with pytest.raises(SystemExit) as ended:
        arguments.parse([command, "--help"])
    assert ended.value.code == 0
    assert f"aiocontainer-oci {command}" in capsys.readouterr().out
    module, _, function = _FUNCTIONS[command].partition(".")
    assert callable(getattr(import_module(f"aiocontainer.oci.{module}"), function))


@pytest.mark.parametrize(
    ("text", "number"), [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGRTMIN", 34)]
)
def test_signals_have_names_and_numbers(text: str, number: int) -> None:
    assert ending.parse_signal(text) == number


@pytest.mark.parametrize(
    "text", ["", "NOPE", "65", "-1", "SIG_DFL", "9.0", "SIGSIGHUP"]
)
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown signal"):
        ending.parse_signal(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600)]
)
def test_intervals_are_durations(text: str, seconds: float) -> None:
    assert watching.parse_interval(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("0", 0), ("4096", 4096), ("-1", -1), ("1k", 1024), ("512M", 512 << 20)),
        *(("1.5GiB", 3 << 29), ("2 mb", 2 << 20), ("3Tb", 3 << 40), ("7b", 7)),
    ],
)
def test_sizes_have_units_of_1024(text: str, size: int) -> None:
    assert changing.parse_bytes("memory", text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "1x", "-2", "1e9", "1 2", "0x10", "٣", "1kk"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="should be like 512m"):
        changing.parse_bytes("memory", text)


@pytest.mark.parametrize("text", ["", "5", "0s", "s", "5 s", "-1s", "1d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="should be like 5s"):
        watching.parse_interval(text)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ContainerNotFound("x"), "container does not exist"),
        (ContainerExists("x"), "container with given ID already exists"),
        (StatusError("stopped", "signal"), "container not running"),
        (StatusError("paused", "pause"), "container not running"),
        (StatusError("running", "resume"), "container not paused"),
        (StatusError("running", "start"), "cannot start an already running container"),
        (
            StatusError("stopped", "start"),
            "cannot start a container that has stopped",
        ),
        (
            StatusError("paused", "start"),
            "cannot start a container in the paused state",
        ),
        (
            StatusError("paused", "exec"),
            "cannot exec in a paused container (use --ignore-paused to override)",
        ),
        (
            StatusError("stopped", "start a process"),
            "cannot exec in a stopped container",
        ),
        (
            StatusError("running", "delete container x"),
            "cannot delete container x that is not stopped: running",
        ),
        (
            StatusError("running", "be odd"),
            "container is running, can't be odd",
        ),
        (
            ExecError("nope", "executable file not found in $PATH: nope"),
            "unable to start container process: "
            'exec: "nope": executable file not found in $PATH',
        ),
        (
            ExecError("/x", "Permission denied from execve(2): /x"),
            "unable to start container process: "
            'exec: "/x": permission denied from execve(2)',
        ),
        (
            SetupError("mount", "No such file or directory: /x"),
            "unable to start container process: could not mount: "
            "no such file or directory: /x",
        ),
        (FileNotFoundError(2, "No such file or directory", "/b"), "/b: no such file"),
    ],
)
def test_errors_have_the_words_that_engines_look_for(
    error: Exception, text: str
) -> None:
    assert report.describe(error).startswith(text)


def test_a_line_that_is_not_understood_is_told_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["--log", str(log), "--log-format", "json", "state"]
    done = subprocess.run(
        [sys.executable, "-m", "aiocontainer.oci", *words],
        capture_output=True,
        check=False,
        text=True,
    )
    said = json.loads(log.read_text())
    assert (done.returncode, said["level"]) == (1, "error")
    assert said["msg"] in done.stderr
    assert "container-id" in said["msg"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_errors_are_in_the_log_and_on_stderr(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = report.Log(str(tmp_path / "log"), form, debug=False)
    log.debug("not wanted")
    log.error('it\'s "bad"')
    line = (tmp_path / "log").read_text()
    assert capsys.readouterr().err == 'it\'s "bad"\n'
    if form == "json":
        found = json.loads(line)
        assert (found["level"], found["msg"]) == ("error", 'it\'s "bad"')
        assert found["time"].endswith("Z")
    else:
        assert 'level=error msg="it\'s \\"bad\\""' in line


def test_tables_have_columns_as_wide_as_their_longest_cell() -> None:
    lines = [*telling._table([("ID", "PID"), ("a" * 20, "1")])]
    assert lines == [f"{'ID':23}PID\n", f"{'a' * 20}   1\n"]


def test_the_example_can_be_read_by_the_runtime_itself() -> None:
    from aiocontainer import Config

    for rootless in (False, True):
        config = Config.from_oci(documents.example(rootless=rootless), bundle="/b")
        assert config.rootfs.path == "/b/rootfs"  # type: ignore[union-attr]


def test_features_name_what_the_models_know() -> None:
    found = documents.known_features()
    assert "rro" in found["mountOptions"]
    assert "CAP_SYS_ADMIN" in found["linux"]["capabilities"]
    assert "SCMP_ACT_NOTIFY" in found["linux"]["seccomp"]["actions"]
    assert found["linux"]["namespaces"] == sorted(found["linux"]["namespaces"])
