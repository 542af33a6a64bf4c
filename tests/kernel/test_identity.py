"""Who a program is: ids, groups, capabilities, limits, names, and where it starts."""

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import (
    Capabilities,
    Config,
    ConfigError,
    Container,
    ExecError,
    Mount,
    SetupError,
    UnsupportedFeature,
    run,
)
from aiocontainer.config import CAPABILITIES, DEFAULT_CAPABILITIES
from aiocontainer.plan.host import HostFacts
from tests.support.capabilities import needs
from tests.support.inside import shell, shell_in, status_fields

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


# -- users and groups ------------------------------------------------------------------

USERS = [
    # form, additional groups, (uid, gid), supplementary groups, home
    pytest.param("0", (), (0, 0), [], "/root", id="root"),
    pytest.param("1", (), (1, 1), [], "/usr/sbin", id="uid of the passwd file"),
    pytest.param("1000", (), (1000, 1000), [29, 100], "/home/tester", id="tester"),
    pytest.param("tester", (), (1000, 1000), [29, 100], "/home/tester", id="name"),
    pytest.param("4711", (), (4711, 0), [], "/", id="unknown uid"),
    pytest.param("1:2", (), (1, 2), [], "/usr/sbin", id="uid:gid"),
    pytest.param("4711:4712", (), (4711, 4712), [], "/", id="unknown uid:gid"),
    pytest.param("tester:audio", (), (1000, 29), [], "/home/tester", id="name:group"),
    pytest.param("tester:4711", (), (1000, 4711), [], "/home/tester", id="name:gid"),
    pytest.param("1000:users", (), (1000, 100), [], "/home/tester", id="uid:group"),
    pytest.param(
        *("tester:users", (29, "nogroup", 4711), (1000, 100), [29, 4711, 65534]),
        "/home/tester",
        id="additional",
    ),
    pytest.param("tester", (7,), (1000, 1000), [7, 29, 100], "/home/tester", id="both"),
    pytest.param("4294967294:4294967294", (), (2**32 - 2,) * 2, [], "/", id="largest"),
    pytest.param("0", (0, 5, 5), (0, 0), [0, 5], "/root", id="said twice"),
]

WHO = 'grep -E "^(Uid|Gid|Groups)" /proc/self/status; echo $HOME'


@pytest.mark.parametrize(("user", "groups", "ids", "supplementary", "home"), USERS)
@pytest.mark.covers("user and group names of the root's files")
async def test_each_form_of_a_user(
    rootfs: Path,
    user: str,
    groups: tuple[int | str, ...],
    ids: tuple[int, int],
    supplementary: list[int],
    home: str,
) -> None:
    said = await shell(Config(rootfs=rootfs, user=user, groups=groups), WHO)
    lines = said.splitlines()
    # Real, effective, saved and that of file access: none is left at root.
    assert lines[0].split()[1:] == [str(ids[0])] * 4
    assert lines[1].split()[1:] == [str(ids[1])] * 4
    assert list(map(int, lines[2].split()[1:])) == supplementary
    assert lines[3] == home


@pytest.mark.parametrize(
    "user",
    [
        *("", ":", "1:", ":2", "+1", "-1", " 1", "1 ", "1:2:3", "4294967295"),
        *("99999999999", "root\n", "a/b", "1\0", "0x1", "1,2", "²"),
    ],
)
async def test_a_wrong_form_is_refused_before_anything_is_touched(
    rootfs: Path, user: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(rootfs=rootfs, user=user)
    assert caught.value.field == "user"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        pytest.param({"user": "nobody-here"}, "nobody-here", id="user"),
        pytest.param({"user": "tester:nogroup-here"}, "nogroup-here", id="group"),
        pytest.param({"groups": ["nogroup-here"]}, "nogroup-here", id="additional"),
    ],
)
async def test_a_name_that_nobody_has_is_named(
    rootfs: Path, settings: dict[str, Any], word: str
) -> None:
    with pytest.raises(SetupError, match=word) as caught:
        await run(Config(rootfs=rootfs, **settings), ["true"])
    assert "find user" in caught.value.step


async def test_an_image_without_user_files_can_run_numbers(own_rootfs: Path) -> None:
    (own_rootfs / "etc/passwd").unlink()
    (own_rootfs / "etc/group").unlink()
    said = await shell(Config(rootfs=own_rootfs, user="12:34", groups=[56]), WHO)
    assert [line.split()[1:2] for line in said.splitlines()[:3]] == [
        *(["12"], ["34"], ["56"])
    ]
    with pytest.raises(SetupError):
        await run(Config(rootfs=own_rootfs, user="root"), ["true"])


PASSWD = [
    pytest.param("1000:x:0:0::/:/bin/sh\n", "1000", (1000, 0), id="name of digits"),
    pytest.param(
        "a:x:5:6::/a:\na:x:0:0::/:\n", "a", (5, 6), id="the first of one name counts"
    ),
    pytest.param(
        "a:x:5:6::/a:\nb:x:5:7::/b:\n", "5", (5, 6), id="the first of one uid counts"
    ),
    pytest.param("a:x:5:6", "a", (5, 6), id="no end of line"),
    pytest.param("#a:x:5:6\n\n:::\na:x:5:6:::\n", "a", (5, 6), id="odd lines"),
    pytest.param("a:x:99999999999:6:::\na:x:5:6:::\n", "a", (5, 6), id="huge uid"),
    pytest.param(
        f"a:x:{'9' * 5000}:6:::\na:x:5:6:::\n", "a", (5, 6), id="uid of 5000 digits"
    ),
    pytest.param(
        f"a:x:5:{'9' * 5000}:::\na:x:5:6:::\n", "a", (5, 6), id="gid of 5000 digits"
    ),
    pytest.param("a:x:-1:6:::\na:x:5:6:::\n", "a", (5, 6), id="negative uid"),
    pytest.param("a:x:4294967295:6:::\na:x:5:6:::\n", "a", (5, 6), id="no id at all"),
    pytest.param("a:x:5:4294967295:::\na:x:5:6:::\n", "a", (5, 6), id="no gid at all"),
    pytest.param("a:x:5:6\0:::\na:x:7:8:::\n", "a", (7, 8), id="a NUL"),
    pytest.param("a:x:٣:6:::\na:x:7:8:::\n", "a", (7, 8), id="other digits"),
    pytest.param("a:x: 5:6:::\na:x:7:8:::\n", "a", (7, 8), id="a space"),
    pytest.param("+::::::\na:x:5:6:::\n", "a", (5, 6), id="NIS"),
    pytest.param("a:x:5:6\r\n", "a", None, id="DOS line end"),
    pytest.param("x" * (2 << 20) + "\na:x:5:6:::\n", "a", None, id="a line of 2 MiB"),
    pytest.param("a\n" * 70000 + "a:x:5:6:::\n", "a", None, id="70,000 lines"),
    # Cut at the limit of a mebibyte the last line would read as uid 1.
    pytest.param(
        "#" + "x" * ((1 << 20) - 9) + "\na:x:1:1000:::\n", "a", None, id="cut in two"
    ),
]


@pytest.mark.parametrize(("text", "user", "ids"), PASSWD)
async def test_the_passwd_file_is_read_with_care(
    own_rootfs: Path, text: str, user: str, ids: tuple[int, int] | None
) -> None:
    (own_rootfs / "etc/passwd").write_bytes(text.encode())
    config = Config(rootfs=own_rootfs, user=user)
    if ids is None:
        with pytest.raises(SetupError):
            await run(config, ["true"])
        return
    said = await shell(config, WHO)
    assert [int(line.split()[1]) for line in said.splitlines()[:2]] == list(ids)


async def test_a_joined_program_can_be_somebody_else(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs, user="tester")) as container:
        assert (await shell_in(container, "id -u; echo $HOME")).split() == [
            *("1000", "/home/tester")
        ]
        assert (await shell_in(container, "id -u; echo $HOME", user=0)).split() == [
            *("0", "/root")
        ]
        said = await shell_in(container, WHO, user="daemon:users", groups=["audio"])
        assert "Groups:\t29" in said


# -- capabilities ----------------------------------------------------------------------

HELD = [n for n, bit in CAPABILITIES.items() if HostFacts.read().bounding >> bit & 1]
LACKED = sorted(set(CAPABILITIES) - set(HELD))


def mask(names: Iterable[str]) -> int:
    return sum(1 << CAPABILITIES[name] for name in names)


async def capabilities_of(container: Container, **settings: Any) -> dict[str, int]:
    result = await container.run(["cat", "/proc/self/status"], **settings)
    fields = status_fields(result.stdout.decode())
    return {name: int(fields[name], 16) for name in SETS}


def of_user(wanted: Capabilities) -> dict[str, int]:
    """What exec leaves a user other than root (capabilities(7))."""
    ambient = mask(wanted.ambient)
    return {
        "CapInh": mask(wanted.inheritable),
        "CapPrm": ambient,
        "CapEff": ambient,
        "CapBnd": mask(wanted.bounding),
        "CapAmb": ambient,
    }


def of_root(wanted: Capabilities) -> dict[str, int]:
    """What exec gives root: all that is bounding or inheritable, but with
    no_new_privs no more than was permitted."""
    permitted = mask(wanted.permitted) & mask(wanted.bounding | wanted.inheritable)
    return {
        "CapInh": mask(wanted.inheritable),
        "CapPrm": permitted,
        "CapEff": permitted,
        "CapBnd": mask(wanted.bounding),
        "CapAmb": mask(wanted.ambient),
    }


async def test_each_capability_is_in_exactly_the_sets_it_was_asked_for(
    rootfs: Path,
) -> None:
    """One container, a joined process for each capability and set: 41 x 5 cases."""
    async with Container(Config(rootfs=rootfs)) as container:
        for name in HELD:
            one = frozenset({name})
            cases = [
                Capabilities(bounding=one),
                Capabilities(permitted=one, effective=one, bounding=one),
                Capabilities(inheritable=one, bounding=one),
                Capabilities(
                    *(), inheritable=one, permitted=one, ambient=one, bounding=one
                ),
            ]
            for wanted in cases:
                got = await capabilities_of(container, user=1000, capabilities=wanted)
                assert got == of_user(wanted), (name, wanted)
            wanted = cases[1]
            assert await capabilities_of(container, capabilities=wanted) == of_root(
                wanted
            ), name


async def test_all_capabilities_at_once_and_none(rootfs: Path) -> None:
    everything = Capabilities.of(*HELD)
    config = Config(rootfs=rootfs, capabilities=everything)
    async with Container(config) as container:
        assert await capabilities_of(container) == of_root(everything)
        nothing = await capabilities_of(container, capabilities=Capabilities())
        assert set(nothing.values()) == {0}


async def test_the_defaults_are_few_and_none_is_inheritable(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        assert await capabilities_of(container) == of_root(DEFAULT_CAPABILITIES)
        # The container's own program, and not only the ones that join.
        text = Path(f"/proc/{container.pid}/status").read_text()
    fields = status_fields(text)
    assert int(fields["CapBnd"], 16) == mask(DEFAULT_CAPABILITIES.bounding)
    assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0


async def test_what_the_caller_lacks_is_refused_by_name(rootfs: Path) -> None:
    if not LACKED:
        pytest.skip("nothing is lacking here")
    config = Config(rootfs=rootfs, capabilities=Capabilities.of(LACKED[0]))
    with pytest.raises(UnsupportedFeature, match=LACKED[0]):
        await run(config, ["true"])


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.covers("no_new_privs")
async def test_set_user_id_programs_give_nothing_unless_allowed(
    own_rootfs: Path, locked: bool
) -> None:
    # Not busybox, which gives such privileges back by itself.
    program = own_rootfs / "grep-as-root"
    shutil.copy(shutil.which("grep", path="/usr/bin:/bin") or "", program)
    program.chmod(0o4755)
    libraries = ("/usr", "/lib", "/lib64")
    mounts = [Mount.bind(p, readonly=True) for p in libraries if os.path.exists(p)]
    config = Config(
        rootfs=own_rootfs, mounts=mounts, user="tester", no_new_privs=locked
    )
    script = "/grep-as-root -E '^(Uid|NoNewPrivs|Seccomp):' /proc/self/status"
    fields = status_fields(await shell(config, script))
    assert fields["NoNewPrivs"] == str(int(locked))
    assert fields["Seccomp"] == "2"
    assert fields["Uid"].split()[1] == ("1000" if locked else "0")


# -- limits, umask, working directory --------------------------------------------------


async def test_limits_are_the_ones_asked_for_and_others_stay(rootfs: Path) -> None:
    limits = {
        "nofile": 123,
        "RLIMIT_CORE": (0, 0),
        "cpu": (60, 120),
        "nproc": (77, None),
        "fsize": "unlimited",
    }
    if HostFacts.read().bounding >> CAPABILITIES["CAP_SYS_RESOURCE"] & 1 == 0:
        limits.pop("nproc")
    config = Config(rootfs=rootfs, rlimits=limits)  # type: ignore[arg-type]
    said = await shell(config, "cat /proc/self/limits")
    rows = {line[:25].strip(): line[25:].split()[:2] for line in said.splitlines()[1:]}
    assert rows["Max open files"] == ["123", "123"]
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max cpu time"] == ["60", "120"]
    assert rows["Max file size"] == ["unlimited", "unlimited"]
    own = Path("/proc/self/limits").read_text().splitlines()
    stack = next(line for line in own if line.startswith("Max stack size"))
    assert rows["Max stack size"] == stack[25:].split()[:2]


async def test_a_hard_limit_that_may_not_be_raised_says_so(rootfs: Path) -> None:
    if HostFacts.read().bounding >> CAPABILITIES["CAP_SYS_RESOURCE"] & 1:
        pytest.skip("this user may raise any limit")
    config = Config(rootfs=rootfs, rlimits={"nofile": 1 << 22})
    with pytest.raises(SetupError) as caught:
        await run(config, ["true"])
    assert caught.value.step == "raise limits"
    assert isinstance(caught.value.__cause__, PermissionError)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0, 0o777])
async def test_the_umask_is_the_one_asked_for(rootfs: Path, umask: int) -> None:
    config = Config(rootfs=rootfs, umask=umask)
    assert int(await shell(config, "umask"), 8) == umask
    async with Container(config) as container:
        assert int(await shell_in(container, "umask"), 8) == umask
        assert int(await shell_in(container, "umask", umask=0o27), 8) == 0o27


async def test_the_working_directory(own_rootfs: Path) -> None:
    config = Config(rootfs=own_rootfs, cwd="/home/tester", user="tester")
    assert await shell(config, "pwd; echo x > here") == "/home/tester\n"
    assert (own_rootfs / "home/tester/here").stat().st_uid == 1000


async def test_a_working_directory_that_only_root_may_enter_is_entered(
    own_rootfs: Path,
) -> None:
    (own_rootfs / "root").chmod(0o700)
    (own_rootfs / "root/below").mkdir()
    config = Config(rootfs=own_rootfs, cwd="/root/below", user="tester")
    assert await shell(config, "pwd") == "/root/below\n"


async def test_a_working_directory_that_is_missing_is_named(rootfs: Path) -> None:
    with pytest.raises(SetupError, match="/no/such") as caught:
        await run(Config(rootfs=rootfs, cwd="/no/such"), ["true"])
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.step == "change directory to /no/such"


async def test_pipes_can_be_opened_again_by_the_user(rootfs: Path) -> None:
    """``/dev/stdout`` is opened by name by many programs' loggers."""
    config = Config(rootfs=rootfs, user="tester")
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin"
    result = await run(config, ["sh", "-c", script], input=b"in")
    assert (result.stdout, result.stderr) == (b"out\nin", b"err\n")


# -- names, scores, keys, parameters ---------------------------------------------------


async def test_host_and_domain_name(rootfs: Path) -> None:
    before = os.uname().nodename
    config = Config(rootfs=rootfs, hostname="box", domainname="example.org")
    said = await shell(config, "hostname; cat /proc/sys/kernel/domainname")
    assert said.split() == ["box", "example.org"]
    assert os.uname().nodename == before
    result = await run(Config(rootfs=rootfs), ["hostname"], id="given-id")
    assert result.stdout == b"given-id\n"


async def test_the_score_of_the_out_of_memory_killer(rootfs: Path) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    read = ["cat", "/proc/self/oom_score_adj"]
    async with Container(Config(rootfs=rootfs, oom_score_adj=own + 100)) as container:
        first = await container.start(["sleep", "100"])
        score = Path(f"/proc/{first.pid}/oom_score_adj").read_text()
        assert int(score) == own + 100
        assert int((await container.run(read)).stdout) == own + 100
        other = await container.run(read, oom_score_adj=own + 200)
        assert int(other.stdout) == own + 200
    assert int((await run(Config(rootfs=rootfs), read)).stdout) == own


async def test_parameters_of_the_containers_namespaces(rootfs: Path) -> None:
    names = {
        "net.ipv4.ip_forward": "/proc/sys/net/ipv4/ip_forward",
        "net.ipv4.conf.lo.forwarding": "/proc/sys/net/ipv4/conf/lo/forwarding",
        "kernel.msgmax": "/proc/sys/kernel/msgmax",
        "fs.mqueue.msg_max": "/proc/sys/fs/mqueue/msg_max",
    }
    before = [Path(path).read_text() for path in names.values()]
    values = dict(zip(names, ("1", "1", "4096", "5"), strict=True))
    config = Config(rootfs=rootfs, sysctl=values)
    said = await shell(config, f"cat {' '.join(names.values())}")
    assert said.split() == list(values.values())
    assert [Path(path).read_text() for path in names.values()] == before


async def test_a_parameter_that_is_not_there_is_named(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, sysctl={"net.ipv4.no_such": "1"})
    with pytest.raises(SetupError, match="no_such"):
        await run(config, ["true"])


async def test_the_environment_is_whole_and_exact(rootfs: Path) -> None:
    env = {"PATH": "/bin", "ODD": "a=b\nc", "EMPTY": "", "ÜML": "ü", "LD_PRELOAD": "/x"}
    result = await run(Config(rootfs=rootfs, env=env), ["env", "-0"])
    if result.returncode != 0:
        result = await run(
            Config(rootfs=rootfs, env=env), ["cat", "/proc/self/environ"]
        )
    entries = result.stdout.decode().rstrip("\0").split("\0")
    assert sorted(entries) == sorted(
        [*(f"{k}={v}" for k, v in env.items()), "HOME=/root"]
    )


# -- what is executed ------------------------------------------------------------------

PROGRAMS = [
    pytest.param("missing", FileNotFoundError, id="not on PATH"),
    pytest.param("/missing", FileNotFoundError, id="missing"),
    pytest.param("/etc", PermissionError, id="a directory"),
    pytest.param("/etc/passwd", PermissionError, id="not executable"),
    pytest.param("/etc/passwd/x", NotADirectoryError, id="below a file"),
    pytest.param("/script", FileNotFoundError, id="interpreter missing"),
    pytest.param("/text", OSError, id="no format known"),
]


@pytest.mark.parametrize(("name", "kind"), PROGRAMS)
async def test_what_can_not_be_executed_is_an_exec_error(
    own_rootfs: Path, name: str, kind: type[OSError]
) -> None:
    for file, text in (("script", "#!/no/interpreter\n"), ("text", "hello")):
        (own_rootfs / file).write_text(text)
        (own_rootfs / file).chmod(0o755)
    with pytest.raises(ExecError) as caught:
        await run(Config(rootfs=own_rootfs), [name])
    assert isinstance(caught.value.__cause__, kind)
    assert caught.value.program == name


async def test_programs_are_found_on_the_path_of_their_environment(
    own_rootfs: Path,
) -> None:
    for number, folder in enumerate(("first", "second", "third")):
        (own_rootfs / folder).mkdir()
        program = own_rootfs / folder / "wanted"
        program.write_text(f"#!/bin/sh\necho {number}\n")
        program.chmod(0o644 if number == 0 else 0o755)
    (own_rootfs / "zeroth/wanted").mkdir(parents=True)
    path = "/nowhere:/zeroth:/first:/second:/third:/bin"
    result = await run(Config(rootfs=own_rootfs, env={"PATH": path}), ["wanted"])
    assert result.stdout == b"1\n"


async def test_pipes_given_to_another_user_stay_the_callers(rootfs: Path) -> None:
    reader, writer = os.pipe()
    try:
        before = stat.S_IMODE(os.fstat(writer).st_mode), os.fstat(writer).st_uid
        config = Config(rootfs=rootfs, user="tester")
        await run(config, ["echo", "hello"], stdout=writer)
        assert os.read(reader, 100) == b"hello\n"
        assert (
            stat.S_IMODE(os.fstat(writer).st_mode),
            os.fstat(writer).st_uid,
        ) == before
    finally:
        os.close(reader)
        os.close(writer)
