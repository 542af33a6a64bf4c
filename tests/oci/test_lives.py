"""Containers made, watched and ended by single calls of the OCI runtime."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.capabilities import needs
from tests.support.oci import Oci, console_socket

pytestmark = needs("root", "mount-namespace", "pid-namespace")


def test_create_and_start_are_two_steps(oci: Oci, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    bundle = oci.bundle("sh", "-c", "exit 7")
    oci("create", "--bundle", bundle, "--pid-file", str(pid_file), "c")
    state = oci.state("c")
    assert state["status"] == "created"
    assert state["pid"] == int(pid_file.read_text())
    assert (state["bundle"], state["id"]) == (bundle, "c")
    oci("start", "c")
    assert oci.reap(state["pid"]) == 7
    assert oci.state("c") | {"pid": 0, "status": "stopped"} == oci.state("c")
    oci("delete", "c")
    assert "container does not exist" in oci.call("state", "c").stderr


def test_run_gives_back_the_exit_status(oci: Oci) -> None:
    assert oci("run", "--bundle", oci.bundle("echo", "hi"), "a") == "hi\n"
    bundle = oci.bundle("sh", "-c", "kill -9 $$")
    assert oci.call("run", "--bundle", bundle, "b").returncode == 0  # pid 1 is immune
    bundle = oci.bundle("sh", "-c", "exit 3")
    assert oci.call("run", "--bundle", bundle, "c").returncode == 3
    assert oci("list", "--quiet") == ""


def test_run_sends_signals_on(oci: Oci) -> None:
    program = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    bundle = oci.bundle("sh", "-c", program)
    words = oci.command("run", "--bundle", bundle, "r")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == b"got it\n"
        assert running.wait(10) == 5


def test_a_program_that_is_not_there_is_an_error_of_create(oci: Oci) -> None:
    done = oci.call("create", "--bundle", oci.bundle("nope"), "c")
    assert done.returncode == 1
    assert "executable file not found in $PATH" in done.stderr
    assert oci("list", "--quiet") == ""


def test_exec_joins(oci: Oci, tmp_path: Path) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    assert "sleep 1000" in oci("exec", "c", "ps")
    assert oci.call("exec", "c", "sh", "-c", "exit 9").returncode == 9
    assert oci.call("exec", "c", "nope").returncode == 255
    told = oci(
        *("exec", "-u", "1000:100", "-g", "29", "--cwd", "/tmp", "-e", "A=b", "c"),
        *("sh", "-c", "id -u; id -G; pwd; echo $A"),
    )
    assert told.split("\n")[:4] == ["1000", "100 29", "/tmp", "b"]
    process = tmp_path / "process.json"
    process.write_text(
        json.dumps(
            {
                "args": ["sh", "-c", "grep -E 'CapEff|NoNewPrivs' /proc/self/status"],
                "cwd": "/",
                "env": ["PATH=/bin"],
                "user": {"uid": 0, "gid": 0},
                "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]}
                | {"effective": ["CAP_KILL"]},
                "noNewPrivileges": True,
            }
        )
    )
    told = oci("exec", "--process", str(process), "c")
    assert told.split() == ["CapEff:", f"{1 << 5:016x}", "NoNewPrivs:", "1"]


def test_a_detached_process_is_left_to_whoever_comes_after(
    oci: Oci, tmp_path: Path
) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    pid_file = tmp_path / "pid"
    oci("exec", "--detach", "--pid-file", str(pid_file), "c", "sh", "-c", "exit 4")
    assert oci.reap(int(pid_file.read_text())) == 4


def test_signals_reach_the_first_process_or_all(oci: Oci, tmp_path: Path) -> None:
    state = oci.create("c", "sleep", "1000")
    oci("start", "c")
    pid_file = tmp_path / "pid"
    oci("exec", "--detach", "--pid-file", str(pid_file), "c", "sleep", "1000")
    oci("kill", "c", "0")
    oci("kill", "--all", "c", "TERM")  # pid 1 has no handler, so only the other dies
    assert oci.reap(int(pid_file.read_text())) == -signal.SIGTERM
    assert oci.state("c")["status"] == "running"
    oci("kill", "c", "KILL")
    assert oci.reap(state["pid"]) == -signal.SIGKILL
    done = oci.call("kill", "c", "KILL")
    assert (done.returncode, "container not running" in done.stderr) == (1, True)


def test_what_is_alive_is_deleted_by_force_only(oci: Oci) -> None:
    state = oci.create("c", "sleep", "1000")
    oci("start", "c")
    assert oci.call("delete", "c").returncode == 1
    assert oci.state("c")["status"] == "running"
    oci("delete", "--force", "c")
    assert oci.reap(state["pid"]) == -signal.SIGKILL
    oci("delete", "--force", "c")
    assert "does not exist" in oci.call("delete", "c").stderr


def test_who_waits_behind_the_gate_may_be_deleted(oci: Oci) -> None:
    state = oci.create("c", "sleep", "1000")
    oci("delete", "c")
    assert oci.reap(state["pid"]) == -signal.SIGKILL
    assert "container does not exist" in oci.call("start", "c").stderr


def test_it_can_be_started_once(oci: Oci) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    assert "already running" in oci.call("start", "c").stderr


def test_an_id_is_given_once(oci: Oci) -> None:
    oci.create("c", "sleep", "1000")
    done = oci.call("create", "--bundle", oci.bundle("true"), "c")
    assert (done.returncode, "already exists" in done.stderr) == (1, True)


def test_paused_containers_take_no_processes(oci: Oci) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    oci("pause", "c")
    assert oci.state("c")["status"] == "paused"
    assert "paused" in oci.call("exec", "c", "true").stderr
    words = oci.command("exec", "--ignore-paused", "c", "echo", "hi")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.6)  # nothing tells of what doesn't happen
        oci("resume", "c")
        assert waiting.communicate(timeout=10)[0] == b"hi\n"
        assert waiting.returncode == 0
    assert oci.call("exec", "c", "true").returncode == 0
    oci("pause", "c")
    state = oci.state("c")
    oci("kill", "c", "KILL")
    assert oci.reap(state["pid"]) == -signal.SIGKILL


def test_lists_tell_of_all(oci: Oci) -> None:
    one, two = oci.create("one", "sleep", "1000"), oci.create("two", "sleep", "1000")
    oci("start", "two")
    found = json.loads(oci("list", "--format", "json"))
    assert [c["id"] for c in found] == ["one", "two"]
    assert [c["status"] for c in found] == ["created", "running"]
    assert [c["pid"] for c in found] == [one["pid"], two["pid"]]
    assert oci("list", "-q") == "one\ntwo\n"
    title, *rows = oci("list").splitlines()
    assert title.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert [row.split()[2] for row in rows] == ["created", "running"]


def test_processes_are_told_as_the_host_sees_them(oci: Oci) -> None:
    state = oci.create("c", "sleep", "1000")
    oci("start", "c")
    assert json.loads(oci("ps", "--format", "json", "c")) == [state["pid"]]
    title, row = oci("ps", "c").splitlines()
    assert (title.split()[1], row.split()[1]) == ("PID", str(state["pid"]))


@needs("cgroup-v1-memory")
def test_limits_change_by_flags_and_by_documents(oci: Oci, tmp_path: Path) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    oci("update", "--memory", str(64 << 20), "c")
    assert _limit(oci) == 64 << 20
    resources = tmp_path / "resources.json"
    resources.write_text(json.dumps({"memory": {"limit": 32 << 20}}))
    oci("update", "--resources", str(resources), "c")
    assert _limit(oci) == 32 << 20
    with open(resources, "w+") as document:
        document.write(json.dumps({"memory": {"limit": 48 << 20}}))
        document.seek(0)
        oci("update", "--resources", "-", "c", stdin=document)
    assert _limit(oci) == 48 << 20


def _limit(oci: Oci) -> int:
    stats = json.loads(oci("events", "--stats", "c"))
    return int(stats["data"]["memory"]["usage"]["limit"])


@needs("cgroup-v1-memory")
def test_events_are_statistics_and_deaths(oci: Oci) -> None:
    def limit(document: dict[str, Any]) -> None:
        document["linux"]["resources"]["memory"] = {"limit": 8 << 20, "swap": 8 << 20}

    program = "sleep 1000"
    state = oci.create("c", "sh", "-c", program, change=limit)
    oci("start", "c")
    words = oci.command("events", "--interval", "100ms", "c")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        first = json.loads(events.stdout.readline())
        assert (first["type"], first["id"]) == ("stats", "c")
        assert first["data"]["pids"]["current"] >= 1
        assert oci.call("exec", "c", "tail", "/dev/zero").returncode == 137
        kinds = set()
        while "oom" not in kinds:
            kinds.add(json.loads(events.stdout.readline())["type"])
        oci("kill", "c", "KILL")
        oci.reap(state["pid"])
        assert events.wait(10) == 0


def test_a_terminal_is_handed_over(oci: Oci, tmp_path: Path) -> None:
    def terminal(document: dict[str, Any]) -> None:
        document["process"]["terminal"] = True
        document["process"]["consoleSize"] = {"height": 33, "width": 77}

    with console_socket(tmp_path / "socket") as take:
        bundle = oci.bundle("sh", "-c", "tty; stty size", change=terminal)
        refused = oci.call("create", "--bundle", bundle, "c")
        assert "console-socket" in refused.stderr
        path = str(tmp_path / "socket")
        oci("create", "--bundle", bundle, "--console-socket", path, "c")
        with open(take(), "rb", buffering=0) as master:
            pid = oci.state("c")["pid"]
            oci("start", "c")
            assert oci.reap(pid) == 0
            assert master.read(1000).split() == [b"/dev/pts/0", b"33", b"77"]


def test_descriptors_are_preserved_as_far_as_asked_for(oci: Oci) -> None:
    read, write = os.pipe()
    bundle = oci.bundle("sh", "-c", "echo through >&3; ls /proc/self/fd | wc -l")
    words = oci.command("run", "--bundle", bundle, "--preserve-fds", "1", "c")
    place = f"import os, sys; [os.dup2({write}, n) for n in (3, 4)]; "
    exec_it = "os.execv(sys.argv[1], sys.argv[1:])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", place + exec_it, *words],
            pass_fds=(write,),
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert os.read(read, 100) == b"through\n"
        assert done.stdout == "5\n"  # 0 to 3, and the directory that ls reads
    finally:
        os.close(read)
        os.close(write)


def test_hooks_run_at_all_turns(oci: Oci, tmp_path: Path) -> None:
    log = tmp_path / "hooks"
    kinds = ("prestart", "createRuntime", "poststart", "poststop")

    def hooks(document: dict[str, Any]) -> None:
        document["hooks"] = {
            kind: [
                {
                    "path": "/bin/sh",
                    "args": ["sh", "-c", f"cat >> {log}; echo {kind} >> {log}"],
                }
            ]
            for kind in kinds
        }

    state = oci.create("c", "true", change=hooks)
    assert [line for line in _words(log) if line in kinds] == [*kinds[:2]]
    oci("start", "c")
    oci.reap(state["pid"])
    assert [line for line in _words(log) if line in kinds] == [*kinds[:3]]
    oci("delete", "c")
    assert [line for line in _words(log) if line in kinds] == [*kinds]
    assert '"id":"c"' in log.read_text().replace(" ", "")


def _words(log: Path) -> list[str]:
    """The names of the hooks, each of which follows the state that the hook got."""
    return [line.rpartition("}")[2] for line in log.read_text().splitlines()]


def test_errors_are_json_lines_in_the_log(oci: Oci, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    done = oci.call("start", "nope", options=("--log", log, "--log-format", "json"))
    assert done.stderr == "container does not exist\n"
    (line,) = Path(log).read_text().splitlines()
    assert json.loads(line)["msg"] == "container does not exist"


def test_a_wrong_document_names_its_field(oci: Oci) -> None:
    def wrong(document: dict[str, Any]) -> None:
        document["linux"]["resources"]["memory"] = {"limit": "much"}

    done = oci.call("create", "--bundle", oci.bundle("true", change=wrong), "c")
    assert done.returncode == 1
    assert "linux.resources.memory.limit" in done.stderr
