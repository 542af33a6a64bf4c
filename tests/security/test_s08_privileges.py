"""S8: privileges go in the kernel's order, and nothing is called after the filter."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Capabilities, Config, Container, Namespaces, run
from aiocontainer.config import DEFAULT_CAPABILITIES
from tests.support.capabilities import needs
from tests.support.inside import status_fields
from tests.support.tracing import traced

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "strace"),
]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def calls_by_process(log: str) -> dict[str, list[str]]:
    """{pid: [call with arguments, ...]}, in order, without signals and resumptions."""
    found: dict[str, list[str]] = {}
    for line in log.splitlines():
        pid, _, text = line.partition(" ")
        if re.match(r"\s*[a-z_0-9]+\(", text):
            found.setdefault(pid, []).append(text.strip())
    return found


async def traced_life(config: Config, log: Path, joined: bool) -> list[str]:
    """The calls of the process that becomes ``true``, up to its execve."""
    async with Container(config) as container:
        if joined:
            await container.run(["true"])
        else:
            await run(config, ["true"])
        with traced(log, "-e", "trace=!close_range"):
            if joined:
                await container.run(["true"])
            else:
                await run(config, ["true"])
    lives = [
        calls
        for calls in calls_by_process(log.read_text()).values()
        if any(call.startswith(("execve(", "execveat(")) for call in calls)
    ]
    (life,) = [calls for calls in lives if any('"/bin/true"' in call for call in calls)]
    end = next(i for i, call in enumerate(life) if call.startswith("execve"))
    return life[: end + 1]


@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_between_the_filter_and_the_program_there_is_nothing(
    rootfs: Path, tmp_path: Path, joined: bool
) -> None:
    """A filter may refuse any call; and each that it had to allow for us would be
    allowed to the program."""
    life = await traced_life(Config(rootfs=rootfs), tmp_path / "log", joined)
    assert life[-2].startswith("seccomp(SECCOMP_SET_MODE_FILTER"), life[-4:]
    assert life[-1].startswith('execve("/bin/true"')


ORDER = (
    "PR_SET_NO_NEW_PRIVS",
    "PR_CAPBSET_DROP",
    "PR_SET_KEEPCAPS, 1",
    "setgroups(",
    "setresgid(",
    "setresuid(",
    "PR_SET_DUMPABLE, ",
    "PR_SET_KEEPCAPS, 0",
    "capset(",
    "seccomp(SECCOMP_SET_MODE_FILTER",
    "execve(",
)


@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_each_privilege_goes_when_nothing_needs_it_any_more(
    rootfs: Path, tmp_path: Path, joined: bool
) -> None:
    config = Config(rootfs=rootfs, user="tester")
    life = await traced_life(config, tmp_path / "log", joined)
    places = []
    for word in ORDER:
        at = [i for i, call in enumerate(life) if word in call]
        assert at, f"{word} isn't called"
        places.append((at[-1], word))
    assert places == sorted(places)
    # The ids of a process in between can't be used to look into it.
    change = next(i for i, call in enumerate(life) if call.startswith("setresuid("))
    assert "PR_SET_DUMPABLE, SUID_DUMP_DISABLE" in life[change + 1]


async def test_a_container_is_what_was_asked_for(rootfs: Path) -> None:
    """Seen from outside, once it runs: ids, capabilities, filter, namespaces."""
    capabilities = Capabilities.of("CHOWN", "NET_ADMIN")
    config = Config(
        rootfs=rootfs,
        user="tester:users",
        groups=["audio"],
        umask=0o27,
        capabilities=capabilities,
        namespaces=Namespaces(network="host"),
    )
    async with Container(config) as container:
        process = await container.start(["sleep", "100"])
        joined = await container.start(["sleep", "100"])
        for pid in (process.pid, joined.pid):
            fields = status_fields(Path(f"/proc/{pid}/status").read_text())
            assert fields["Uid"].split() == ["1000"] * 4
            assert fields["Gid"].split() == ["100"] * 4
            assert fields["Groups"].split() == ["29"]
            assert fields["Umask"] == "0027"
            assert int(fields["CapBnd"], 16) == 1 << 0 | 1 << 12
            assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
            assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0
            assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
            shared = {
                kind
                for kind in os.listdir("/proc/self/ns")
                if "children" not in kind
                and os.readlink(f"/proc/{pid}/ns/{kind}")
                == os.readlink(f"/proc/self/ns/{kind}")
            }
            assert shared == {"net", "user", "time"}


async def test_no_capability_is_ever_inheritable_by_default() -> None:
    """CVE-2022-24769: programs with file capabilities would get more than was meant."""
    assert DEFAULT_CAPABILITIES.inheritable == frozenset()
    assert DEFAULT_CAPABILITIES.ambient == frozenset()
    assert Capabilities.of("CHOWN").inheritable == frozenset()
