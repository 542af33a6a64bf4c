"""OCI documents run: each field has the effect on the kernel that the spec wants."""

import os
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Container
from aiocontainer.config.bundle import Bundle, read_process
from tests.support.capabilities import needs
from tests.support.cgroups import LAYOUT
from tests.support.inside import status_fields
from tests.support.oci_documents import document, said, sample, with_field

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

V2 = LAYOUT.mode == "v2"


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


NEW = {"type": "bind", "options": ["bind", "ro", "nosuid"], "source": "/etc"}
FIFO = {"path": "/dev/pipe", "type": "p", "fileMode": 0o640, "uid": 3, "gid": 4}
NODE = {"path": "/dev/nul", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600}
TMPFS = {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}
LINUX32 = {"domain": "LINUX32", "flags": []}


@pytest.mark.parametrize(
    ("field", "value", "command", "output"),
    [
        pytest.param(
            *("hostname", "nook", "hostname", "nook"),
            marks=pytest.mark.covers("hostname"),
        ),
        pytest.param(
            *("domainname", "example.org", "cat /proc/sys/kernel/domainname"),
            "example.org",
            marks=pytest.mark.covers("domainname", "domain name"),
        ),
        pytest.param(
            *("root.readonly", True, "touch /x 2>/dev/null || echo no", "no"),
            marks=pytest.mark.covers("root.readonly", "root.path"),
        ),
        pytest.param(
            *("process.cwd", "/tmp", "pwd", "/tmp"),
            marks=pytest.mark.covers("process.cwd", "process.args"),
        ),
        pytest.param(
            *("process.env", ["A=b", "PATH=/bin"], "env | sort"),
            "A=b\nHOME=/root\nPATH=/bin\nPWD=/\nSHLVL=1",
            marks=pytest.mark.covers("process.env"),
        ),
        pytest.param(
            *("process.user", {"uid": 7, "gid": 8, "additionalGids": [9, 10]}),
            *("id -u; id -g; id -G", "7\n8\n8 9 10"),
            marks=pytest.mark.covers(
                "process.user.uid", "process.user.gid", "process.user.additionalGids"
            ),
        ),
        pytest.param(
            *("process.user", {"umask": 0o27}, "umask", "0027"),
            marks=pytest.mark.covers("process.user.umask", "umask"),
        ),
        pytest.param(
            "process.rlimits",
            [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}],
            *("ulimit -Sn; ulimit -Hn", "50\n60"),
            marks=pytest.mark.covers("process.rlimits", "rlimits"),
        ),
        pytest.param(
            *("process.noNewPrivileges", False, "grep NoNew /proc/self/status"),
            "NoNewPrivs:\t0",
            marks=pytest.mark.covers("process.noNewPrivileges", "no_new_privs"),
        ),
        pytest.param(
            *("process.oomScoreAdj", 77, "cat /proc/self/oom_score_adj", "77"),
            marks=pytest.mark.covers("process.oomScoreAdj", "oom_score_adj"),
        ),
        pytest.param(
            *("process.scheduler", {"policy": "SCHED_BATCH", "nice": 5}),
            *("awk '{print $19, $41}' /proc/self/stat", "5 3"),
            marks=pytest.mark.covers("process.scheduler.policy"),
        ),
        pytest.param(
            *("linux.sysctl", {"net.core.somaxconn": "99"}),
            *("cat /proc/sys/net/core/somaxconn", "99"),
            marks=pytest.mark.covers("linux.sysctl", "sysctl"),
        ),
        pytest.param(
            *("linux.maskedPaths", ["/proc/uptime", "/home"]),
            *("cat /proc/uptime; ls /home", ""),
            marks=pytest.mark.covers(
                "linux.maskedPaths", "masked files", "masked directories"
            ),
        ),
        pytest.param(
            *("linux.readonlyPaths", ["/proc/sys"]),
            *("awk '$2 == \"/proc/sys\" {print $4}' /proc/mounts | cut -c1-2", "ro"),
            marks=pytest.mark.covers("linux.readonlyPaths", "read-only paths"),
        ),
        pytest.param(
            *("linux.personality", LINUX32, "uname -m | grep -c 64 || true", "0"),
            marks=pytest.mark.covers("linux.personality.domain"),
        ),
        pytest.param(
            *("linux.devices", [FIFO], "stat -c '%F %a %u %g' /dev/pipe"),
            "fifo 640 3 4",
            marks=pytest.mark.covers(
                "linux.devices.fileMode",
                "linux.devices.uid",
                "linux.devices.gid",
                "FIFO devices",
            ),
        ),
        pytest.param(
            *("linux.devices", [NODE], "stat -c '%F %t %T' /dev/nul"),
            "character special file 1 3",
            marks=pytest.mark.covers(
                "linux.devices.type",
                "linux.devices.path",
                "linux.devices.major",
                "linux.devices.minor",
            ),
        ),
        pytest.param(
            *("mounts.1", {**NEW, "destination": "/mnt"}),
            "awk '$2 == \"/mnt\" {print $4}' /proc/mounts | cut -d, -f1-2",
            "ro,nosuid",
            marks=pytest.mark.covers(
                "mounts.destination", "mounts.type", "mounts.source", "mounts.options"
            ),
        ),
        pytest.param(
            *("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW"}),
            *("grep ^Seccomp: /proc/self/status", "Seccomp:\t2"),
            marks=pytest.mark.covers("linux.seccomp.defaultAction", "seccomp filter"),
        ),
    ],
)
async def test_a_field_has_its_effect(
    rootfs: Path, field: str, value: Any, command: str, output: str
) -> None:
    whole = document(rootfs, command)
    if field.startswith("mounts."):
        whole["mounts"].append(value)
    else:
        whole = with_field(field, value, whole)
    assert await said(whole) == output


@pytest.mark.covers("linux.seccomp.syscalls.names", "linux.seccomp.syscalls.action")
@pytest.mark.covers("linux.seccomp.syscalls.errnoRet", "linux.seccomp.syscalls.args")
@pytest.mark.covers("linux.seccomp.defaultErrnoRet", "linux.seccomp.architectures")
@pytest.mark.covers("seccomp for several architectures")
async def test_a_filter_answers_with_the_errno_of_its_rule(rootfs: Path) -> None:
    rules = [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {
            "names": ["kill"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 3,
            "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
        },
    ]
    filters = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
        "syscalls": rules,
    }
    command = "mkdir /tmp/x 2>&1; kill -10 $$ 2>&1; kill -0 $$ && echo sent"
    whole = with_field("linux.seccomp", filters, document(rootfs, command))
    lines = (await said(whole)).splitlines()
    assert "No space left" in lines[0]
    assert "No such process" in lines[1]
    assert lines[2] == "sent"


SETS = {
    "CapBnd": "bounding",
    "CapEff": "effective",
    "CapPrm": "permitted",
    "CapInh": "inheritable",
    "CapAmb": "ambient",
}


@pytest.mark.covers("process.capabilities.bounding", "process.capabilities.effective")
@pytest.mark.covers("process.capabilities.permitted", "process.capabilities.ambient")
@pytest.mark.covers("process.capabilities.inheritable", "five capability sets")
async def test_each_set_of_capabilities_is_the_one_asked_for(rootfs: Path) -> None:
    whole = document(rootfs, "cat /proc/self/status")
    whole["process"]["user"] = {"uid": 7, "gid": 7}
    whole["process"]["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_KILL"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    fields = status_fields(await said(whole))
    kill, chown = 1 << 5, 1 << 0
    assert {name: int(fields[name], 16) for name in SETS} == {
        "CapBnd": kill | chown,
        "CapEff": kill,
        "CapPrm": kill,
        "CapInh": kill,
        "CapAmb": kill,
    }


LINKS = "for n in pid net mnt ipc uts cgroup time; do readlink /proc/self/ns/$n; done"


@pytest.mark.covers("linux.namespaces.pid", "linux.namespaces.network")
@pytest.mark.covers("linux.namespaces.mount", "linux.namespaces.ipc")
@pytest.mark.covers("linux.namespaces.uts", "linux.namespaces.cgroup")
@pytest.mark.covers("linux.namespaces.time", "linux.namespaces.path")
async def test_namespaces_are_new_joined_or_the_programs_own(rootfs: Path) -> None:
    wanted = [{"type": kind} for kind in ("pid", "mount", "uts", "cgroup", "time")]
    wanted.append({"type": "network", "path": "/proc/self/ns/net"})
    whole = with_field("linux.namespaces", wanted, document(rootfs, LINKS))
    inside = (await said(whole)).splitlines()
    names = ("pid", "net", "mnt", "ipc", "uts", "cgroup", "time")
    outside = [os.readlink(f"/proc/self/ns/{name}") for name in names]
    shared = [a for a, b, c in zip(names, inside, outside, strict=True) if b == c]
    assert shared == ["net", "ipc"]


@pytest.mark.covers("linux.namespaces.user", "linux.uidMappings", "linux.gidMappings")
async def test_ids_are_mapped_as_the_document_says(rootfs: Path) -> None:
    whole = document(rootfs, "cat /proc/self/uid_map /proc/self/gid_map | xargs")
    whole["linux"]["namespaces"].append({"type": "user"})
    for name, host in (("uidMappings", 70_000), ("gidMappings", 80_000)):
        mapping = {"containerID": 0, "hostID": host, "size": 1000}
        whole["linux"][name] = [mapping]
    assert await said(whole) == "0 70000 1000 0 80000 1000"


@pytest.mark.covers("linux.timeOffsets.monotonic", "linux.timeOffsets.boottime")
@pytest.mark.needs("time-namespace")
async def test_clocks_are_set_off(rootfs: Path) -> None:
    command = "cat /proc/self/timens_offsets | xargs"
    whole = document(rootfs, command)
    whole["linux"]["namespaces"].append({"type": "time"})
    whole["linux"]["timeOffsets"] = {
        "monotonic": {"secs": 86_400, "nanosecs": 5},
        "boottime": {"secs": 3600},
    }
    assert await said(whole) == "monotonic 86400 5 boottime 3600 0"


@pytest.mark.covers("linux.rootfsPropagation", "propagation of the root")
async def test_the_root_has_the_propagation_of_the_document(rootfs: Path) -> None:
    command = "grep ' / / ' /proc/self/mountinfo | grep -c shared: || true"
    for word, count in (("shared", "1"), ("private", "0")):
        whole = document(rootfs, command.replace("' / / '", "' / '"))
        whole["linux"]["rootfsPropagation"] = word
        assert (await said(whole) != "0") == (count == "1")


@pytest.mark.covers("process.terminal", "process.consoleSize")
async def test_the_program_has_the_terminal_of_the_document(rootfs: Path) -> None:
    whole = document(rootfs, "tty; stty size; test -c /dev/console && echo console")
    size = {"height": 33, "width": 44}
    whole["process"] |= {"terminal": True, "consoleSize": size}
    bundle = Bundle.read(whole)
    assert bundle.process is not None
    async with Container(bundle.config) as container:
        process = await container.start(
            bundle.process.args, terminal=bundle.process.terminal
        )
        assert process.terminal is not None
        told = b"".join([part async for part in process.terminal])
    assert told.split() == [b"/dev/pts/0", b"33", b"44", b"console"]


@pytest.mark.covers("annotations", "hooks.path", "hooks.args", "hooks.env")
async def test_hooks_of_a_document_run_and_know_its_annotations(
    rootfs: Path, tmp_path: Path
) -> None:
    kinds = ("prestart", "createRuntime", "poststart", "poststop")
    told = tmp_path / "told"
    whole = document(rootfs, "true")
    whole["annotations"] = {"com.example.colour": "blue"}
    script = f'echo "$0 $KIND" >>{told}; cat >>{told}; echo >>{told}'
    whole["hooks"] = {
        kind: [
            {
                "path": "/bin/sh",
                "args": ["sh", "-c", script, "a-hook"],
                "env": [f"KIND={kind}", f"PATH={os.environ['PATH']}"],
                "timeout": 10,
            }
        ]
        for kind in kinds
    }
    await said(whole)
    text = told.read_text()
    assert [line for line in text.splitlines() if line.startswith("a-hook")] == [
        f"a-hook {kind}" for kind in kinds
    ]
    assert text.count('"com.example.colour"') == len(kinds)


async def test_a_process_document_joins_the_container(rootfs: Path) -> None:
    bundle = Bundle.read(document(rootfs, "sleep 60"))
    assert bundle.process is not None
    spec, _ = read_process(
        {
            "args": ["sh", "-c", "id -u; echo $COLOUR; pwd"],
            "cwd": "/tmp",
            "env": ["COLOUR=blue", "PATH=/bin"],
            "user": {"uid": 5, "gid": 6},
        }
    )
    async with Container(bundle.config) as container:
        await container.start(bundle.process.args)
        result = await container.run(spec.args, **spec.changes)
    assert result.stdout == b"5\nblue\n/tmp\n"


@pytest.mark.parametrize("name", ["runc-spec", "crun-spec"])
async def test_what_runc_and_crun_write_runs_as_it_is(rootfs: Path, name: str) -> None:
    whole = sample(name)
    whole["root"]["path"] = str(rootfs)
    whole["process"] |= {"terminal": False, "args": ["sh", "-c", "echo hello; id -u"]}
    assert await said(whole) == "hello\n0"
