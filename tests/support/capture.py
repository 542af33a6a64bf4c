"""Capture what this kernel's cgroup and proc files look like, for the parser tests.

    python3 tests/support/capture.py NAME TARGET

Makes one cgroup (in every hierarchy), gives it limits, lets programs run into each of
them (an out-of-memory kill, throttling, a refused fork, disk writes), and copies the
files to ``TARGET/<NAME>/...`` under the names that the kernel gives them. Needs root.
Bytes are copied as they are, but for two things: lines of /proc/self/mountinfo that
show mounts other than the kernel's own, and the name of the cgroup we run in.
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

GROUP = f"aiocontainer-test-capture-{os.getpid()}"
KERNEL_TYPES = {"proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "tmpfs"}
SKIPPED = {
    "cgroup.kill",
    "memory.reclaim",
    "memory.force_empty",
    "memory.kmem.slabinfo",
}

LIMITS_V1 = {
    "memory": {"memory.limit_in_bytes": "32M", "memory.memsw.limit_in_bytes": "32M"},
    "cpu": {"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "4000"},
    "pids": {"pids.max": "8"},
    "cpuset": {"cpuset.cpus": "0", "cpuset.mems": "0"},
    # The kernel counts the I/O of a v1 group on a device once it has a rule for it.
    "blkio": {
        "blkio.throttle.read_bps_device": "DISK 1073741824",
        "blkio.throttle.write_bps_device": "DISK 1073741824",
    },
}
LIMITS_V2 = {
    "memory.max": "32M",
    "memory.high": "28M",
    "memory.swap.max": "4M",
    "cpu.max": "4000 20000",
    "pids.max": "8",
    "cpuset.cpus": "0",
    "io.max": "DISK rbps=1073741824 wiops=100000",
}

# Each runs inside the group. The shell starts it, so that exec keeps nothing of ours.
WORKLOADS = {
    "burn": "t = __import__('time'); e = t.process_time() + .4\n"
    "while t.process_time() < e: pass",
    "write": "import mmap, os\n"
    "f = os.open(os.environ['SCRATCH'], os.O_RDWR | os.O_CREAT | os.O_DIRECT)\n"
    "b = mmap.mmap(-1, 4 << 20); os.write(f, b); os.preadv(f, [b], 0)",
    "fork": "import os, time\n"
    "try:\n"
    " for _ in range(20): os.fork() or (time.sleep(.3), os._exit(0))\n"
    "except OSError: pass",
    "bomb": "import os; b = [os.urandom(1 << 20) for _ in range(64)]",
}

# Holds anonymous and file pages, so that no figure of the memory controller is zero.
KEEPER = (
    "import os; f = open(os.environ['SCRATCH'], 'wb+'); f.write(bytes(4 << 20))\n"
    "f.flush(); b = os.urandom(6 << 20); print(flush=True); os.read(0, 1)"
)


def hierarchies() -> dict[str, Path]:
    """Mount point of each hierarchy by its controllers; ``""`` is cgroup2."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup":
            names = [word for word in options.split(",") if word not in ("rw", "xattr")]
            found[",".join(names)] = Path(before.split()[4])
        elif kind == "cgroup2":
            found[""] = Path(before.split()[4])
    return found


def write(path: Path, value: str) -> None:
    device = os.stat("/var/tmp").st_dev
    disk = f"{os.major(device)}:{os.minor(device)}"
    try:
        path.write_text(value.replace("DISK", disk))
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr)


def has_swap() -> bool:
    return len(Path("/proc/swaps").read_text().splitlines()) > 1


def make(group: Path, controllers: str) -> None:
    group.mkdir()
    if controllers:
        for name in controllers.split(","):
            for file, value in LIMITS_V1.get(name, {}).items():
                write(group / file, value)
    else:
        for file, value in LIMITS_V2.items():
            # Over memory.high without swap the kernel only makes a process sleep.
            no_swap = file == "memory.high" and not has_swap()
            if (group / file).exists() and not no_swap:
                write(group / file, value)


def words_in(groups: list[Path], source: str) -> list[str]:
    """The command that runs Python source inside the groups."""
    enter = "".join(f"echo 0 > {group}/cgroup.procs && " for group in groups)
    shell = ["sh", "-c", f'{enter} exec "$@"', "sh"]
    return [*shell, sys.executable, "-I", "-S", "-c", source]


def copy(source: Path, target: Path) -> None:
    """Copy every readable file of one cgroup."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        if not entry.is_file(follow_symlinks=False) or entry.name in SKIPPED:
            continue
        try:
            data = Path(entry.path).read_bytes()
        except OSError:
            continue  # write-only, or not supported for this group
        (target / entry.name).write_bytes(data)


def capture_proc(target: Path) -> None:
    """Copy the files of /proc that detection and statistics read."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = {line.split(":", 2)[2] for line in lines}
    kept: list[str] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split(" ", 1)[0]
        point = before.split()[4]
        usual = point == "/" or point.startswith(("/proc", "/sys", "/dev", "/run"))
        if usual and (kind in KERNEL_TYPES or point == "/"):
            kept.append(line)
    (target / "self").mkdir(parents=True, exist_ok=True)
    (target / "self/mountinfo").write_text("\n".join(kept) + "\n")
    text = Path("/proc/self/cgroup").read_text()
    for path in sorted(own - {"/"}, key=len, reverse=True):
        if not path.startswith(("/init", "/system.slice", "/user.slice")):
            text = text.replace(path, "/session")
    (target / "self/cgroup").write_text(text)
    for name in ("cgroups", "filesystems", "self/status", "self/limits", "self/stat"):
        (target / name).write_bytes(Path("/proc", name).read_bytes())
    for name in ("cpu", "memory", "io"):
        path = Path("/proc/pressure", name)
        if path.exists():
            (target / "pressure").mkdir(exist_ok=True)
            (target / "pressure" / name).write_bytes(path.read_bytes())


def remove(group: Path) -> None:
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.02)  # the kernel takes dead processes out asynchronously
                continue
        return
    print(f"{group} is left", file=sys.stderr)


def main() -> None:
    name, target = sys.argv[1], Path(sys.argv[2])
    mounts = hierarchies()
    groups = {key: path / GROUP for key, path in mounts.items()}
    scratch = Path(f"/var/tmp/{GROUP}")
    os.environ["SCRATCH"] = str(scratch)
    capture_proc(target / "proc" / name)
    try:
        for key, group in groups.items():
            make(group, key)
        entered = list(groups.values())
        for title, source in WORKLOADS.items():
            command = words_in(entered, source)
            print(title, subprocess.run(command, check=False).returncode)
        process = subprocess.Popen(
            words_in(entered, KEEPER), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        for key, group in groups.items():
            base = target / (
                f"cgroup_v1/{key.replace('name=', '')}" if key else f"cgroup_v2/{name}"
            )
            copy(group, base / "busy")
            copy(mounts[key], base / "root")
        process.communicate()
    finally:
        for group in groups.values():
            if group.exists():
                remove(group)
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
