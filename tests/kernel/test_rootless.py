"""The library in the hands of a user without privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.capabilities import needs
from tests.support.unprivileged import (
    FIRST_SUB_ID,
    NAMELESS,
    NOBODY,
    SUB_IDS,
    found_as,
    run_as,
)

pytestmark = [needs("root", "mount-namespace", "user-namespace", "pid-namespace")]

HEAD = """
import json, os, sys
import anyio
from aiocontainer import *

def tell(**found):
    print(json.dumps(found))
"""

# As much as possible in one program: an interpreter takes a second to start here.
LIFE = (
    HEAD
    + r"""
config = Config(rootfs=Rootfs.overlay(sys.argv[1]))
KINDS = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
LINKS = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in KINDS)
SYS = "ls /sys/class/net; echo x > /sys/kernel/mm/ksm/run; ifconfig lo"

async def text(container, *words, **settings):
    result = await container.run(["sh", "-c", *words], **settings)
    return (result.stdout + result.stderr).decode()

async def main():
    found = {}
    async with Container(config, id="of-a-user") as container:
        found["id"] = await text(container, "id -u; id -g; id -G")
        found["maps"] = await text(container, "cat /proc/1/uid_map /proc/1/gid_map")
        found["hostname"] = await text(container, "hostname")
        found["status"] = await text(container, "cat /proc/self/status")
        found["first"] = await text(container, "cat /proc/1/status")
        found["pids"] = await text(container, "echo $$; ls /proc | grep -c '^[0-9]'")
        found["oom"] = await text(container, "cat /proc/self/oom_score_adj",
                                  oom_score_adj=700)
        found["written"] = await text(container, "echo x > /new; cat /new; ls -ln /new")
        found["stdout"] = await text(container, "echo again > /proc/self/fd/1")
        found["devices"] = await text(container, "echo > /dev/null; ls /dev")
        found["sys"] = await text(container, SYS)
        found["links"] = [os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS]
        found["theirs"] = await text(container, LINKS)
        words = ["sh", "-c", "tty; stty size; id -u"]
        process = await container.start(words, terminal=(20, 30))
        found["terminal"] = ""
        try:
            while True:
                found["terminal"] += (await process.terminal.receive()).decode()
        except anyio.EndOfStream:
            pass
        await process.wait()
        isolation = container.isolation
        found["isolation"] = [sorted(isolation.namespaces), isolation.cgroup]
        result = await container.run(["sleep", "60"], timeout=0.2)
        found["timeout"] = str(result.reason.value)
        left = [container.pid]
    found["left"] = [pid for pid in left if os.path.exists(f"/proc/{pid}")]
    tell(**found)

anyio.run(main)
"""
)


@pytest.fixture(scope="module", params=["one-id", "sub-ids"])
def life(request: pytest.FixtureRequest, rootfs: Path) -> dict[str, Any]:
    """What such a program found, with its own id only or with subordinate ones."""
    many = request.param == "sub-ids"
    uid = NOBODY if many else NAMELESS
    found = found_as(LIFE, str(rootfs), uid=uid, sub_ids=SUB_IDS if many else "")
    return {**found, "many": many, "uid": uid}


@pytest.mark.covers("newuidmap and rootless", "automatic user namespace from subuid")
def test_the_container_is_root_in_a_user_namespace_of_its_own(
    life: dict[str, Any],
) -> None:
    assert life["id"].split()[:3] == ["0", "0", "0"]
    own = ["0", str(life["uid"]), "1"]
    others = ["1", str(FIRST_SUB_ID), "65535"] if life["many"] else []
    assert life["maps"].split() == (own + others) * 2


def test_its_processes_have_namespaces_of_their_own(life: dict[str, Any]) -> None:
    assert not set(life["theirs"].split()) & set(life["links"])
    assert life["hostname"] == "of-a-user\n"
    assert int(life["pids"].split()[1]) <= 4


@pytest.mark.parametrize("which", ["first", "status"])
def test_rights_are_the_default_ones(life: dict[str, Any], which: str) -> None:
    lines = (line.split(":\t") for line in life[which].splitlines())
    status = dict(lines)
    mask = "00000000000405fb"
    found = {name: status[name] for name in ("CapPrm", "CapEff", "CapBnd")}
    assert found == dict.fromkeys(found, mask)
    assert (status["CapInh"], status["CapAmb"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_files_written_are_its_roots(life: dict[str, Any]) -> None:
    assert life["written"].split()[0] == "x"
    assert life["written"].split()[3:5] == ["0", "0"]


def test_pipes_can_be_opened_again_by_name(life: dict[str, Any]) -> None:
    assert life["stdout"] == "again\n"


def test_devices_are_the_hosts_own(life: dict[str, Any]) -> None:
    assert {"null", "zero", "urandom", "tty", "pts", "shm"} <= set(
        life["devices"].split()
    )


def test_sysfs_tells_of_its_own_network_and_is_readonly(life: dict[str, Any]) -> None:
    assert life["sys"].split()[0] == "lo"
    assert "Read-only" in life["sys"] or "Permission denied" in life["sys"]
    assert "127.0.0.1" in life["sys"]


def test_terminals_work(life: dict[str, Any]) -> None:
    assert life["terminal"].split() == ["/dev/pts/0", "20", "30", "0"]


def test_killing_is_sooner_for_those_that_say_so(life: dict[str, Any]) -> None:
    assert life["oom"] == "700\n"


def test_what_is_in_force_is_said(life: dict[str, Any]) -> None:
    namespaces, cgroup = life["isolation"]
    assert {"user", "pid", "mount", "network"} <= set(namespaces)
    assert cgroup == "off", "no cgroup is this user's"


def test_timeouts_end_runs(life: dict[str, Any]) -> None:
    assert life["timeout"] == "timed_out"
    assert life["left"] == []


ERRORS = (
    HEAD
    + """
root = sys.argv[1]
one = [IdMapping(container_id=0, host_id=os.getuid(), size=1)]
foreign = [IdMapping(container_id=0, host_id=200_000, size=10)]
new = Namespaces(user="new")

CASES = {
    "foreign": dict(namespaces=new, uid_mappings=foreign, gid_mappings=one),
    "groups": dict(groups=[7]),
    "user": dict(user="1000"),
    "join": dict(namespaces=Namespaces(network="/proc/self/ns/net")),
    "limit": dict(memory="64MiB"),
    "own": dict(namespaces=new, uid_mappings=one, gid_mappings=one),
    "auto": dict(namespaces=Namespaces(user="auto")),
}

async def main():
    found = {}
    for name, settings in CASES.items():
        try:
            config = Config(rootfs=root, **settings)
            result = await run(config, ["true"])
            found[name] = [result.returncode]
        except Exception as error:
            found[name] = [type(error).__name__, str(error)]
    tell(**found)

anyio.run(main)
"""
)


@pytest.fixture(scope="module")
def errors(rootfs: Path) -> dict[str, Any]:
    found: dict[str, Any] = found_as(ERRORS, str(rootfs), uid=NAMELESS)
    return found


@pytest.mark.parametrize(
    ("case", "kind", "words"),
    [
        pytest.param("foreign", "ConfigError", "uid_mappings[0].host_id", id="ids"),
        pytest.param("groups", "ConfigError", "groups", id="groups"),
        pytest.param("user", "ConfigError", "user", id="user"),
        pytest.param("join", "UnsupportedFeature", "namespaces.network", id="join"),
        pytest.param("limit", "ControllerMissing", "memory", id="limit"),
    ],
)
def test_what_this_user_cant_have_is_a_clear_error(
    errors: dict[str, Any], case: str, kind: str, words: str
) -> None:
    assert errors[case][0] == kind, errors[case]
    assert words in errors[case][1]


@pytest.mark.parametrize("case", ["own", "auto"])
@pytest.mark.covers("setgroups denied")
def test_a_mapping_of_the_own_id_takes_no_helper(
    errors: dict[str, Any], case: str
) -> None:
    assert errors[case] == [0]


SIMPLE = (
    HEAD
    + """
async def main():
    config = Config(rootfs=sys.argv[1])
    try:
        result = await run(config, ["cat", "/proc/self/uid_map"])
        print(result.stdout.decode())
    except Exception as error:
        print(type(error).__name__, error)

anyio.run(main)
"""
)


def test_helpers_that_give_nothing_are_not_asked(rootfs: Path) -> None:
    nnp = ["setpriv", "--no-new-privs"]
    done = run_as(SIMPLE, str(rootfs), sub_ids=SUB_IDS, prefix=nnp)
    assert done.stdout.split() == ["0", str(NOBODY), "1"], done.stderr


@pytest.mark.parametrize("many", [False, True], ids=["one-id", "sub-ids"])
def test_root_of_a_user_namespace_is_served_too(rootfs: Path, many: bool) -> None:
    into = ["unshare", "--user", "--map-root-user", *(["--map-auto"] if many else [])]
    told = run_as(SIMPLE, str(rootfs), sub_ids=SUB_IDS, prefix=into)
    sizes = [int(word) for word in told.stdout.split()[2::3]]
    assert sum(sizes) > 60_000 if many else sizes == [1], told


RANGES = (
    HEAD
    + """
def side(own):
    return [
        IdMapping(container_id=0, host_id=300_000, size=10),
        IdMapping(container_id=1000, host_id=own, size=1),
        IdMapping(container_id=2000, host_id=300_500, size=20),
    ]

SHOW = "id -u; id -g; id -G; echo again >/proc/self/fd/1; stat -c %u /proc/self/fd/1"

async def main():
    config = Config(rootfs=sys.argv[1], namespaces=Namespaces(user="new"),
        uid_mappings=side(os.getuid()), gid_mappings=side(os.getgid()))
    found = {}
    async with Container(config) as container:
        for user, groups in (("0", []), ("1000:1000", [5]), ("2019:2001", [2002])):
            result = await container.run(["sh", "-c", SHOW], user=user, groups=groups)
            found[user] = (result.stdout + result.stderr).decode().split()
        result = await container.run(["cat", "/proc/self/uid_map"])
        found["map"] = result.stdout.decode().split()
        found["root"] = container.isolation.root_uid
    tell(**found)

anyio.run(main)
"""
)


@needs("newuidmap")
def test_mappings_of_several_ranges_are_written_by_the_helpers(rootfs: Path) -> None:
    found = found_as(RANGES, str(rootfs), sub_ids=SUB_IDS)
    assert found["map"] == [
        *("0", "300000", "10"),
        *("1000", str(NOBODY), "1"),
        *("2000", "300500", "20"),
    ]
    assert found["root"] == FIRST_SUB_ID
    assert found["0"][:3] == ["0", "0", "0"]
    assert found["1000:1000"][:4] == ["1000", "1000", "1000", "5"]
    assert found["2019:2001"][:4] == ["2019", "2001", "2001", "2002"]
    assert all("again" in found[user] for user in ("0", "1000:1000", "2019:2001"))


def test_where_there_are_no_user_namespaces_the_doctor_is_named(rootfs: Path) -> None:
    # The limit of a user namespace of the program's own: the host's stays.
    limit = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    prefix = ["unshare", "-Ur", "sh", "-c", limit, "sh"]
    program = SIMPLE.replace("print(type(error)", "print(error.__notes__, type(error)")
    said = run_as(program, str(rootfs), prefix=prefix).stdout
    assert "SetupError could not create the process: No space left on device" in said
    assert "`aiocontainer doctor` says why" in said
    findings = run_as(DOCTOR, prefix=prefix).stdout
    assert "user.max_user_namespaces is 0" in findings


DOCTOR = """
from aiocontainer.checkup import doctor, render
print(render(doctor()))
"""


COVERED = (
    HEAD
    + """
async def main():
    script = "grep -c . /sys/kernel/mm/covered; echo x >/sys/power/state; ls /sys/class"
    result = await run(Config(rootfs=sys.argv[1]), ["sh", "-c", script])
    tell(said=(result.stdout + result.stderr).decode())

anyio.run(main)
"""
)


def test_where_no_sysfs_is_to_be_had_the_hosts_is_shown_readonly(rootfs: Path) -> None:
    # As in a container: a part of it is covered, and stays so.
    cover = "mount -t tmpfs none /sys/kernel/mm; echo x >/sys/kernel/mm/covered"
    said = found_as(COVERED, str(rootfs), before=[cover])["said"].split()
    assert said[0] == "1"
    assert "net" in said
    assert "Read-only" in said or "denied" in " ".join(said)


def stand_in(folder: Path, script: str) -> list[str]:
    """Commands that put a script in the place of newgidmap(1)."""
    path = folder / "newgidmap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return [f"mount --bind {path} /usr/bin/newgidmap"]


@needs("newuidmap")
def test_a_helper_that_fails_has_its_words_in_the_error(
    rootfs: Path, shared_folder: Path
) -> None:
    before = stand_in(shared_folder, "echo no such range >&2; exit 3")
    done = run_as(SIMPLE, str(rootfs), sub_ids=SUB_IDS, before=before)
    assert "SetupError" in done.stdout
    assert "no such range: /usr/bin/newgidmap" in done.stdout


@needs("newuidmap")
def test_helpers_get_nothing_of_ours(rootfs: Path, shared_folder: Path) -> None:
    script = f"{{ ls -l /proc/$$/fd; env; }} >{shared_folder}/seen 2>&1"
    before = stand_in(shared_folder, script)
    options = {"sub_ids": SUB_IDS, "before": before, "environment": {"SECRET": "x"}}
    run_as(SIMPLE, str(rootfs), **options)
    seen = (shared_folder / "seen").read_text()
    ends = [line.rpartition(" -> ")[2] for line in seen.splitlines() if "->" in line]
    ours = {end for end in ends if "newgidmap" not in end and "seen" not in end}
    assert ours <= {"/dev/null", "/memfd:id-maps (deleted)"}
    assert "SECRET" not in seen
    assert "PYTHON" not in seen


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A directory where every user may write."""
    folder = Path(tempfile.mkdtemp(prefix="shared-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


OVERLAY = (
    HEAD
    + """
from aiocontainer.config import Seccomp
from aiocontainer.proc import handshake

top, bottom = sys.argv[1:]
SCRIPT = "cat /both /low /up; ls /gone /whole; echo x >/both; cat /both; ls -ln /low"

async def main():
    found = {}
    config = Config(rootfs=Rootfs.overlay(top, bottom))
    for name, fault in (("overlay", None), ("copy", ("fsopen", 2, 1))):
        handshake.fault = fault
        result = await run(config, ["sh", "-c", SCRIPT])
        found[name] = (result.stdout + result.stderr).decode()
    tell(**found)

anyio.run(main)
"""
)


def test_where_overlays_are_refused_the_layers_are_copied(
    rootfs: Path, shared_folder: Path
) -> None:
    top = shared_folder / "top"
    bottom = shared_folder / "bottom"
    shutil.copytree(rootfs, bottom, symlinks=True)
    files = {bottom / "both": "low", bottom / "low": "low", bottom / "gone": "low"}
    files |= {bottom / "whole/low": "low", top / "both": "up", top / "up": "up"}
    files |= {top / "whole/up": "up"}
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\n")
    (bottom / "low").chmod(0o640)
    os.utime(bottom / "low", (1, 1_000_000_000))
    os.mknod(top / "gone", 0o20000 | 0o600, 0)
    subprocess.run(
        ["chown", "-R", f"{NOBODY}:{NOBODY}", str(shared_folder)], check=True
    )
    os.setxattr(top / "whole", "user.overlay.opaque", b"y")
    os.setxattr(top, "user.overlay.impure", b"y")
    found = found_as(OVERLAY, str(top), str(bottom))
    assert found["copy"] == found["overlay"]
    assert found["copy"].split()[:3] == ["up", "low", "up"]
    assert "-rw-r-----" in found["copy"]
    assert "2001" in found["copy"], "with the time that it was changed"
    assert "/gone: No such file" in found["copy"]
    assert found["copy"].count("low") == 2, "an opaque directory hides what is below"


@pytest.mark.parametrize("many", [False, True], ids=["one-id", "sub-ids"])
def test_the_example_does_what_it_says(many: bool) -> None:
    example = Path(__file__).parents[2] / "examples/rootless.py"
    uid = NOBODY if many else NAMELESS
    done = run_as(example, uid=uid, sub_ids=SUB_IDS if many else "")
    assert done.returncode == 0, done.stderr
    assert f"outside: root inside is uid {uid}" in done.stdout
    assert f"inside: root with {1 + many} range" in done.stdout
    assert "userns" in done.stdout.rpartition("in force:")[2].split()
    assert ("userns.range lacks" in done.stdout) is not many
