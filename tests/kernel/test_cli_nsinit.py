"""nsinit's commands and flags of 2015, on a container.json in the current directory."""

import asyncio
import json
import os
import signal

import pytest

from aiocontainer import Runtime
from tests.support.capabilities import needs
from tests.support.cli import reap, run, started

pytest.importorskip("click")
pytestmark = [needs("root", "mount-namespace", "pid-namespace"), pytest.mark.slow]

CGROUP = f"aiocontainer-test-{os.getpid()}"


@pytest.fixture
def root(tmp_path):
    """The state root. What a failed test leaves in it is removed."""
    yield str(tmp_path / "state")
    asyncio.run(_remove_all(Runtime(tmp_path / "state")))
    reap()
    _remove_parents()


async def _remove_all(runtime):
    for each in runtime.list():
        async with runtime.load(each.id) as container:
            await container.destroy()


def _remove_parents():
    """nsinit's parents of cgroups stay, as those of engines do."""
    from aiocontainer.cgroups import detect
    from aiocontainer.cgroups.open import parents_of

    for path in parents_of(detect(), CGROUP):
        if os.path.isdir(path):
            os.rmdir(path)


@pytest.fixture
def nsinit(root, own_rootfs):
    """Runs nsinit in the root directory, whose container.json it has made."""

    def call(*args, **options):
        return run("nsinit", *args, root=root, cwd=str(own_rootfs), **options)

    done = call("config", "--cgroup", CGROUP, "--hostname", "box")
    (own_rootfs / "container.json").write_text(done.out)
    return call


def test_the_config_is_a_container_json_of_2015(nsinit, own_rootfs):
    said = json.loads((own_rootfs / "container.json").read_text())
    assert said["rootfs"] == str(own_rootfs)
    assert said["hostname"] == "box"
    assert {entry["type"] for entry in said["namespaces"]} == {
        *("NEWNS", "NEWUTS", "NEWIPC", "NEWPID", "NEWNET")
    }
    assert "SYS_CHROOT" in said["capabilities"]
    assert nsinit("config", "-f", "other.json").out == ""
    assert json.loads((own_rootfs / "other.json").read_text())["hostname"] == "nsinit"


def test_exec_runs_a_program_as_the_document_says(nsinit):
    done = nsinit("exec", "sh", "-c", "hostname; id -u; echo $HOME; ls /; exit 4")
    hostname, user, home, *files = done.out.splitlines()
    assert (hostname, user, home, done.status) == ("box", "0", "/root", 4)
    assert "container.json" in files
    assert nsinit("exec", "--user", "tester", "id", "-u").out == "1000\n"
    assert nsinit("exec", "--cwd", "/usr", "--env", "X=y", "pwd").out == "/usr\n"


def test_the_same_command_again_joins_what_runs(nsinit, root, own_rootfs):
    args = ("nsinit", "exec", "--", "sh", "-c", "echo ready; read line; exit 5")
    with started(*args, root=root, cwd=str(own_rootfs)) as first:
        first.until("ready")
        assert nsinit("exec", "cat", "/proc/1/comm").out == "sh\n"
        link = os.readlink(own_rootfs / "state.json")
        said = json.loads(nsinit("state").out)
        assert link == f"{root}/nsinit/state.json"
        assert said["id"] == "nsinit"
        assert said["init_process_pid"] == Runtime(root).list()[0].pid
        assert said["config"]["hostname"] == "box"
        assert nsinit("pause").status == 0
        assert Runtime(root).list()[0].status == "paused"
        assert nsinit("unpause").status == 0
        assert json.loads(nsinit("stats").out)["pids"]["current"] == 1
        first.send("\n")
        assert first.wait() == 5
    assert not os.path.lexists(own_rootfs / "state.json")
    assert os.listdir(root) == []


def test_with_a_terminal_it_is_a_shell(nsinit, root, own_rootfs):
    args = ("nsinit", "exec", "--tty", "/bin/sh")
    with started(*args, root=root, cwd=str(own_rootfs), tty=True) as command:
        command.until("#")
        command.send("exit 3\r")
        assert command.wait() == 3


def test_another_directory_is_another_container(nsinit, root, own_rootfs, rootfs):
    with started("nsinit", "exec", "cat", root=root, cwd=str(own_rootfs)) as first:
        while not os.path.lexists(own_rootfs / "state.json"):
            pass
        done = run("nsinit", "exec", "true", root=root, cwd=str(rootfs))
        assert done.status != 0
        assert "another root directory" in done.err
        other = (
            "nsinit",
            "exec",
            "--id",
            f"o{os.getpid()}",
            "--cgroup",
            CGROUP,
            "true",
        )
        assert run(*other, root=root, cwd=str(rootfs)).status == 0
        os.kill(first.pid, signal.SIGTERM)
        assert first.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("flags", "script", "says"),
    [
        (["--hostname", "other"], "hostname", "other"),
        (["--read-only"], "touch /x 2>&1", "touch: /x: Read-only file system"),
        (["--memory-limit", "64000000"], "cat $M/memory.limit_in_bytes", "63999"),
        (["--uts", "host"], "hostname", os.uname().nodename),
        (["--tmpfs", "/mnt"], "grep -c '/mnt tmpfs' /proc/mounts", "1"),
        (["--bind", "/etc:/mnt:ro"], "touch /mnt/x 2>&1", "touch: /mnt/x: Read-only"),
        (["--groups", "29"], "id -G", "0 29"),
        (
            ["--sysctl", "net.ipv4.ip_forward=1"],
            "cat /proc/sys/net/ipv4/ip_forward",
            "1",
        ),
        (["--security", "high"], "grep CapBnd /proc/self/status", "20000420"),
        (["--security", "medium"], "unshare -U true 2>&1", "not permitted"),
        (["--userns-root-uid", "5000"], "cat /proc/self/uid_map | head -1", "5000"),
    ],
)
def test_flags_change_the_container(nsinit, own_rootfs, flags, script, says):
    if "$M" in script:
        script = "cat /proc/self/cgroup"
        says = f"/{CGROUP}/"
    if "userns" in flags[0]:
        os.chown(own_rootfs, 5000, 5000)
    done = nsinit("exec", *flags, "--", "sh", "-c", script)
    assert says in done.out, done


def test_errors_are_told_and_logged(nsinit, own_rootfs):
    done = nsinit("--log-file", "log", "exec", "nonexistent")
    assert done.status == 1
    assert "nonexistent" in (own_rootfs / "log").read_text()
    (own_rootfs / "container.json").write_text("{")
    assert "container.json" in nsinit("exec", "true").err
    assert nsinit("state").err == "aiocontainer: container nsinit does not exist\n"


def test_a_kill_for_memory_is_a_line(nsinit, root, own_rootfs):
    hungry = "echo ready; read x; x=x; while :; do x=$x$x; done"
    limit = ("--memory-limit", str(16 << 20))
    args = ("nsinit", "exec", *limit, "--", "sh", "-c", hungry)
    with started(*args, root=root, cwd=str(own_rootfs)) as command:
        command.until("ready")
        with started("nsinit", "oom", root=root, cwd=str(own_rootfs)) as oom:
            assert b"waiting" in os.read(oom.descriptors["err"], 99)
            command.send("\n")
            oom.until("OOM notification received\n")
            assert oom.wait() == 0
        assert command.wait() == 128 + signal.SIGKILL
