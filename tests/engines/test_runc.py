"""Beside runc: the same command lines, to containers in the same states."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import needs
from tests.support.oci import Oci

pytestmark = [
    needs("root", "runc"),
    pytest.mark.leaves_behind("containers of the module end with it"),
]

Pair = tuple[Oci, Oci]

SAME_WORDS = """\
state gone
start gone
kill gone
delete gone
ps gone
pause gone
resume gone
update gone
events --stats gone
exec gone true
delete --force gone
kill --all stopped KILL
start running
start paused
start stopped
kill stopped
kill running 0
kill paused 0
kill created 0
pause paused
pause stopped
resume running
resume stopped
resume created
delete running
delete paused
exec paused true
exec stopped true
exec --ignore-paused stopped true
exec running nope
exec running true
exec running sh -c 'exit 3'
exec created true
update --memory 64m stopped
update --memory 64m running
update --memory -1 running
update --cpu-quota -1 running
update --pids-limit 100 paused
update running
exec --cap CAP_NONE running true
delete --force=true gone
exec --env=A=b running true
""".splitlines()
SAME_STATUSES = """\
nonsense
state
state running more
start
kill
kill running TERM more
kill running FOO
kill running 99
create
create --bundle /none x
run --bundle /none x
list more
list --format xml
ps --format xml x
--none state
state --none running
--log-format xml list
update
exec
exec running
exec --cwd /none running true
spec --bundle /none
exec running /etc/passwd
exec --env A running true
delete --force
exec --cwd tmp running pwd
exec --tty --detach running true
exec --console-socket /none running true
exec -p /none running true
exec --cgroup .. running true
exec --cgroup none:/ running true
exec --cgroup a --cgroup b running true
exec --cgroup a:b:c running true
exec --cgroup none running true
exec --cgroup / running true
exec --cgroup memory:/ --cgroup pids:/ running true
events --interval 0 running
events --interval x running
events
events --stats stopped
events --stats running
ps running
update --resources /none running
update --resources /etc/passwd running
update --cpuset-cpus 999 running
update --memory 1 running
update --l3-cache-schema L3:0=f running
update --memory x running
update --mem-bw-schema MB:0=20 running
update --kernel-memory 1 running
list
list --quiet
features
--version
spec --help
help
""".splitlines()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, rootfs: Path) -> Iterator[Pair]:
    """(ours, runc's), each with a container in every state."""
    ours = Oci(tmp_path_factory.mktemp("ours"), rootfs)
    theirs = Oci(tmp_path_factory.mktemp("runc"), rootfs, ["runc"])
    for oci in (ours, theirs):
        for id in ("created", "running", "paused", "stopped"):
            # Bundles are ours: both read the same.
            bundle = ours.bundle("sleep", "1000")
            oci("create", "--bundle", bundle, id)
            pid = oci.state(id)["pid"]
            if id != "created":
                oci("start", id)
            if id == "paused":
                oci("pause", id)
            if id == "stopped":
                oci("kill", id, "KILL")
                oci.reap(pid)
    yield ours, theirs
    theirs.clean_up()
    ours.clean_up()


def said(text: str) -> str:
    """The last message, without who says it."""
    if not text:
        return ""
    message = json.loads(text.splitlines()[-1])["msg"]
    return re.sub(r"^((runc|aiocontainer) )?(create|run|exec) failed: ", "", message)


@pytest.mark.parametrize("line", SAME_WORDS)
def test_statuses_and_words_are_the_same(pair: Pair, line: str) -> None:
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)]
    options = ["--log-format", "json"]
    ours, theirs = (oci.call(*words, options=options) for oci in pair)
    assert ours.returncode == theirs.returncode, ours.stderr
    assert said(ours.stderr) == said(theirs.stderr)


@pytest.mark.parametrize("line", SAME_STATUSES)
def test_exit_statuses_are_the_same(pair: Pair, line: str) -> None:
    ours, theirs = (oci.call(*line.split()) for oci in pair)
    assert ours.returncode == theirs.returncode, ours.stderr


def test_documents_have_the_same_fields(pair: Pair) -> None:
    def fields(oci: Oci) -> dict[str, object]:
        state, (first, *_) = oci.state("running"), json.loads(oci("list", "-f", "json"))
        return {
            "state": list(state),
            "list": list(first),
            "ps": type(json.loads(oci("ps", "-f", "json", "running"))),
            "table": oci("list").splitlines()[0].split(),
        }

    ours, theirs = map(fields, pair)
    assert ours == theirs


def test_features_are_no_fewer(pair: Pair) -> None:
    ours, theirs = (json.loads(oci("features")) for oci in pair)
    for path in ("hooks", "linux.namespaces", "linux.capabilities"):
        own, other = ours, theirs
        for name in path.split("."):
            own, other = own[name], other[name]
        assert set(other) <= set(own), path
    for name in ("actions", "operators", "archs"):
        known = set(ours["linux"]["seccomp"][name])
        assert set(theirs["linux"]["seccomp"][name]) <= known
