"""Where a container's root comes from, and what of the host can be seen in it."""

import errno
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import STDOUT, Config, Container, Rootfs, SetupError, run
from aiocontainer.config import DEFAULT_MASKED_PATHS
from aiocontainer.config.rootfs import HOST_ETC
from tests.support.capabilities import needs
from tests.support.inside import (
    PYTHON,
    look,
    mounts_of,
    parse_mounts,
    python_config,
    shell,
    shell_in,
    tree,
)
from tests.support.rootfs import make_rootfs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


# -- a directory -----------------------------------------------------------------------


async def test_a_directory_is_the_root_and_takes_what_is_written(
    own_rootfs: Path,
) -> None:
    await shell(Config(rootfs=own_rootfs), "echo hello > /written")
    assert (own_rootfs / "written").read_text() == "hello\n"


@pytest.mark.covers("read-only root")
async def test_a_read_only_root_takes_nothing_but_its_mounts_do(rootfs: Path) -> None:
    config = Config(rootfs=Rootfs.directory(rootfs, readonly=True))
    before = tree(rootfs)
    said = await shell(
        config,
        "echo x > /written; echo x > /dev/shm/written && echo fine",
        stderr=STDOUT,
    )
    assert "Read-only file system" in said
    assert said.endswith("fine\n")
    assert tree(rootfs).keys() == before.keys()


async def test_what_is_mounted_in_the_directory_comes_along_and_nothing_else(
    rootfs: Path,
) -> None:
    mounts = await mounts_of(Config(rootfs=rootfs))
    # Masked and read-only paths are mounts of /proc and /sys over themselves.
    assert {
        path for path in mounts if path.count("/") < 3 and "/proc/" not in path
    } == {
        *("/", "/dev", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc", "/sys"),
        *(
            path
            for path in DEFAULT_MASKED_PATHS
            if path in mounts and path[:4] == "/sys"
        ),
    }
    assert not any(m.shared or m.slave for m in mounts.values())


@pytest.mark.covers("pivot_root")
async def test_the_old_root_can_not_be_reached(own_rootfs: Path) -> None:
    mark = own_rootfs.parent / "mark"
    mark.write_text("host")
    config = Config(rootfs=own_rootfs)
    said = await shell(config, f"cd ../../../..; ls; cat {mark} 2>&1 || true")
    assert "mark" not in said.splitlines()
    assert "No such file" in said


@pytest.mark.parametrize("pivot", [True, False])
async def test_leaving_by_chroot_leads_nowhere(rootfs: Path, pivot: bool) -> None:
    """CAP_SYS_CHROOT is among the defaults: the classic escape has to end at the root.

    Without pivot_root the root of the mount namespace is under us, moved onto: then too
    ``..`` must lead no further.
    """
    config = python_config(pivot_root=pivot)
    source = """
import json, os
os.mkdir("/tmp/jail")
inside = os.open("/", os.O_RDONLY)
os.chroot("/tmp/jail")
os.fchdir(inside)
for _ in range(64):
    os.chdir("..")
os.chroot(".")
print(json.dumps(sorted(os.listdir("/"))))
"""
    names = await look(config, source)
    hosts = set(os.listdir("/"))
    assert "usr" in names
    assert set(names) <= {
        *("bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc"),
        *("root", "run", "sbin", "sys", "tmp", "usr", "var"),
    }
    assert hosts - set(names), "the host's root looks the same; the test proves nothing"


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="pivot_root"),
        pytest.param({"pivot_root": False}, id="move"),
    ],
)
async def test_the_root_is_whole_whichever_way_it_became_the_root(
    rootfs: Path, config: dict[str, Any]
) -> None:
    said = await shell(
        Config(rootfs=rootfs, **config), "pwd; ls -d /bin /proc/1 /dev/null; echo $$"
    )
    assert said.split() == ["/", "/bin", "/dev/null", "/proc/1", "1"]


@pytest.mark.covers("moving the mount instead of pivot_root")
async def test_without_pivot_no_kernel_file_system_of_the_host_is_left(
    rootfs: Path,
) -> None:
    """They would be without masks for whoever leaves a chroot."""
    config = Config(rootfs=rootfs, pivot_root=False)
    async with Container(config) as container:
        await shell_in(container, "true")
        text = Path(f"/proc/{container.pid}/mountinfo").read_text()
    lines = [line.partition(" - ") for line in text.splitlines()]
    shown = [before.split()[4] for before, _, after in lines if after[:4] == "proc"]
    own = parse_mounts(text)
    assert own["/"].kind != "proc"
    # One proc mount of our own and what is bound from it over itself.
    assert {path.split("/")[1] for path in shown} == {"proc"}


async def test_joining_works_without_pivot(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs, pivot_root=False)) as container:
        said = await shell_in(container, "ls / | grep -c . ; echo *; pwd")
    assert "busybox" not in said
    assert said.split()[-1] == "/"


# -- an overlay ------------------------------------------------------------------------

overlays = needs("overlay")


@overlays
async def test_many_containers_share_a_directory_and_leave_it_as_it_is(
    own_rootfs: Path,
) -> None:
    before = tree(own_rootfs)
    config = Config(rootfs=Rootfs.overlay(own_rootfs))
    said: dict[int, str] = {}

    async def one(number: int) -> None:
        script = (
            f"echo {number} > /etc/passwd; rm -r /home; sync; cat /etc/passwd; ls /"
        )
        said[number] = await shell(config, script)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)
    assert {number: text.split()[0] for number, text in said.items()} == {
        number: str(number) for number in range(8)
    }
    assert not any("home" in text for text in said.values())
    assert tree(own_rootfs) == before


@overlays
async def test_the_first_lower_directory_is_the_topmost(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    layers = []
    for name in "abc":
        layer = tmp_path / name
        layer.mkdir()
        (layer / "who").write_text(name)
        (layer / f"only-{name}").write_text("")
        layers.append(layer)
    base = make_rootfs(tmp_path / "base")
    said = await shell(
        Config(rootfs=Rootfs.overlay(*layers, base)), "cat /who; ls -d /only-*"
    )
    assert said.split() == ["a/only-a", "/only-b", "/only-c"]


@overlays
@pytest.mark.parametrize("layers", [1, 2])
async def test_a_read_only_overlay_takes_nothing(
    rootfs: Path, tmp_path: Path, layers: int
) -> None:
    lower = [rootfs, tmp_path][:layers]
    config = Config(rootfs=Rootfs.overlay(*lower, readonly=True))
    said = await shell(config, "echo x > /written || echo refused", stderr=STDOUT)
    assert "Read-only file system" in said


@overlays
async def test_what_is_written_to_an_overlay_can_be_limited(rootfs: Path) -> None:
    config = Config(rootfs=Rootfs.overlay(rootfs, size="1MiB"))
    said = await shell(
        config, "head -c 4000000 /dev/zero > /big || ls -l /big", stderr=STDOUT
    )
    assert f" {1 << 20} " in said


@overlays
async def test_the_root_of_an_overlay_has_the_mode_and_owner_of_the_directory(
    own_rootfs: Path,
) -> None:
    own_rootfs.chmod(0o751)
    os.chown(own_rootfs, 12, 34)
    said = await shell(
        Config(rootfs=Rootfs.overlay(own_rootfs)), "stat -c '%a %u %g' /"
    )
    assert said.split() == ["751", "12", "34"]


@overlays
async def test_a_layer_may_have_a_colon_or_comma_in_its_name(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    strange = make_rootfs(tmp_path / "a:b,c\\d e")
    assert await shell(Config(rootfs=Rootfs.overlay(strange)), "echo fine") == "fine\n"


# -- the host's programs ---------------------------------------------------------------

SECRETS = (
    *("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/ssh", "/etc/sudoers"),
    *("/etc/machine-id", "/etc/ssl/private", "/etc/krb5.keytab", "/etc/hostname"),
    *("/etc/fstab", "/etc/resolv.conf", "/etc/ld.so.preload", "/etc/environment"),
    *("/boot", "/srv", "/opt", "/mnt", "/media", "/var/log", "/var/lib", "/work"),
    *("/var/run/docker.sock", "/run/systemd", "/dev/sda", "/dev/mem", "/dev/kmsg"),
)


async def test_the_hosts_programs_run_and_nothing_secret_is_there() -> None:
    script = """
ls -A /root /home /tmp /var/tmp /run
for path in "$@"; do [ -e "$path" ] && echo "$path"; done
ls -A /etc
cat /etc/*shadow* 2>/dev/null
exit 0
"""
    result = await run(
        Config(rootfs=Rootfs.host()), ["sh", "-c", script, "sh", *SECRETS]
    )
    assert result.returncode == 0, result
    said = result.stdout.decode()
    heads, _, names = said.partition("/var/tmp:\n")
    assert heads.split() == ["/home:", "/root:", "/run:", "/tmp:"]
    shown = set(names.split())
    assert shown <= {path.split("/")[2] for path in HOST_ETC}


async def test_the_hosts_programs_can_not_be_changed() -> None:
    source = """
import errno, json, os
said = {}
for path in ("/usr/x", "/usr/bin/sh", "/etc/passwd", "/etc/ssl/certs/x", "/bin/x"):
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
        said[path] = 0
    except OSError as error:
        said[path] = error.errno
print(json.dumps(said))
"""
    said = await look(python_config(), source)
    assert set(said.values()) <= {errno.EROFS, errno.ETXTBSY}, said


async def test_what_is_made_in_a_private_directory_gives_no_privileges() -> None:
    mounts = await mounts_of(Config(rootfs=Rootfs.host()))
    for path in ("/", "/usr"):
        assert {"nosuid", "nodev"} <= mounts[path].options, path
    assert "ro" in mounts["/usr"].options
    assert not [m for m in mounts.values() if m.shared or m.slave]


async def test_the_environment_is_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    config = Config(rootfs=Rootfs.host(), env={"PATH": "/usr/bin", "A": "b c"})
    result = await run(config, ["env"])
    assert sorted(result.stdout.decode().splitlines()) == [
        "A=b c",
        "HOME=/root",
        "PATH=/usr/bin",
    ]


async def test_a_private_directory_of_one_container_is_not_anothers() -> None:
    config = Config(rootfs=Rootfs.host())
    async with Container(config) as one, Container(config) as other:
        await shell_in(one, "echo mine > /tmp/file; echo mine > /run/file")
        assert await shell_in(other, "ls -A /tmp /run") == "/run:\n\n/tmp:\n"
        assert await shell_in(one, "cat /tmp/file") == "mine\n"


async def test_further_directories_are_shown_read_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("shown")
    config = Config(rootfs=Rootfs.host(extra=[tmp_path]))
    said = await shell(
        config, f"cat {tmp_path}/file; echo x > {tmp_path}/file || true", stderr=STDOUT
    )
    assert said.startswith("shown")
    assert "Read-only" in said


async def test_python_of_the_host_works_inside() -> None:
    config = python_config(env={"PATH": "/usr/bin:/bin"})
    source = """
import json, ssl, sqlite3, tempfile, subprocess, hashlib
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x")
print(json.dumps(subprocess.check_output(["id", "-un"], text=True)))
"""
    assert await look(config, source) == "root\n"
    assert PYTHON.startswith("/")


# -- refused ---------------------------------------------------------------------------


async def test_a_root_that_is_not_there_is_a_setup_error(tmp_path: Path) -> None:
    config = Config(rootfs=tmp_path / "missing")
    with pytest.raises(SetupError) as caught:
        await run(config, ["true"])
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert str(tmp_path / "missing") in str(caught.value)
