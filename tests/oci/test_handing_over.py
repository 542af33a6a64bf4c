"""What a call gives of a new process: its terminal, a pidfd, its pid in a file."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.capabilities import needs
from tests.support.oci import Oci, console_socket

pytestmark = needs("root", "mount-namespace", "pid-namespace")


def with_terminal(document: dict[str, Any]) -> None:
    document["process"]["terminal"] = True


def test_a_detached_process_gives_its_terminal_and_its_pidfd(
    oci: Oci, tmp_path: Path
) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    paths = {name: str(tmp_path / name) for name in ("console", "pidfd", "pid")}
    with (
        console_socket(Path(paths["console"])) as take_console,
        console_socket(Path(paths["pidfd"])) as take_pidfd,
    ):
        oci(
            *("exec", "--detach", "--tty", "--console-socket", paths["console"]),
            *("--pidfd-socket", paths["pidfd"], "--pid-file", paths["pid"], "c"),
            *("sh", "-c", "read line; echo got $line"),
        )
        pid, pidfd = int(Path(paths["pid"]).read_text()), take_pidfd()
        info = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
        os.close(pidfd)
        assert f"Pid:\t{pid}\n" in info
        with open(take_console(), "r+b", buffering=0) as master:
            assert os.get_blocking(master.fileno())
            master.write(b"it\n")
            assert oci.reap(pid) == 0
            assert b"got it" in master.read(1000)


def test_the_first_process_gives_its_pidfd(oci: Oci, tmp_path: Path) -> None:
    path = tmp_path / "pidfd"
    with console_socket(path) as take:
        bundle = oci.bundle("sleep", "1000")
        oci("create", "--pidfd-socket", str(path), "--bundle", bundle, "c")
        pidfd = take()
    info = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    os.close(pidfd)
    assert f"Pid:\t{oci.state('c')['pid']}\n" in info


@pytest.mark.parametrize(
    ("words", "change"),
    [
        pytest.param(["create"], with_terminal, id="nobody-for-a-terminal"),
        pytest.param(["run", "-d"], with_terminal, id="nobody-for-it-in-run"),
        pytest.param(
            ["create", "--console-socket", "{}/s"], None, id="no-terminal-for-somebody"
        ),
        pytest.param(
            ["run", "--console-socket", "{}/s"], with_terminal, id="ours-already"
        ),
        pytest.param(
            ["create", "--console-socket", "{}/none"], with_terminal, id="no-socket"
        ),
        pytest.param(["create", "--pidfd-socket", "{}/none"], None, id="no-pidfd-one"),
        pytest.param(["create", "--pid-file", "{}/no/file"], None, id="no-folder"),
    ],
)
def test_where_it_can_not_be_given_there_is_no_container(
    oci: Oci, tmp_path: Path, words: list[str], change: Any
) -> None:
    command, *options = (word.format(tmp_path) for word in words)
    bundle = oci.bundle("sleep", "1000", change=change)
    with console_socket(tmp_path / "s"):
        done = oci.call(command, *options, "--bundle", bundle, "c")
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert oci("list", "--quiet") == ""


def test_a_process_whose_pid_can_not_be_told_has_ended(
    oci: Oci, tmp_path: Path
) -> None:
    pid = oci.create("c", "sleep", "1000")["pid"]
    oci("start", "c")
    done = oci.call(
        *("exec", "-d", "--pid-file", str(tmp_path / "no/file"), "c", "sleep", "1000")
    )
    assert done.returncode == 255
    assert oci("ps", "--format", "json", "c").split() == ["[", str(pid), "]"]


def test_what_is_not_there_is_not_preserved_and_nothing_of_ours_instead(
    oci: Oci,
) -> None:
    bundle = oci.bundle("true")
    done = oci.call("run", "--bundle", bundle, "--preserve-fds", "1", "c")
    assert done.returncode == 1
    assert "3 is not open" in done.stderr


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stream_that_is_closed_is_the_null_device(
    oci: Oci, tmp_path: Path, number: int
) -> None:
    look = f"x=$(readlink /proc/$$/fd/{number}); echo $x >&3"
    bundle = oci.bundle("sh", "-c", look)
    words = oci.command("run", "--bundle", bundle, "--preserve-fds", "1", "c")
    with open(tmp_path / "told", "w+b") as told:
        place = f"import os, sys; os.dup2({told.fileno()}, 3); os.close({number}); "
        exec_it = "os.execv(sys.argv[1], sys.argv[1:])"
        command = [sys.executable, "-c", place + exec_it, *words]
        subprocess.run(command, pass_fds=[told.fileno()], check=True, timeout=20)
        told.seek(0)
        assert told.read() == b"/dev/null\n"
