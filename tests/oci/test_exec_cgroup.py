"""``exec --cgroup``: a process in an existing cgroup below the container's."""

import os

import pytest

from aiocontainer.cgroups.below import cgroup_of
from aiocontainer.errors import ConfigError
from tests.support.capabilities import needs
from tests.support.cgroups import places
from tests.support.oci import Oci


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ([], None),
        (["/"], "/"),
        ([""], ""),
        (["a/b"], "a/b"),
        ([":a"], "a"),
        (["memory:a"], {"memory": "a"}),
        (["memory,pids:a", "cpu:/"], {"memory": "a", "pids": "a", "cpu": "/"}),
        (["memory:a", "memory:b"], {"memory": "b"}),
        (["memory:"], {"memory": ""}),
    ],
)
def test_the_last_word_on_a_controller_counts(words: list[str], chosen: object) -> None:
    assert cgroup_of(words) == chosen


@pytest.mark.parametrize("words", [["a:b:c"], ["a", "b"], ["memory:a", "b"], ["", ""]])
def test_what_names_no_single_place_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="cgroup"):
        cgroup_of(words)


@needs("root", "mount-namespace", "pid-namespace")
def test_the_process_is_where_the_command_line_says(oci: Oci) -> None:
    pid = oci.create("c", "sleep", "1000")["pid"]
    oci("start", "c")
    tops = places(pid)
    see = ("c", "cat", "/proc/self/cgroup")

    def seen(*words: str) -> set[str]:
        told = oci("exec", *(f"--cgroup={word}" for word in words), *see)
        return {line.split(":")[1] for line in told.splitlines() if "/sub" in line}

    assert seen("/") == set()
    some = ["memory", "pids"] if "memory" in tops and "pids" in tops else [""]
    for name in some:
        os.mkdir(tops[name] + "/sub")
    if some != [""]:
        assert seen("memory:sub") == {"memory"}
        assert seen("memory,pids:sub") == {"memory", "pids"}
        assert seen("memory:sub", "memory:/", "pids:sub") == {"pids"}
    else:
        assert seen("sub") == {""}
    for words in (["--cgroup", "nope"], ["--cgroup=.."], ["--cgroup=what:sub"]):
        done = oci.call("exec", *words, *see)
        assert (done.returncode, "cgroup: " in done.stderr) == (255, True), done.stderr
    assert oci("exec", "c", "echo", "hi") == "hi\n"
