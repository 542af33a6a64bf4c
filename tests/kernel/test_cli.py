"""The command line: programs in containers, and containers that it is asked about."""

import asyncio
import json
import os
import re
import signal
import termios
import time

import pytest

from aiocontainer import Runtime
from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.cgroups import places
from tests.support.cli import reap, run, started
from tests.support.rootfs import make_rootfs

pytest.importorskip("click")
pytestmark = [needs("root", "mount-namespace", "pid-namespace"), pytest.mark.slow]

WEB = f"web-{os.getpid()}"


@pytest.fixture
def root(tmp_path):
    """The state root. What a failed test leaves in it is removed."""
    yield str(tmp_path / "state")
    asyncio.run(_remove_all(Runtime(tmp_path / "state")))
    reap()  # containers of commands that have ended are this process's children


async def _remove_all(runtime):
    for each in runtime.list():
        async with runtime.load(each.id) as container:
            await container.destroy()


@pytest.fixture
def web(root, rootfs):
    """A container that runs in the background."""
    done = run("run", "-d", "--name", WEB, "--rootfs", str(rootfs), "-m", "64MiB",
               "--", "sleep", "600", root=root)  # fmt: skip
    assert (done.status, done.out, done.err) == (0, f"{WEB}\n", "")
    return WEB


def until_loaded(pid):
    """Wait until a command holds a container's first process by its pidfd."""
    deadline = time.monotonic() + 5
    while not any("pidfd" in name for name in procfs.descriptors(pid).values()):
        assert time.monotonic() < deadline
        time.sleep(0.002)


# -- run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$; exit 3", 3)],
)
def test_the_exit_status_is_the_programs(root, rootfs, script, status):
    done = run("run", "--rootfs", str(rootfs), "--", "sh", "-c", script, root=root)
    assert (done.status, done.err) == (status, "")
    assert os.listdir(root) == []


def test_a_signal_of_the_program_is_128_and_its_number(root, rootfs):
    script = "sh -c 'kill -TERM $$'; exit $?"
    done = run("run", "--rootfs", str(rootfs), "--", "sh", "-c", script, root=root)
    assert done.status == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (["--", "nonexistent"], 127, "not found"),
        (["--", "/etc/passwd"], 126, "Permission denied"),
        (["--user", "nobody-at-all", "--", "true"], 125, "nobody-at-all"),
        (["--memory", "much", "--", "true"], 125, "memory"),
        (["--mount", "/nonexistent", "--", "true"], 125, "nonexistent"),
        (["--network", "moon", "--", "true"], 125, "--network"),
        (["--timeout", "0.05", "--", "sleep", "9"], 124, "time was over"),
        ([], 2, "what is to be run"),
        (["--detach", "--tty", "--", "true"], 2, "--detach"),
    ],
)
def test_what_went_wrong_is_told_by_a_status_and_a_line(
    root, rootfs, args, status, says
):
    done = run("run", "--rootfs", str(rootfs), *args, root=root)
    assert done.status == status, done
    assert says in done.err
    assert done.out == ""


def test_stdio_is_the_callers(root, rootfs):
    script = "cat; echo err >&2"
    args = ("run", "--rootfs", str(rootfs), "--", "sh", "-c", script)
    done = run(*args, root=root, input=b"a\nb")
    assert (done.out, done.err) == ("a\nb", "err\n")


def test_the_options_make_the_container(root, rootfs, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("there\n")
    script = (
        "id -u; id -G; pwd; echo $X$Y; hostname; cat /mnt/file; touch /mnt/x 2>&1;"
        "ulimit -n; df -m /tmp | tail -1 | awk '{print $2}'; ls /sys/class/net"
    )
    options = ["--user", "1000:100", "-g", "29", "-w", "/usr", "-e", "X=y", "-e", "Z",
               "--hostname", "box", "-v", f"{tmp_path}:/mnt:ro", "--tmpfs", "/tmp:3MiB",
               "--rlimit", "nofile=99"]  # fmt: skip
    done = run(
        "run", "--overlay", str(rootfs), *options, "--", "sh", "-c", script, root=root
    )
    *lines, space, net = done.out.splitlines()
    assert lines == [
        *("1000", "100 29", "/usr", "y", "box", "there"),
        "touch: /mnt/x: Read-only file system",
        "99",
    ], done
    assert (space, net) == ("3", "lo")


def test_without_a_root_it_sees_the_hosts_programs(root):
    done = run("run", "--", "sh", "-c", "ls / && touch /usr/x", root=root)
    assert "usr" in done.out.split()
    assert "Read-only" in done.err


def test_an_overlay_stays_as_it_is(root, rootfs):
    before = sorted(os.listdir(rootfs))
    args = ("run", "--overlay", str(rootfs), "--", "sh", "-c", "echo x > /new; ls /new")
    assert run(*args, root=root).out == "/new\n"
    assert sorted(os.listdir(rootfs)) == before


def test_the_report_says_how_it_ended(root, rootfs):
    args = ("--rootfs", str(rootfs), "-m", "8MiB", "--report")
    hungry = ("--", "sh", "-c", "x=x; while :; do x=$x$x; done")
    done = run("run", *args, "json", *hungry, root=root)
    first, second = done.err.splitlines()
    assert json.loads(first)["reason"] == "oom_killed"
    assert "out of memory" in second
    assert done.status == 128 + signal.SIGKILL
    done = run("run", *args, "text", "--", "true", root=root)
    assert re.search(r"reason  exited\n", done.err)


def test_a_config_file_is_what_the_options_change(root, rootfs, tmp_path):
    args = ("--rootfs", str(rootfs), "--hostname", "one", "-e", "X=file")
    path = tmp_path / "task.json"
    path.write_text(run("plan", *args, "--json", root=root).out)
    script = ("--", "sh", "-c", "hostname; echo $X")
    done = run("run", "--config", str(path), "--hostname", "two", *script, root=root)
    assert done.out == "two\nfile\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("handles", [False, True])
def test_signals_reach_the_program_even_if_it_is_the_first(
    root, rootfs, number, handles
):
    trap = f"trap 'exit 5' {number - 0};" if handles else ""
    script = f"{trap} echo ready; while :; do sleep 0.02; done"
    args = ("run", "--rootfs", str(rootfs), "--", "sh", "-c", script)
    with started(*args, root=root) as command:
        command.until("ready")
        os.kill(command.pid, number)
        assert command.wait() == (5 if handles else 128 + number)
    assert os.listdir(root) == []


def test_a_killed_command_leaves_nothing_running(root, rootfs):
    args = ("run", "--rootfs", str(rootfs), "--", "sh", "-c", "echo ready; sleep 60")
    with started(*args, root=root) as command:
        command.until("ready")
        pid = Runtime(root).list()[0].pid
    deadline = time.monotonic() + 5
    while procfs.read_stat(pid) is not None and time.monotonic() < deadline:
        reap()
    assert procfs.read_stat(pid) is None
    done = run("gc", root=root)
    assert len(done.out.splitlines()) == 1
    assert os.listdir(root) == []
    reap()


# -- terminals -------------------------------------------------------------------------


def test_a_terminal_of_its_own_has_our_size_and_is_restored(root, rootfs):
    with started(
        "run", "-t", "--rootfs", str(rootfs), "--", "sh", root=root, tty=True
    ) as command:
        master = command.descriptors["out"]
        before = termios.tcgetattr(master)
        command.until("#")
        assert termios.tcgetattr(master) != before
        command.send("stty size; tty\r")
        assert "30 90" in command.until("/dev/")
        command.send("exit 6\r")
        assert command.wait() == 6
        assert termios.tcgetattr(master) == before


def test_its_terminal_follows_the_size_of_ours(root, rootfs):
    script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done"
    args = ("run", "-t", "--rootfs", str(rootfs), "--", "sh", "-c", script)
    with started(*args, root=root, tty=True) as command:
        command.until("ready")
        termios.tcsetwinsize(command.descriptors["in"], (11, 44))
        command.until("11 44")
        command.send("\x03")  # the key, by the terminal inside
        assert command.wait() == 128 + signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_is_restored_however_it_ends(root, rootfs, number):
    args = ("run", "-t", "--rootfs", str(rootfs), "--", "sh", "-c", "echo hi; sleep 60")
    with started(*args, root=root, tty=True) as command:
        master = command.descriptors["out"]
        before = termios.tcgetattr(master)
        command.until("hi")
        os.kill(command.pid, number)
        assert command.wait() == 128 + number
        assert termios.tcgetattr(master) == before


def test_a_terminal_of_ours_is_never_the_programs(root, rootfs):
    script = "test -t 0 || test -t 1 || test -t 2 || echo none; read x; echo got $x"
    args = ("run", "--rootfs", str(rootfs), "--", "sh", "-c", script)
    with started(*args, root=root, tty=True) as command:
        command.until("none")
        command.send("typed\n")
        command.until("got typed")
        assert command.wait() == 0


# -- containers ------------------------------------------------------------------------


def test_ps_lists_what_runs(root, web):
    done = run("ps", root=root)
    heading, line = done.out.splitlines()
    assert heading.split() == ["ID", "STATUS", "PID", "AGE", "MADE", "BY", "COMMAND"]
    assert re.fullmatch(rf"{WEB} +running +\d+ +\d+s +detached +sleep 600", line)
    (listed,) = json.loads(run("ps", "--json", root=root).out)
    assert (listed["id"], listed["status"], listed["detached"]) == (
        web,
        "running",
        True,
    )
    assert run("ps", "-q", root=root).out == f"{web}\n"


def test_exec_runs_beside_the_containers_own_program(root, web):
    done = run("exec", web, "cat", "/proc/1/comm", root=root)
    assert (done.status, done.out, done.err) == (0, "sleep\n", "")
    done = run("exec", "-u", "1000", web, "--", "sh", "-c", "id -u; exit 4", root=root)
    assert (done.status, done.out) == (4, "1000\n")
    with started("exec", "-t", web, "sh", root=root, tty=True) as command:
        command.until("#")
        command.send("exit 3\r")
        assert command.wait() == 3


def test_exec_in_a_cgroup_below_the_containers(root, web):
    (listed,) = json.loads(run("ps", "--json", root=root).out)
    found = places(listed["pid"])
    controller = "memory" if "memory" in found else ""
    os.mkdir(found[controller] + "/sub")
    word = f"{controller}:sub" if controller else "sub"
    done = run(
        "exec", "--cgroup", word, web, "--", "cat", "/proc/self/cgroup", root=root
    )
    assert (done.status, done.out.count("/sub\n")) == (0, 1)
    refused = run("exec", "--cgroup=nope", web, "true", root=root)
    assert (refused.status, "cgroup" in refused.err) == (125, True)


def test_it_is_paused_changed_and_ended(root, web):
    for command, status in (("pause", "paused"), ("resume", "running")):
        assert run(command, web, root=root).status == 0
        assert json.loads(run("ps", "--json", root=root).out)[0]["status"] == status
    assert run("update", "-m", "100MiB", web, root=root).status == 0
    stats = json.loads(run("stats", "--json", web, root=root).out)
    assert stats["data"]["memory"]["usage"]["limit"] == 100 << 20
    assert "100MiB" in run("stats", root=root).out
    assert web in run("top", "--once", root=root).out
    refused = run("rm", web, root=root)
    assert (refused.status, "running" in refused.err) == (1, True)
    with started("wait", web, root=root) as command:
        until_loaded(command.pid)
        assert run("kill", web, root=root).status == 0
        assert command.wait() == 128 + signal.SIGKILL
    assert run("kill", web, root=root).status == 1
    assert run("rm", web, root=root).status == 0
    assert run("ps", "-q", root=root).out == ""


def test_rm_with_force_ends_it_first(root, web):
    assert run("rm", "-f", web, root=root).status == 0
    assert os.listdir(root) == []
    reap()


def test_inspect_says_all(root, web):
    said = json.loads(run("inspect", web, root=root).out)
    assert said["status"] == "running"
    assert said["config"]["resources"]["memory"]["limit_bytes"] == 64 << 20
    assert "mount" in said["isolation"]["namespaces"]


def test_events_are_lines_until_the_end(root, web):
    with started("events", "--json", web, root=root) as command:
        assert os.read(command.descriptors["err"], 99) == f"watching {web}\n".encode()
        run("pause", web, root=root)
        run("resume", web, root=root)
        run("kill", web, root=root)
        said = command.until('"event": "exit"')
        assert '"event": "paused"' in said
        assert command.wait() == 0


@needs("network-namespace")
def test_one_with_a_published_port_is_kept_in_the_background(root, rootfs):
    options = ("-d", "--name", WEB, "--rootfs", str(rootfs), "-p", "18080:80")
    done = run("run", *options, "--", "nonexistent", root=root, own_net=True)
    assert (done.status, "not found" in done.err) == (127, True)
    done = run("run", *options, "--", "sleep", "600", root=root, own_net=True)
    assert (done.status, done.out, done.err) == (0, f"{WEB}\n", "")
    keeper = Runtime(root).list()[0].owner
    assert run("exec", WEB, "ls", "/sys/class/net", root=root).out == "eth0\nlo\n"
    assert run("kill", WEB, root=root).status == 0
    deadline = time.monotonic() + 10
    while procfs.read_stat(keeper) is not None and time.monotonic() < deadline:
        reap()
        time.sleep(0.002)
    assert procfs.read_stat(keeper) is None
    assert os.listdir(root) == []


def test_a_detached_one_may_write_to_a_file(root, rootfs, tmp_path):
    path = tmp_path / "output"
    options = ("-d", "--output", str(path), "--rootfs", str(rootfs), "--name", WEB)
    run("run", *options, "--", "sh", "-c", "echo out; echo err >&2", root=root)
    run("wait", WEB, root=root)
    reap()
    assert path.read_text() == "out\nerr\n"
    assert run("gc", "--stopped", root=root).out == f"{WEB}\n"


@pytest.mark.parametrize(
    "command", ["exec", "kill", "inspect", "stats", "events", "rm"]
)
def test_what_is_not_there_is_said(root, command):
    more = ["true"] if command == "exec" else []
    done = run(command, "nothing", *more, root=root)
    assert done.status == (125 if command == "exec" else 1)
    assert done.err == "aiocontainer: container nothing does not exist\n"


def test_plan_prints_the_steps_and_does_nothing(root, tmp_path):
    make_rootfs(tmp_path / "rootfs", ["true"])
    done = run("plan", "--rootfs", str(tmp_path / "rootfs"), "--", "true", root=root)
    steps = [line[5:] for line in done.out.splitlines()]
    assert f"root directory {tmp_path}/rootfs" in steps
    assert steps[-1] == "execute true"
    assert not os.path.exists(root)


def test_each_command_has_help_with_examples(root):
    said = run("--help", root=root).out
    names = re.findall(r"^  ([a-z]+)  ", said.partition("Commands:")[2], re.MULTILINE)
    assert {"run", "ps", "exec", "stats", "top", "doctor", "gc"} <= set(names)
    for name in names:
        done = run(name, "--help", root=root)
        assert done.status == 0
        assert "Usage: aiocontainer" in done.out
    assert "Examples:" in run("run", "--help", root=root).out


def test_doctor_says_what_this_machine_can_do(root):
    done = run("doctor", root=root)
    assert done.status == 0
    assert "mount" in done.out
    names = [
        each["name"] for each in json.loads(run("doctor", "--json", root=root).out)
    ]
    assert len(names) == len(set(names)) > 5


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_commands(root, shell):
    assert "_AIOCONTAINER_COMPLETE" in run("completion", shell, root=root).out
