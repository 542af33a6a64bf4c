"""Commands of the OCI runtime that do with stand-ins, and those that begin again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiocontainer.oci import lean
from aiocontainer.oci.report import Log
from tests.support.capabilities import needs
from tests.support.oci import Oci

pytestmark = needs("root", "mount-namespace", "pid-namespace")

AGAIN = "begins again without stand-ins"
REAL = "from aiocontainer.oci.main import main; main(lean=False)"


class Told:
    """Calls whose log says whether there was a second time."""

    def __init__(self, oci: Oci, log: Path) -> None:
        self._oci = oci
        self._log = log

    def __call__(self, *words: str, **settings: Any) -> bool:
        """Whether the command, which has to succeed, began again."""
        options = ("--debug", "--log", str(self._log), "--log-format", "json")
        done = self._oci.call(*words, options=options, **settings)
        assert done.returncode == 0, done.stderr
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return any(AGAIN in json.loads(line)["msg"] for line in lines)


@pytest.fixture
def begins_again(oci: Oci, tmp_path: Path) -> Told:
    return Told(oci, tmp_path / "log")


def test_a_whole_life_takes_none_of_the_real_libraries(
    oci: Oci, begins_again: Told
) -> None:
    def limited(document: dict[str, Any]) -> None:
        document["linux"]["resources"] |= {"memory": {"limit": 1 << 26}}
        document["mounts"].append(
            {"destination": "/b", "source": "/usr", "options": ["rbind", "ro"]}
        )

    bundle = oci.bundle("sleep", "1000", change=limited)
    again = [begins_again("create", "--bundle", bundle, "c")]
    oci.state("c")
    again += [
        begins_again("start", "c"),
        begins_again("exec", "--env", "A=b", "--user", "1:1", "c", "true"),
        begins_again("pause", "c"),
        begins_again("resume", "c"),
        begins_again("update", "--memory", str(1 << 27), "c"),
        begins_again("kill", "c", "KILL"),
        begins_again("delete", "--force", "c"),
        begins_again("run", "--bundle", oci.bundle("true"), "r"),
    ]
    assert not any(again)


def test_a_hook_is_run_once_without_the_real_libraries(
    oci: Oci, begins_again: Told, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\necho >> {ran}\n")
    script.chmod(0o755)

    def hooked(document: dict[str, Any]) -> None:
        document["hooks"] = {"createRuntime": [{"path": str(script), "timeout": 10}]}

    bundle = oci.bundle("true", change=hooked)
    assert not begins_again("run", "--bundle", bundle, "h")
    assert ran.read_text() == "\n"


def wrong_type(document: dict[str, Any]) -> None:
    document["process"]["user"]["uid"] = "0"


def wrong_value(document: dict[str, Any]) -> None:
    document["linux"]["resources"] = {"cpu": {"period": 1}}


def contradiction(document: dict[str, Any]) -> None:
    kinds = [n for n in document["linux"]["namespaces"] if n["type"] != "uts"]
    document["linux"]["namespaces"] = kinds
    document["hostname"] = "box"


def missing_program(document: dict[str, Any]) -> None:
    document["process"]["args"] = ["/nope"]


def missing_source(document: dict[str, Any]) -> None:
    document["mounts"].append(
        {"destination": "/b", "source": "/does/not/exist", "options": ["bind"]}
    )


@pytest.mark.parametrize(
    "change",
    [wrong_type, wrong_value, contradiction, missing_program, missing_source],
)
def test_what_is_wrong_is_said_in_the_same_words(
    oci: Oci, change: Callable[[dict[str, Any]], None]
) -> None:
    bundle = oci.bundle("true", change=change)
    words = ("--root", str(oci.root), "run", "--bundle", bundle, "w")
    real = subprocess.run(
        [sys.executable, "-c", REAL, *words], check=False, capture_output=True
    )
    lean = oci.call(*words[2:])
    assert real.returncode == lean.returncode == 1
    assert _message(lean.stderr) == _message(real.stderr.decode()) != ""
    assert oci("list", "--quiet") == ""


def test_what_came_from_stdin_is_there_for_a_second_time(oci: Oci) -> None:
    oci.create("c", "sleep", "1000")
    words = ("update", "--resources", "-", "c")
    told = []
    for document in ('{"memory": {"limit": "much"}}', '{"memory": {"limit": 1.5}}'):
        with open(oci.folder / "document", "w+") as file:
            file.write(document)
            file.seek(0)
            with subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat:
                told.append(_message(oci.call(*words, stdin=cat.stdout).stderr))
    assert all("memory.limit" in text for text in told)


def test_what_comes_by_a_pipe_is_not_read_twice(oci: Oci) -> None:
    oci.create("c", "sleep", "1000")
    reader, writer = os.pipe()
    os.write(writer, b'{"cpu": {"quota": 5}}')
    os.close(writer)
    words = ("update", "--resources", f"/dev/fd/{reader}", "c")
    try:
        assert "cpu.quota" in oci.call(*words, pass_fds=[reader]).stderr
    finally:
        os.close(reader)


def test_nothing_is_left_of_a_create_that_was_interrupted(
    oci: Oci, tmp_path: Path
) -> None:
    fifo = tmp_path / "ran"
    os.mkfifo(fifo)

    def hooked(document: dict[str, Any]) -> None:
        args = ["sh", "-c", f"echo > {fifo}; exec sleep 1000"]
        document["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": args}]}

    bundle = oci.bundle("true", change=hooked)
    words = oci.command("create", "--bundle", bundle, "i")
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as creating:
        fifo.read_text()
        creating.send_signal(signal.SIGINT)
        assert creating.wait(20) == 130
    assert oci("list", "--quiet") == ""


def test_a_warning_is_told_once_though_the_command_begins_again(oci: Oci) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    words = ("exec", "--cap", "NONSENSE", "--user", "nobody at all", "c", "true")
    told = oci.call(*words, options=("--debug",)).stderr
    assert AGAIN in told
    assert told.count("NONSENSE") == 1


def test_need_of_the_real_libraries_is_an_error_like_others_once_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def needy() -> None:
        lean.settle()
        raise lean.Unsuited("asyncio")

    monkeypatch.setattr(lean, "install", lambda: None)
    monkeypatch.setattr(lean, "_is_settled", False)
    with pytest.raises(RuntimeError, match="asyncio"):
        lean.attempt(needy, [], Log(None, "text", debug=False))


@pytest.mark.parametrize(
    ("flag", "kept"),
    [("-I", "-P -E -s"), ("-sP", "-P -s"), ("-E", "-P -E"), ("", "-P")],
)
def test_the_second_time_looks_for_modules_in_no_more_places(
    flag: str, kept: str
) -> None:
    program = f"""if True:
        import os, sys
        sys.path.append({os.getcwd()!r})
        from aiocontainer.oci import lean
        def refuse():
            raise lean.Unsuited("x")
        class Log:
            debug, warnings = print, 0
        os.execv = lambda _, words: print(*words[1:words.index("-c")])
        lean.attempt(refuse, [], Log())
    """
    told = subprocess.check_output([sys.executable, *flag.split(), "-c", program])
    assert told.decode().splitlines()[-1] == kept


def _message(text: str) -> str:
    return text.partition("msg=")[2]


def test_a_terminal_in_the_foreground_is_left_to_the_real_libraries(
    oci: Oci, begins_again: Told
) -> None:
    oci.create("c", "sleep", "1000")
    oci("start", "c")
    master, slave = os.openpty()
    try:
        words = ("exec", "--tty", "c", "echo", "once")
        assert begins_again(*words, stdin=slave, stdout=slave)
        assert os.read(master, 100).split() == [b"once"]
    finally:
        os.close(master)
        os.close(slave)
