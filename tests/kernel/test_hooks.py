"""Hooks of all six kinds: order, state, failures, and that nothing of them is left."""

import asyncio
import errno
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    HandshakeError,
    IdMapping,
    Namespaces,
    Runtime,
    SetupError,
    run,
)
from aiocontainer.config import Hook, Hooks
from aiocontainer.proc import handshake
from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.programs import program
from tests.support.sweeps import cancel_sweep, task_cancel_sweep

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

KINDS = {
    "prestart": "prestart",
    "create_runtime": "createRuntime",
    "create_container": "createContainer",
    "start_container": "startContainer",
    "poststart": "poststart",
    "poststop": "poststop",
}
"""Field in a config -> name in the OCI specification."""
BEFORE = [*KINDS][:4]
"""Run before the container's program."""
INSIDE = ("create_container", "start_container")
SLOW = "sleep 60 & sleep 60"


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def sh(script: str, **fields: Any) -> Hook:
    """A hook that is a shell script; its $0 is "hook"."""
    return Hook(path="/bin/sh", args=["sh", "-c", script, "hook"], **fields)


def only(kind: str, *hooks: Hook, **more: Any) -> Hooks:
    return Hooks(**{kind: hooks, **more})


@pytest.fixture(autouse=True)
def _orphans() -> Iterator[None]:
    """Collect what hooks left that was killed: here orphans come to this process, as
    elsewhere to init. Those that still run are leaks."""
    known = set(procfs.children())
    yield
    for pid in set(procfs.children()) - known:
        facts = procfs.read_stat(pid)
        if facts is not None and facts.name in ("sh", "sleep") and facts.state == "Z":
            os.waitpid(pid, 0)


def recording(kind: str, own_rootfs: Path, tmp_path: Path, script: str) -> Hook:
    """A hook whose output goes to a file named after its kind."""
    inside = kind == "start_container"
    where = "/tmp" if inside else str(tmp_path)
    return sh(f"({script}) > {where}/{kind} 2>&1")


def recorded(kind: str, own_rootfs: Path, tmp_path: Path) -> str:
    where = own_rootfs / "tmp" if kind == "start_container" else tmp_path
    return (where / kind).read_text()


def everywhere(own_rootfs: Path, tmp_path: Path, script: str) -> Hooks:
    return Hooks(
        **{kind: recording(kind, own_rootfs, tmp_path, script) for kind in KINDS}
    )


# -- what they are told ----------------------------------------------------------------


@pytest.mark.covers(
    "hooks of six kinds",
    "hooks.prestart",
    "hooks.createRuntime",
    "hooks.createContainer",
    "hooks.startContainer",
    "hooks.poststart",
    "hooks.poststop",
)
async def test_all_six_run_in_the_order_of_the_specification(own_rootfs: Path) -> None:
    hooks = {}
    for kind in KINDS:
        root = "" if kind == "start_container" else own_rootfs
        hooks[kind] = sh(f"echo {kind} >> {root}/tmp/log")
    log = own_rootfs / "tmp/log"
    config = Config(rootfs=own_rootfs, hooks=Hooks(**hooks))
    async with Container(config) as container:
        # poststart hooks and the program are in no order.
        script = "while ! grep -q poststart /tmp/log; do sleep 0.01; done; echo program"
        program = await container.start(["sh", "-c", f"{script} >> /tmp/log; sleep 60"])
        with anyio.fail_after(10):
            while "program" not in log.read_text():  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert program.returncode is None
    names = [*KINDS]
    assert log.read_text().split() == [*names[:5], "program", names[5]]


async def _wait_for(path: Path) -> None:
    with anyio.fail_after(10):
        while not path.exists() or not path.read_text():  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_hooks_of_one_kind_run_one_after_the_other(
    rootfs: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    hooks = [sh(f"sleep 0.0{9 - n}; echo {n} >> {log}") for n in range(3)]
    await run(Config(rootfs=rootfs, hooks=Hooks(create_runtime=hooks)), ["true"])
    assert log.read_text().split() == ["0", "1", "2"]


STATUS = {
    "prestart": "creating",
    "create_runtime": "creating",
    "create_container": "creating",
    "start_container": "created",
    "poststart": "running",
    "poststop": "stopped",
}


async def test_each_is_told_the_state_of_the_container(
    own_rootfs: Path, tmp_path: Path
) -> None:
    config = Config(
        rootfs=own_rootfs,
        hooks=everywhere(own_rootfs, tmp_path, "cat"),
        bundle=tmp_path,
        annotations={"org.example": 'a "quote" and ü', "x": ""},
    )
    async with Container(config, id="told") as container:
        process = await container.start(["sleep", "60"])
    for kind, status in STATUS.items():
        state = json.loads(recorded(kind, own_rootfs, tmp_path))
        wanted: dict[str, Any] = {
            "ociVersion": "1.3.0",
            "id": "told",
            "status": status,
            "bundle": str(tmp_path),
            "annotations": {"org.example": 'a "quote" and ü', "x": ""},
        }
        if kind != "poststop":
            wanted["pid"] = 1 if kind in INSIDE else process.pid
        assert state == wanted, kind


async def test_each_has_its_own_environment_and_nothing_else(
    own_rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "1")
    strays = [os.open("/", os.O_RDONLY) for _ in range(5)]
    for number in strays:
        os.set_inheritable(number, True)
    hooks = {}
    for kind in KINDS:
        script = (
            "cat > /dev/null; tr '\\0' '\\n' < /proc/self/environ; echo --; "
            "ls /proc/self/fd; echo --; pwd; umask; grep Sig /proc/self/status"
        )
        hook = recording(kind, own_rootfs, tmp_path, script)
        hooks[kind] = hook.model_copy(
            update={"env": {"PATH": "/bin:/usr/bin", "OWN": kind}}
        )
    config = Config(
        rootfs=own_rootfs,
        hooks=Hooks(**hooks),
        env={"SECRET_OF_THE_PROGRAM": "1"},
        bundle=tmp_path,
    )
    await run(config, ["/bin/true"])
    for number in strays:
        os.close(number)
    for kind in KINDS:
        said = recorded(kind, own_rootfs, tmp_path)
        env, numbers, rest = (part.split("\n") for part in said.split("--\n"))
        names = {line.partition("=")[0] for line in env if line}
        # The shell adds the last ones by itself.
        assert {"PATH", "OWN"} <= names <= {"PATH", "OWN", "PWD", "SHLVL", "_"}, kind
        assert f"OWN={kind}" in env
        # ls has the directory open, and the shell may keep a descriptor of its own.
        assert set(numbers) - {""} <= {"0", "1", "2", "3", "10"}, kind
        assert rest[0] == ("/" if kind == "start_container" else str(tmp_path))
        assert rest[1] == "0022"
        masks = dict(line.split(":") for line in rest[2:] if line)
        ignored = int(masks["SigIgn"], 16) & ~(1 << signal.SIGQUIT - 1)  # by busybox
        assert ignored == int(masks["SigBlk"], 16) == 0, (kind, said)


async def test_without_arguments_a_hook_has_its_path_as_its_name(
    rootfs: Path, tmp_path: Path
) -> None:
    script = tmp_path / "hook.sh"
    script.write_text(f"#!/bin/sh\necho $0 $# > {tmp_path}/said\n")
    script.chmod(0o755)
    hooks = Hooks(prestart=Hook(path=script))
    await run(Config(rootfs=rootfs, hooks=hooks), ["true"])
    assert (tmp_path / "said").read_text() == f"{script} 0\n"


async def test_where_each_kind_runs(own_rootfs: Path, tmp_path: Path) -> None:
    script = (
        "for kind in mnt pid net; do readlink /proc/self/ns/$kind; done; "
        "[ -e /work ] || [ -e /boot ] && echo host; id -u; "
        "grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    )
    hooks = everywhere(own_rootfs, tmp_path, script)
    config = Config(rootfs=own_rootfs, hooks=hooks, user="tester")
    async with Container(config) as container:
        process = await container.start(["sleep", "60"])
        inside = [
            os.readlink(f"/proc/{process.pid}/ns/{kind}")
            for kind in ("mnt", "pid", "net")
        ]
    host = [procfs.namespace(kind) for kind in ("mnt", "pid", "net")]
    for kind in KINDS:
        lines = recorded(kind, own_rootfs, tmp_path).splitlines()
        assert lines[:3] == (inside if kind in INSIDE else host), kind
        sees_the_host = "host" in lines
        assert sees_the_host == (kind != "start_container"), kind
        uid = lines[4 if sees_the_host else 3]
        assert uid == ("1000" if kind == "start_container" else "0")
        no_new_privs = lines[-1].split()[1]
        assert no_new_privs == ("1" if kind == "start_container" else "0")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"no_new_privs": False}, id="filter loaded early"),
        pytest.param({"seccomp": None}, id="no filter"),
        pytest.param({"namespaces": Namespaces(pid="host")}, id="pids of the host"),
        pytest.param(
            {
                "namespaces": Namespaces(user="new"),
                "uid_mappings": [IdMapping(container_id=0, host_id=0, size=65_536)],
                "gid_mappings": [IdMapping(container_id=0, host_id=0, size=65_536)],
            },
            id="user namespace",
        ),
        pytest.param({"cgroup": {"mode": "off"}}, id="no cgroup"),
    ],
)
async def test_hooks_run_in_all_kinds_of_containers(
    own_rootfs: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    tmp_path.chmod(0o777)
    hooks = everywhere(own_rootfs, tmp_path, "cat; echo; echo done")
    config = Config(rootfs=own_rootfs, hooks=hooks, **settings)
    result = await run(config, ["echo", "ran"])
    assert result.stdout == b"ran\n"
    for kind in KINDS:
        assert recorded(kind, own_rootfs, tmp_path).endswith("done\n"), kind


async def test_the_built_in_init_is_a_containers_program_too(
    own_rootfs: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    hooks = Hooks(**{
        kind: sh(f"echo {kind} >> {log}") for kind in KINDS if kind != "start_container"
    })  # fmt: skip
    async with Container(Config(rootfs=own_rootfs, hooks=hooks)) as container:
        for _ in range(3):
            await container.run(["true"])
    assert log.read_text().split() == [k for k in KINDS if k != "start_container"]


async def test_the_callers_own_children_are_not_disturbed(rootfs: Path) -> None:
    ended: list[int] = []

    async def watch_one() -> None:
        process = await anyio.open_process(["sh", "-c", "sleep 0.1; exit 7"])
        async with process:
            ended.append(await process.wait())

    hooks = Hooks(prestart=sh("true"), poststart=sh("true"), poststop=sh("true"))
    async with anyio.create_task_group() as group:
        group.start_soon(watch_one)
        for _ in range(3):
            await run(Config(rootfs=rootfs, hooks=hooks), ["true"])
    assert ended == [7]


# -- failures --------------------------------------------------------------------------

FAILURES = [
    pytest.param(sh("echo what went wrong >&2; exit 3"), "exit status 3: what", id="3"),
    pytest.param(sh("kill -9 $$"), "ended by signal 9", id="signal"),
    pytest.param(sh("sleep 60", timeout=0.05), "took longer than 0.05 s", id="late"),
    pytest.param(
        sh("echo so far; " + SLOW, timeout=0.2),
        "took longer than 0.2 s: so far",
        id="late with a family",
    ),
    pytest.param(Hook(path="/nothing"), "No such file", id="missing"),
    pytest.param(Hook(path="/etc/passwd"), "denied", id="not executable"),
    pytest.param(Hook(path="/etc"), "denied", id="directory"),
    pytest.param(Hook(path="/bin/false"), "exit status 1", id="silent"),
]


@pytest.mark.parametrize("kind", [*BEFORE, "poststart"])
@pytest.mark.parametrize(("hook", "words"), FAILURES)
@pytest.mark.covers("hooks.timeout")
async def test_a_hook_that_fails_ends_the_container(
    rootfs: Path, tmp_path: Path, kind: str, hook: Hook, words: str
) -> None:
    after = sh(f"touch {tmp_path}/after")
    hooks = only(kind, hook, poststop=after) if kind != "poststop" else only(kind, hook)
    async with Container(Config(rootfs=rootfs, hooks=hooks)) as container:
        with pytest.raises(SetupError, match=words) as caught:
            await container.start(["sleep", "60"])
        assert caught.value.step == f"run hook {KINDS[kind]} {hook.path}"
        assert container.pid is None or container.status() == "stopped"
    assert (tmp_path / "after").exists()


async def test_after_one_that_failed_no_other_runs(
    rootfs: Path, tmp_path: Path
) -> None:
    more = sh(f"touch {tmp_path}/more")
    hooks = Hooks(
        create_runtime=[sh("exit 1"), more], create_container=more, poststart=more
    )
    with pytest.raises(SetupError):
        await run(Config(rootfs=rootfs, hooks=hooks), ["true"])
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(("hook", "words"), FAILURES)
async def test_a_poststop_hook_that_fails_is_logged_and_the_next_runs(
    rootfs: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    hook: Hook,
    words: str,
) -> None:
    hooks = Hooks(poststop=[hook, sh(f"touch {tmp_path}/next")])
    with caplog.at_level(logging.WARNING, "aiocontainer"):
        await run(Config(rootfs=rootfs, hooks=hooks), ["true"])
    assert (tmp_path / "next").exists()
    assert [record.name for record in caplog.records] == ["aiocontainer"]
    assert words in caplog.text


FLOOD = "dd if=/dev/zero bs=65536 count=200 2>/dev/null | tr '\\0' x; echo the end"


@pytest.mark.parametrize("kind", KINDS)
async def test_output_without_measure_is_taken_and_thrown_away(
    rootfs: Path, kind: str
) -> None:
    await run(Config(rootfs=rootfs, hooks=only(kind, sh(FLOOD))), ["true"])


@pytest.mark.parametrize("kind", ["create_runtime", "create_container"])
async def test_of_a_lot_of_output_an_error_tells_a_little(
    rootfs: Path, kind: str
) -> None:
    hooks = only(kind, sh(f"{FLOOD}; exit 1"))
    with pytest.raises(SetupError) as caught:
        await run(Config(rootfs=rootfs, hooks=hooks), ["true"])
    assert 500 < len(str(caught.value)) < 2000


@pytest.mark.parametrize("kind", KINDS)
async def test_who_never_reads_the_state_holds_nobody_up(
    rootfs: Path, kind: str
) -> None:
    annotations = {str(number): "x" * 10_000 for number in range(100)}
    hooks = only(kind, sh("exec 0<&-; true"), sh("true"))
    config = Config(rootfs=rootfs, hooks=hooks, annotations=annotations)
    with anyio.fail_after(10):
        await run(config, ["true"])


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_hook_leaves_running_holds_nobody_up(
    own_rootfs: Path, tmp_path: Path, kind: str
) -> None:
    """It has our end of its output open, and lives on."""
    where = "/tmp" if kind == "start_container" else str(tmp_path)
    started = time.monotonic()
    hooks = only(kind, sh(f"sleep 60 & echo $! > {where}/pid"))
    async with Container(Config(rootfs=own_rootfs, hooks=hooks)) as container:
        await container.run(["true"])
    assert time.monotonic() - started < 10
    if kind in INSIDE:
        return  # gone with the container
    pid = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)  # noqa: ASYNC222


# -- cancelled, killed -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [*BEFORE, "poststart"])
async def test_a_start_cancelled_during_a_hook_leaves_nothing(
    own_rootfs: Path, tmp_path: Path, kind: str
) -> None:
    where = "/tmp" if kind == "start_container" else str(tmp_path)
    path = own_rootfs / "tmp/at" if kind == "start_container" else tmp_path / "at"
    hooks = only(
        kind, sh(f"echo x > {where}/at; {SLOW}"), poststop=sh(f"touch {tmp_path}/after")
    )
    config = Config(rootfs=own_rootfs, hooks=hooks)
    async with Container(config) as container, anyio.create_task_group() as group:
        group.start_soon(container.start, ["sleep", "60"])
        await _wait_for(path)
        group.cancel_scope.cancel()
    assert (tmp_path / "after").exists()


async def test_a_clean_up_cancelled_during_a_hook_runs_the_others(
    rootfs: Path, tmp_path: Path
) -> None:
    slow = sh(f"echo x > {tmp_path}/at; sleep 0.3; touch {tmp_path}/end")
    hooks = Hooks(poststop=[slow, sh(f"touch {tmp_path}/next")])
    async with anyio.create_task_group() as group:
        group.start_soon(run, Config(rootfs=rootfs, hooks=hooks), ["true"])
        await _wait_for(tmp_path / "at")
        group.cancel_scope.cancel()
    assert (tmp_path / "end").exists()
    assert (tmp_path / "next").exists()


async def test_one_that_a_task_s_cancellation_cuts_short_is_run_again(
    rootfs: Path, tmp_path: Path
) -> None:
    """No shield keeps out ``Task.cancel`` of asyncio."""
    log = tmp_path / "log"
    hook = sh(f"echo begun >> {log}; sleep 0.3; echo done >> {log}")
    config = Config(rootfs=rootfs, hooks=Hooks(poststop=hook))
    task = asyncio.ensure_future(run(config, ["true"]))
    await _wait_for(log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.read_text().split() == ["begun", "begun", "done"]


KILLED = """
import asyncio, sys
from aiocontainer import Config, Container
from aiocontainer.config import Hook, Hooks
from aiocontainer.proc import handshake

async def main():
    rootfs, kind, where, name = sys.argv[1:]
    script = f"sleep 60 & echo x > {where}/at; sleep 60"
    hook = Hook(path="/bin/sh", args=["sh", "-c", script])
    config = Config(rootfs=rootfs, hooks=Hooks(**{kind: hook}))
    async with Container(config, id=name) as it:
        await it.run(["true"])

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_program_killed_during_a_hook_leaves_nothing(
    own_rootfs: Path, tmp_path: Path, kind: str
) -> None:
    inside = kind == "start_container"
    where = "/tmp" if inside else str(tmp_path)
    at = own_rootfs / "tmp/at" if inside else tmp_path / "at"
    name = f"killed-{kind.replace('_', '-')}-{os.getpid()}"
    with program(KILLED, str(own_rootfs), kind, where, name) as child:
        deadline = time.monotonic() + 60
        while not at.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert at.exists()
        assert bool(_cgroups(name)) == (kind != "poststop")
        child.kill()
        assert child.left_behind() == []
        deadline = time.monotonic() + 5
        while _cgroups(name) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _cgroups(name) == []


def _cgroups(name: str) -> list[str]:
    own = procfs.own_cgroups()
    places = (
        Path(point + own.get(controllers, "/"), "aiocontainer", name)
        for point, controllers in procfs.cgroup_mounts().items()
    )
    return [str(path) for path in places if path.exists()]


@pytest.mark.parametrize("swept", [cancel_sweep, task_cancel_sweep])
async def test_a_life_with_hooks_cancelled_anywhere_leaves_nothing(
    rootfs: Path, swept: Any
) -> None:
    quick = sh("exec cat > /dev/null")  # one process: who is left is no orphan's
    config = Config(rootfs=rootfs, hooks=Hooks(**dict.fromkeys(KINDS, quick)))

    async def live() -> None:
        await run(config, ["true"])

    async def check(_point: int) -> None:
        left = [pid for pid in procfs.children() if _is_hook(pid)]
        assert left == []

    sweep = await swept(live, check)
    assert sweep.points > 10


def _is_hook(pid: int) -> bool:
    facts = procfs.read_stat(pid)
    return facts is not None and facts.name in ("sh", "cat")


async def test_of_a_container_that_is_created_and_started_in_two_steps(
    own_rootfs: Path, tmp_path: Path
) -> None:
    hooks = {}
    for kind in KINDS:
        root = "" if kind == "start_container" else own_rootfs
        hooks[kind] = sh(f"echo {kind} >> {root}/tmp/log")
    log = own_rootfs / "tmp/log"
    config = Config(rootfs=own_rootfs, hooks=Hooks(**hooks))
    names = [*KINDS]
    runtime = Runtime(tmp_path / "state")
    id = f"hooks-{os.getpid()}"
    async with await runtime.create(id, config, ["sleep", "60"]) as container:
        assert log.read_text().split() == names[:3]
        async with Runtime(tmp_path / "state").load(id) as loaded:
            await loaded.start()
        assert log.read_text().split() == names[:5]
        assert container.status() == "running"
    assert log.read_text().split() == names


@pytest.mark.parametrize("kind", ["start_container", "poststart"])
async def test_a_hook_that_fails_in_the_second_step_ends_the_container(
    rootfs: Path, tmp_path: Path, kind: str
) -> None:
    config = Config(rootfs=rootfs, hooks=only(kind, sh("echo why; exit 3")))
    id = f"hooks-{os.getpid()}"
    runtime = Runtime(tmp_path / "state")
    async with await runtime.create(id, config, ["sleep", "60"]) as container:
        with pytest.raises(SetupError, match="exit status 3: why"):
            await container.start()
        with anyio.fail_after(10):
            await container.wait()
        assert container.status() == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EIO, 0], ids=["EIO", "killed"])
async def test_a_kernel_call_around_a_hook_that_fails_leaves_nothing(
    rootfs: Path, code: int
) -> None:
    """The n-th call of each process that runs a hook, or is one, for all n."""
    quick = sh("cat > /dev/null")
    kinds = ("create_runtime", "create_container", "start_container")
    config = Config(rootfs=rootfs, hooks=Hooks(**dict.fromkeys(kinds, quick)))
    for at in range(1, 500):
        failed = False
        handshake.fault = ("*", at, code)
        try:
            with anyio.fail_after(20):
                await run(config, ["true"])
        except (SetupError, HandshakeError):
            failed = True
        finally:
            handshake.fault = None
        if not failed and at > 60:
            return
    raise AssertionError("it never succeeds")
