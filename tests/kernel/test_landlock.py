"""Landlock as an extra layer: what a program may reach is what the rules say."""

import socket
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    ExecError,
    Landlock,
    Mount,
    SetupError,
    UnsupportedFeature,
    run,
)
from aiocontainer._sys import landlock as sys_landlock
from aiocontainer.config import replace
from aiocontainer.plan.landlock import enforced, landlock_version, rules
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, PYTHON_ROOT

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "landlock"),
]


@pytest.fixture
def anyio_backend() -> Any:
    """What is tested is the same on every event loop."""
    return "asyncio", {}


@pytest.fixture
def config(rootfs: Path) -> Config:
    temporary = [Mount(destination=path, type="tmpfs") for path in ("/tmp", "/mnt")]
    rules = Landlock(read=["/etc"], write=["/tmp"], execute=["/bin"])
    return Config(rootfs=rootfs, mounts=temporary, landlock=rules)


SEES = """
for command in \
    'cat /etc/passwd' 'ls /etc' 'ls /' 'ls /proc' 'echo >/etc/new' 'true </dev/null' \
    'echo >/tmp/a' 'cat /tmp/a' 'mkdir /tmp/d' 'mv /tmp/a /tmp/d/a' 'rm -r /tmp/d' \
    'ln -s x /tmp/l' 'mkfifo /tmp/f' 'mknod /tmp/null c 1 3' \
    'echo >/mnt/a' 'ls /mnt' 'truncate -s 0 /etc/passwd' 'cp /bin/busybox /tmp/b' \
    '/tmp/b true' 'head -c1 /bin/busybox'
do
    if said=$(sh -c "$command" 2>&1); then echo "$command"; fi
done
exit 0
"""
MAY = [
    "cat /etc/passwd",
    "ls /etc",
    "echo >/tmp/a",
    "cat /tmp/a",
    "mkdir /tmp/d",
    "mv /tmp/a /tmp/d/a",
    "rm -r /tmp/d",
    "ln -s x /tmp/l",
    "mkfifo /tmp/f",
    "cp /bin/busybox /tmp/b",
    "head -c1 /bin/busybox",
]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="right before the exec"),
        pytest.param({"no_new_privs": False}, id="while there is the privilege"),
        pytest.param({"user": "0", "seccomp": None}, id="without a filter"),
    ],
)
@pytest.mark.covers("Landlock")
async def test_a_program_reaches_what_its_rules_allow_and_nothing_else(
    config: Config, settings: dict[str, Any]
) -> None:
    result = await run(replace(config, **settings), ["sh", "-c", SEES])
    assert result.stdout.decode().splitlines() == MAY


async def test_processes_that_join_have_rules_of_their_own(config: Config) -> None:
    async with Container(config) as container:
        for rules, status in (
            (Landlock(execute=["/bin"]), 1),
            (Landlock(execute=["/bin"], read=["/etc/passwd"]), 0),
            (None, 0),
        ):
            result = await container.run(["cat", "/etc/passwd"], landlock=rules)
            assert result.returncode == status, rules
        assert container.isolation.landlock


async def test_a_program_that_its_own_rules_forbid_is_not_executed(
    config: Config,
) -> None:
    with pytest.raises(ExecError, match="Permission denied"):
        await run(replace(config, landlock=Landlock(read=["/"])), ["true"])


async def test_a_path_that_is_not_there_is_named(config: Config) -> None:
    rules = Landlock(execute=["/"], read=["/no/such"])
    with pytest.raises(SetupError, match=r"landlock.*/no/such"):
        await run(replace(config, landlock=rules), ["true"])


async def test_paths_are_those_of_the_container(
    config: Config, own_rootfs: Path
) -> None:
    """A link in the image can't make the rules be about the host's files."""
    (own_rootfs / "link").symlink_to("/etc")
    (own_rootfs / "up").symlink_to("../../../../etc/passwd")
    rules = Landlock(execute=["/bin"], read=["/link", "/up"])
    config = Config(rootfs=own_rootfs, landlock=rules)
    result = await run(config, ["cat", "/etc/passwd"])
    assert b"tester" in result.stdout


NETWORK = """
import json, socket
def outcome(call, port):
    with socket.socket() as sock:
        try:
            getattr(sock, call)(("127.0.0.1", port))
        except OSError as error:
            return error.errno
        return 0
print(json.dumps([outcome("bind", 7001), outcome("bind", 7002),
    outcome("connect", 7001), outcome("connect", 7003)]))
"""
EACCES, ECONNREFUSED = 13, 111


@pytest.mark.skipif(landlock_version() < 4, reason="Landlock 4 is needed")
@pytest.mark.parametrize(
    ("ports", "outcomes"),
    [
        ({}, [0, 0, ECONNREFUSED, ECONNREFUSED]),
        ({"bind_tcp": [7001]}, [0, EACCES, ECONNREFUSED, ECONNREFUSED]),
        ({"connect_tcp": [7003]}, [0, 0, EACCES, ECONNREFUSED]),
        ({"bind_tcp": [], "connect_tcp": []}, [EACCES] * 4),
        (
            {"bind_tcp": [7002], "connect_tcp": [7001, 7002]},
            [EACCES, 0, ECONNREFUSED, EACCES],
        ),
    ],
)
async def test_ports_are_those_of_the_rules(
    ports: dict[str, Any], outcomes: list[int]
) -> None:
    rules = Landlock(execute=["/"], write=["/dev"], **ports)
    config = Config(rootfs=PYTHON_ROOT, landlock=rules)
    result = await run(config, [PYTHON, "-I", "-c", NETWORK])
    assert result.stdout.decode() == f"{outcomes}\n", result


@pytest.mark.skipif(landlock_version() < 6, reason="Landlock 6 is needed")
async def test_scopes_keep_signals_and_sockets_inside(rootfs: Path) -> None:
    name = "\0aiocontainer-test-landlock"
    source = f"""
import os, socket
def outcome(call, *args):
    try:
        call(*args)
    except OSError as error:
        return error.errno
    return 0
with socket.socket(socket.AF_UNIX) as sock:
    print(outcome(os.kill, 1, 0), outcome(sock.connect, {name!r}))
"""
    config = Config(rootfs=PYTHON_ROOT, namespaces={"network": "host"})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        async with Container(config) as container:
            for scope, said in (
                (frozenset(), b"0 0\n"),
                ({"signals", "abstract_unix_sockets"}, b"1 1\n"),
            ):
                result = await container.run(
                    [PYTHON, "-I", "-c", source],
                    landlock=Landlock(execute=["/"], scope=scope),
                )
                assert result.stdout == said, result


@pytest.mark.skipif(landlock_version() < 5, reason="Landlock 5 is needed")
async def test_devices_are_controlled_where_the_rules_say() -> None:
    source = """
import fcntl, termios
def outcome(path):
    with open(path, "rb", buffering=0) as file:
        try:
            fcntl.ioctl(file, 0x80045430, bytes(4))  # TIOCGPTN
        except OSError as error:
            return error.errno
        return 0
print(outcome("/dev/ptmx"))
"""
    said = []
    for devices in (None, ["/dev"], []):
        rules = Landlock(execute=["/"], device_ioctl=devices)
        config = Config(rootfs=PYTHON_ROOT, landlock=rules)
        result = await run(config, [PYTHON, "-I", "-c", source])
        said.append(result.stdout.decode().strip())
    assert said == ["0", "0", str(EACCES)]


# -- kernels that have less ------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fields", "lacking"),
    [
        (0, {}, "files"),
        (2, {}, "files"),
        (3, {}, None),
        (3, {"bind_tcp": [1]}, "bind_tcp"),
        (3, {"connect_tcp": []}, "connect_tcp"),
        (4, {"bind_tcp": [1], "connect_tcp": [1]}, None),
        (4, {"device_ioctl": []}, "device_ioctl"),
        (5, {"device_ioctl": []}, None),
        (5, {"scope": {"signals"}}, "signals"),
        (6, {"scope": {"signals", "abstract_unix_sockets"}}, None),
    ],
)
async def test_what_a_kernel_lacks_is_said_before_anything_is_touched(
    version: int, fields: dict[str, Any], lacking: str | None
) -> None:
    landlock = Landlock(execute=["/"], **fields)
    if lacking is None:
        assert "files" in enforced(landlock, version)
        assert rules(landlock, at_once=False, version=version) is not None
    else:
        with pytest.raises(UnsupportedFeature, match=lacking) as raised:
            enforced(landlock, version)
        assert raised.value.hint


async def test_a_container_of_a_kernel_without_is_refused(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiocontainer.plan import landlock

    monkeypatch.setattr(landlock, "landlock_version", lambda: 0)
    with pytest.raises(UnsupportedFeature, match="this kernel has none"):
        Container(replace(config, umask=0o77))


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        (0, set()),
        (1, {"files"}),
        (3, {"files"}),
        (4, {"files", "bind_tcp"}),
        (6, {"files", "bind_tcp", "signals"}),
    ],
)
async def test_the_best_effort_is_what_there_is(version: int, parts: set[str]) -> None:
    landlock = Landlock(write=["/"], bind_tcp=[1], scope={"signals"}, best_effort=True)
    assert enforced(landlock, version) == parts
    step = rules(landlock, at_once=False, version=version)
    assert (step is None) == (not parts)
    if step is not None:
        assert bool(step.files & sys_landlock.TRUNCATE) == (version >= 3)
        assert bool(step.files & sys_landlock.REFER) == (version >= 2)
        assert bool(step.network) == (version >= 4)
        assert bool(step.scoped) == (version >= 6)
        assert all(access & ~step.files == 0 for _, access in step.allowed)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("execute", {}),
        ("read[0]", {"read": ["etc"]}),
        ("bind_tcp[0]", {"execute": ["/"], "bind_tcp": [65536]}),
        ("connect_tcp[0]", {"execute": ["/"], "connect_tcp": [-1]}),
        ("scope", {"execute": ["/"], "scope": ["files"]}),
        ("delete", {"execute": ["/"], "delete": ["/"]}),
    ],
)
async def test_wrong_rules_are_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        Landlock(**fields)
    assert raised.value.field.startswith(field)
