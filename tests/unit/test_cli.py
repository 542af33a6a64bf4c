"""What the command line makes of its options, and how it shows figures."""

import datetime
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aiocontainer import Config, Mount, Namespaces, Network, Rootfs
from aiocontainer.errors import ConfigError

click = pytest.importorskip("click")

from aiocontainer.cli import showing  # noqa: E402
from aiocontainer.cli.ending import signal_number  # noqa: E402
from aiocontainer.cli.options import config_of, config_options  # noqa: E402


def parsed(*args, tty=False):
    """The config that `run` makes of these arguments."""

    @click.command()
    @config_options
    def command(**values):
        return config_of(values, tty=tty)

    return command.main(args, standalone_mode=False)


@pytest.mark.parametrize(
    ("args", "config"),
    [
        pytest.param((), Config(rootfs=Rootfs.host()), id="nothing"),
        pytest.param(("--rootfs", "/srv/x"), Config(rootfs="/srv/x"), id="rootfs"),
        pytest.param(
            ("--rootfs", "/srv/x", "--read-only"),
            Config(rootfs=Rootfs.directory("/srv/x", readonly=True)),
            id="read-only",
        ),
        pytest.param(
            ("--overlay", "/a", "--overlay", "/b"),
            Config(rootfs=Rootfs.overlay("/a", "/b")),
            id="overlay",
        ),
        pytest.param(
            ("-m", "64MiB", "--cpus", "1.5", "--pids", "9"),
            Config(rootfs=Rootfs.host(), memory="64MiB", cpus=1.5, pids=9),
            id="limits",
        ),
        pytest.param(
            ("-u", "app:staff", "-g", "4", "-g", "audio", "-w", "/tmp"),
            Config(
                rootfs=Rootfs.host(), user="app:staff", groups=[4, "audio"], cwd="/tmp"
            ),
            id="process",
        ),
        pytest.param(
            ("-v", "/data:/mnt:ro", "--tmpfs", "/tmp:1MiB"),
            Config(
                rootfs=Rootfs.host(),
                mounts=[
                    Mount.bind("/data", "/mnt", readonly=True),
                    Mount.tmpfs("/tmp", size="1MiB"),
                ],
            ),
            id="mounts",
        ),
        pytest.param(
            ("--rlimit", "nofile=9:99", "--rlimit", "core=unlimited"),
            Config(
                rootfs=Rootfs.host(), rlimits={"nofile": (9, 99), "core": (None, None)}
            ),
            id="rlimits",
        ),
        pytest.param(
            ("--network", "host"),
            Config(
                rootfs=Rootfs.host(), namespaces=Namespaces(network="host"), network=()
            ),
            id="host",
        ),
        pytest.param(
            ("-p", "8080:80"),
            Config(rootfs=Rootfs.host(), network=Network.bridge(publish=["8080:80"])),
            id="publish",
        ),
        pytest.param(
            ("--no-seccomp",), Config(rootfs=Rootfs.host(), seccomp=None), id="seccomp"
        ),
    ],
)
def test_options_say_what_a_container_is(args, config):
    assert parsed(*args) == config


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--rootfs", "/a", "--overlay", "/b"), "--overlay"),
        (("--network", "moon"), "--network"),
        (("--network", "host:x"), "--network"),
        (("--network", "none", "-p", "1:2"), "--publish"),
        (("-v", ":/x"), "--mount"),
        (("-v", "/a:/b:rx"), "--mount"),
        (("--sysctl", "x"), "--sysctl"),
        (("--rlimit", "nofile"), "--rlimit"),
        (("--rlimit", "nofile=many"), "nofile"),
        (("--cap", "EVERYTHING"), "EVERYTHING"),
        (("-m", "much"), "memory"),
    ],
)
def test_a_wrong_option_is_a_config_error_that_names_it(args, says):
    with pytest.raises(ConfigError, match=says):
        parsed(*args)


def test_of_our_environment_only_what_is_named_is_passed_on(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("NAMED", "y")
    monkeypatch.setenv("TERM", "vt100")
    env = dict(parsed("-e", "NAMED", "-e", "A=b=c", "-e", "MISSING").env)
    assert env.pop("PATH")
    assert env == {"NAMED": "y", "A": "b=c"}
    assert dict(parsed(tty=True).env)["TERM"] == "vt100"


def test_capabilities_are_added_to_the_default_or_to_none():
    assert "CAP_NET_RAW" in parsed("--cap", "net_raw").capabilities.effective
    assert "CAP_CHOWN" in parsed("--cap", "net_raw").capabilities.effective
    only = parsed("--no-caps", "--cap", "CHOWN").capabilities.effective
    assert only == {"CAP_CHOWN"}


def test_a_config_file_is_changed_by_the_options(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"rootfs": "/srv/x", "hostname": "one", "umask": 7}))
    config = parsed("--config", str(path), "--hostname", "two")
    assert (config.rootfs, config.hostname, config.umask) == (
        Rootfs.directory("/srv/x"),
        "two",
        7,
    )
    for text in ("{", "[]"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="--config"):
            parsed("--config", str(path))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0B"),
        (999, "999B"),
        (1024, "1KiB"),
        (64 << 20, "64MiB"),
        (1500 << 20, "1.46GiB"),
    ],
)
def test_sizes_have_three_digits(count, text):
    assert showing.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7300, "2h"), (200_000, "2d")],
)
def test_ages_are_in_the_largest_unit(seconds, text):
    now = datetime.datetime.now(datetime.UTC)
    assert showing.age(now - datetime.timedelta(seconds=seconds)) == text


def test_a_table_does_nothing_to_a_terminal(capsys):
    showing.table(("ID", "COMMAND"), [("web", "x\x1b[2J\n")])
    assert capsys.readouterr().out == "ID   COMMAND\nweb  x\\x1b[2J\\n\n"


@pytest.mark.parametrize("word", ["TERM", "term", "SIGTERM", "15"])
def test_signals_have_names_and_numbers(word):
    assert signal_number(word) == 15


@pytest.mark.parametrize("word", ["", "NOSUCH", "0", "999", "-1"])
def test_what_is_no_signal_is_refused(word):
    with pytest.raises(click.BadParameter):
        signal_number(word)


def test_code_of_the_current_directory_is_not_run(tmp_path):
    for name in ("click", "json", "anyio", "rich"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('trojan')")
    done = subprocess.run(
        [sys.executable, "-m", "aiocontainer", "--root", str(tmp_path / "s"), "ps"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
