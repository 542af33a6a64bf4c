"""What is written down of containers: whole, ours alone, and of the right process."""

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aiocontainer.errors import (
    ConfigError,
    ContainerExists,
    ContainerNotFound,
    StateError,
    StatusError,
)
from aiocontainer.state import (
    MOVES,
    Identity,
    Record,
    Remains,
    Store,
    check_id,
    check_move,
    default_root,
    gate,
    is_leftover,
    status_of,
)
from aiocontainer.state.record import parse


def record(id="web", **fields):
    return Record(id, fields.pop("owner", Identity.own()), **fields)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "state")


def ended():
    """The identity of a process that has ended and was reaped."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    found = Identity.of(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return found


# -- the root --------------------------------------------------------------------------


def test_nothing_is_made_before_the_first_container(store):
    assert store.ids() == []
    assert not os.path.exists(store.root)


def test_root_and_folders_are_for_their_user_alone(store):
    with store.create(record()) as folder:
        for path in (store.root, folder.path):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(f"{folder.path}/state.json").st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_root_that_others_can_write_to_is_refused(tmp_path, mode):
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)
    for use in (lambda s: s.create(record()), lambda s: s.open("web"), Store.ids):
        with pytest.raises(StateError, match="other users"):
            use(Store(tmp_path / "state"))


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_root_that_is_no_directory_is_refused(tmp_path, kind):
    path = tmp_path / "state"
    path.symlink_to(tmp_path) if kind == "link" else path.touch()
    with pytest.raises(StateError):
        Store(path).create(record())


def test_the_default_root_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == "/run/aiocontainer"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_root() == f"{tmp_path}/aiocontainer"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    with pytest.raises(StateError, match="XDG_RUNTIME_DIR"):
        default_root()


# -- ids -------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["a", "Web-1_2+3.4", "0" * 255, "-rf"])
def test_an_id_is_letters_digits_and_a_few_signs(id):
    assert check_id(id) == id


@pytest.mark.parametrize(
    "id", ["", ".", "..", ".web", "a/b", "a b", "é", "a\0", "a\n", "0" * 256, None, 3]
)
def test_an_id_that_could_lead_elsewhere_is_refused(store, id):
    for use in (check_id, store.open, lambda id: store.create(record(id))):
        with pytest.raises(ConfigError, match="id"):
            use(id)


# -- folders ---------------------------------------------------------------------------


def test_a_folder_appears_with_its_record(store):
    with store.create(record(args=["true"])), store.open("web") as again:
        assert again.read().args == ["true"]
    assert store.ids() == ["web"]


def test_an_id_can_be_taken_once(store):
    store.create(record()).close()
    with pytest.raises(ContainerExists) as caught:
        store.create(record())
    assert caught.value.id == "web"
    assert os.listdir(store.root) == ["web"]


def test_of_eight_programs_that_take_an_id_one_wins(store):
    pids = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            try:
                store.create(record())
                os._exit(0)
            except ContainerExists:
                os._exit(1)
            finally:
                os._exit(2)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert sorted(codes) == [0, *[1] * 7]
    assert os.listdir(store.root) == ["web"]


def test_what_is_not_there_is_not_found(store):
    with pytest.raises(ContainerNotFound) as caught:
        store.open("web")
    assert caught.value.id == "web"


def test_a_removed_container_is_gone_for_those_who_hold_its_folder(store):
    with store.create(record()) as folder, store.open("web") as other:
        folder.remove()
        assert store.ids() == []
        assert os.listdir(store.root) == []
        with pytest.raises(ContainerNotFound):
            other.read()
        folder.close()
        with pytest.raises(ContainerNotFound):
            other.try_lock()


def test_a_folder_with_files_of_others_is_left_alone(store):
    with store.create(record()) as folder:
        Path(folder.path, "exec.fifo").touch()
        with pytest.raises(StateError, match=r"exec\.fifo"):
            folder.remove()
        assert folder.read().id == "web"


def test_a_lock_is_one_programs_and_ends_with_it(store):
    store.create(record()).close()
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        store.open("web").try_lock()
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    with store.open("web") as folder:
        assert not folder.try_lock()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert folder.try_lock()
    for number in (*ready, *go):
        os.close(number)


def test_what_a_killed_program_was_making_or_removing_is_removed(store):
    store.create(record()).close()
    numbers = "-".join(map(str, ended().as_list()))
    mine = "-".join(map(str, Identity.own().as_list()))
    for owner in (numbers, mine):
        path = Path(store.root, f".{owner}-00000000")
        path.mkdir()
        (path / "state.json").touch()
    store.remove_abandoned()
    assert sorted(os.listdir(store.root)) == [f".{mine}-00000000", "web"]


# -- records ---------------------------------------------------------------------------

FULL = record(
    phase="ready",
    detached=True,
    args=["sleep", "\udcff"],
    init=Identity.own(),
    directories={"/sys/fs/cgroup/aiocontainer/web": 17, "/sys/fs/cgroup/x": None},
    cgroup={"version": 2},
    config={"rootfs": {"kind": "host"}},
    exit_status=-9,
    checkpoint="/var/tmp/image",
    extra={"bundle": "/srv"},
)


def test_a_record_says_after_reading_what_it_said_before_writing(store):
    with store.create(FULL) as folder:
        again = folder.read()
    assert again.text() == FULL.text()


def test_a_record_cut_off_anywhere_is_a_state_error():
    text = FULL.text()
    for size in range(len(text) - 2):
        with pytest.raises(StateError, match="state"):
            parse("state", text[:size])


def test_a_record_with_any_bit_flipped_is_read_or_a_state_error():
    text = FULL.text()
    for position in range(len(text)):
        changed = bytearray(text)
        changed[position] ^= 1 << position % 8
        try:
            parse("state", bytes(changed))
        except StateError:
            continue


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"owner": [1, 2]}, "owner", id="owner"),
        pytest.param({"owner": [1, -2, 3]}, "owner", id="negative"),
        pytest.param({"init": "1"}, "init", id="init"),
        pytest.param({"init": [True, 1, 1]}, "init", id="truth"),
        pytest.param({"phase": "done"}, "phase", id="phase"),
        pytest.param({"directories": {"/a/../b": 1}}, "directories", id="dots"),
        pytest.param({"directories": {"a": 1}}, "directories", id="relative"),
        pytest.param({"directories": {"/a": "1"}}, "directories", id="inode"),
        pytest.param({"args": [1]}, "args", id="args"),
        pytest.param({"config": []}, "config", id="config"),
        pytest.param({"more": 1}, "unknown", id="unknown-field"),
    ],
)
def test_each_field_of_a_record_is_checked(change, says):
    fields = {**json.loads(FULL.text()), **change}
    with pytest.raises(StateError, match=says) as caught:
        parse("state", json.dumps(fields).encode())
    assert not caught.value.is_foreign


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        pytest.param(b"", False, id="empty"),
        pytest.param(b"\0" * 4096, False, id="zeros"),
        pytest.param(b"[" * 100_000, False, id="nested"),
        pytest.param(b'{"id": "web", "init_process_pid": 1}', True, id="runc"),
        pytest.param(b'{"aiocontainer": 2}', True, id="later"),
        pytest.param(b'{"aiocontainer": true}', True, id="truth"),
        pytest.param(b"[]", True, id="list"),
    ],
)
def test_a_foreign_file_is_told_from_a_damaged_one(text, is_foreign):
    with pytest.raises(StateError) as caught:
        parse("state", text)
    assert caught.value.is_foreign == is_foreign


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "missing", "other id"])
def test_a_state_file_is_a_file_of_this_container(store, kind):
    with store.create(record()) as folder:
        path = Path(folder.path, "state.json")
        text = path.read_bytes()
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "link":
            Path(store.root, "elsewhere").write_bytes(text)
            path.symlink_to("../elsewhere")
        elif kind == "other id":
            path.write_bytes(text.replace(b'"web"', b'"wab"'))
        with pytest.raises(StateError):
            folder.read()


def test_a_record_that_cannot_be_written_leaves_the_old_one(store, monkeypatch):
    with store.create(record(args=["old"])) as folder:

        def full(*_args):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StateError, match="No space left"):
            folder.write(record(args=["new"]))
        monkeypatch.undo()
        assert folder.read().args == ["old"]


# -- processes -------------------------------------------------------------------------


def test_a_process_is_known_by_its_start_too():
    own = Identity.own()
    assert own.is_alive
    pidfd = own.open()
    assert pidfd is not None
    os.close(pidfd)
    for other in (
        Identity(own.pid, own.start_ticks + 1, own.pid_namespace),
        Identity(own.pid, own.start_ticks, own.pid_namespace + 1),
        ended(),
    ):
        assert not other.is_alive
        assert other.open() is None


def test_a_process_that_was_not_reaped_yet_is_not_alive():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    found = Identity.of(pid)
    assert not found.is_alive
    assert found.stat().is_zombie
    os.waitpid(pid, 0)


# -- status ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "leftover"),
    [
        pytest.param({}, False, id="its program runs"),
        pytest.param({"owner": "gone"}, True, id="its program is gone"),
        pytest.param({"owner": "gone", "detached": True}, False, id="detached"),
        pytest.param({"detached": True, "boot_id": "x"}, True, id="before the boot"),
        pytest.param({"owner": Identity(1, 1, 1)}, False, id="other pid namespace"),
    ],
)
def test_a_leftover_is_what_its_program_should_have_removed(fields, leftover):
    if fields.get("owner") == "gone":
        fields = {**fields, "owner": ended()}
    assert is_leftover(record(**fields)) == leftover


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({}, "creating", id="no process yet"),
        pytest.param({"init": "own"}, "running", id="running"),
        pytest.param({"init": "gone"}, "stopped", id="ended"),
        pytest.param({"init": "gone", "checkpoint": "/x"}, "checkpointed", id="image"),
        pytest.param({"init": "own", "boot_id": "x"}, "stopped", id="before the boot"),
        pytest.param({"owner": "gone"}, "stopped", id="never got to a process"),
    ],
)
def test_the_status_is_asked_of_the_kernel(store, fields, status):
    named = {"own": Identity.own(), "gone": ended()}
    for name in ("init", "owner"):
        fields = {**fields, name: named.get(fields.get(name), fields.get(name))}
    if fields["owner"] is None:
        del fields["owner"]
    with store.create(record(**fields)) as folder:
        assert status_of(folder, folder.read()) == status


@pytest.mark.parametrize("wanted", MOVES)
def test_a_move_that_the_status_does_not_allow_is_refused(wanted):
    for status in ("creating", "created", "running", "paused", "stopped"):
        if status in MOVES[wanted]:
            check_move(status, wanted)
        else:
            with pytest.raises(StatusError) as caught:
                check_move(status, wanted)
            assert (caught.value.status, caught.value.wanted) == (status, wanted)


# -- the gate --------------------------------------------------------------------------


def test_a_gate_is_shut_while_somebody_holds_its_other_side(store):
    with store.create(record()) as folder:
        assert not gate.is_shut(folder)
        listening = gate.build(folder)
        with pytest.raises(OSError, match="in use"):
            gate.build(folder)
        for _ in range(1000):  # more than may wait there: then somebody is busy
            assert gate.is_shut(folder)
        os.close(listening)
        assert not gate.is_shut(folder)
        assert gate.knock(folder) is None
        gate.remove(folder)
        gate.remove(folder)
        assert os.listdir(folder.path) == ["state.json"]


# -- remains ---------------------------------------------------------------------------


def test_a_directory_that_took_the_name_since_is_left_alone(tmp_path):
    path = tmp_path / "cgroup"
    path.mkdir()
    other = record(directories={str(path): path.stat().st_ino + 1})
    assert Remains(other).remove()
    assert path.is_dir()
    same = record(directories={str(path): path.stat().st_ino})
    assert Remains(same).remove()
    assert not path.exists()
    assert Remains(same).remove()


def test_what_is_in_use_is_not_said_to_be_removed(tmp_path):
    path = tmp_path / "cgroup"
    path.mkdir()
    (path / "in use").touch()
    used = record(directories={str(path): path.stat().st_ino})
    assert not Remains(used).remove()


def test_only_members_of_the_same_cgroup_are_told_and_signalled(tmp_path):
    (tmp_path / "sub").mkdir()
    with subprocess.Popen(["sleep", "60"]) as child:
        (tmp_path / "cgroup.procs").write_text("")
        (tmp_path / "sub/cgroup.procs").write_text(f"0\n{child.pid}\n")
        inode = tmp_path.stat().st_ino
        for wrong in (inode + 1, None):
            other = Remains(record(directories={str(tmp_path): wrong}))
            assert other.members() == []
            other.signal(signal.SIGTERM)
            assert child.poll() is None
        same = Remains(record(directories={str(tmp_path): inode}))
        assert same.members() == [child.pid]
        same.signal(signal.SIGTERM)
        assert child.wait(10) == -signal.SIGTERM


def test_more_processes_are_signalled_than_descriptors_may_be_open(tmp_path):
    script = "for i in $(seq 250); do sleep 60 & done; echo made; wait; echo ended"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as shell:
        assert shell.stdout.readline() == b"made\n"
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text()
        (tmp_path / "cgroup.procs").write_text(children.replace(" ", "\n"))
        all_of_them = record(directories={str(tmp_path): tmp_path.stat().st_ino})
        resource.setrlimit(resource.RLIMIT_NOFILE, (240, before[1]))
        try:
            Remains(all_of_them).signal(signal.SIGTERM)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert shell.stdout.readline() == b"ended\n"


def test_the_state_layer_loads_no_models_and_no_event_loop():
    program = (
        "import sys; import aiocontainer.state;"
        "print(*({m.partition('.')[0] for m in sys.modules} & {'pydantic', 'anyio',"
        " 'asyncio', 'typing', 'dataclasses', 'signal', 'socket', 'pathlib'}))"
    )
    root = str(Path(__file__).parents[2])
    found = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": root},
        capture_output=True,
        check=True,
    )
    assert found.stdout.split() == []
