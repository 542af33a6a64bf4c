"""A fake of the resctrl file system: the files that the kernel makes, and its refusals.

Documentation/filesystems/resctrl.rst. Directories fill themselves, a task is in one
class and at most in one monitoring group of that, schemata are checked, classes are
limited, and what is wrong is told in ``info/last_cmd_status``.
"""

import errno
import os
import shutil
from pathlib import Path

from aiocontainer.intel_rdt import Resctrl

DOMAINS = {"L3": ("fff", ("0", "1")), "MB": ("100", ("0", "1"))}
CLASSES = 4


class FakeResctrl(Resctrl):
    """Made below a temporary directory."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        (root / "info/L3").mkdir(parents=True)
        (root / "info/L3/cbm_mask").write_text("fff\n")
        (root / "info/last_cmd_status").write_text("ok\n")
        self._fill(str(root), is_class=True)

    def _fill(self, path: str, *, is_class: bool) -> None:
        folder = Path(path)
        (folder / "tasks").touch()
        (folder / "cpus").write_text("0\n")
        for number in ("00", "01"):
            data = folder / f"mon_data/mon_L3_{number}"
            data.mkdir(parents=True)
            (data / "llc_occupancy").write_text(f"{4096 * (1 + int(number))}\n")
            (data / "mbm_total_bytes").write_text("1048576\n")
            (data / "mbm_local_bytes").write_text("Unavailable\n")
        if is_class:
            (folder / "mon_groups").mkdir()
            lines = (
                f"{name}:" + ";".join(f"{domain}={full}" for domain in domains)
                for name, (full, domains) in DOMAINS.items()
            )
            (folder / "schemata").write_text("".join(f"{line}\n" for line in lines))

    def make(self, path: str) -> None:
        above = os.path.dirname(path)
        is_class = above == self.root
        if not is_class and os.path.basename(above) != "mon_groups":
            raise self._refusal(errno.EPERM, "not here")
        if is_class and self._classes() >= CLASSES:
            raise self._refusal(errno.ENOSPC, "Out of CLOSIDs")
        os.mkdir(path)
        self._fill(path, is_class=is_class)

    def _classes(self) -> int:
        inner = ("info", "mon_groups", "mon_data")
        return sum(
            entry.is_dir() and entry.name not in inner
            for entry in os.scandir(self.root)
        )

    def remove(self, path: str) -> None:
        if os.path.isdir(path):
            self.removed_tasks = Path(path, "tasks").read_text().split()
            shutil.rmtree(path)

    def write(self, path: str, text: str) -> None:
        if not os.path.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if path.endswith("/schemata"):
            self._set_schemata(path, text)
        elif path.endswith("/tasks"):
            self._move(path, text.strip())
        else:
            raise self._refusal(errno.EACCES, "read-only")

    def _set_schemata(self, path: str, text: str) -> None:
        present = dict(
            line.split(":", 1) for line in Path(path).read_text().splitlines()
        )
        for line in text.splitlines():
            name, _, rest = line.partition(":")
            if name not in DOMAINS:
                raise self._refusal(errno.EINVAL, f"Unknown resource name '{name}'")
            domains = dict(part.split("=") for part in present[name].split(";"))
            for part in rest.split(";"):
                domain, _, value = part.partition("=")
                if domain not in domains:
                    raise self._refusal(errno.EINVAL, f"Unknown domain {domain}")
                if name == "L3" and not 0 < int(value, 16) <= 0xFFF:
                    raise self._refusal(errno.EINVAL, "Mask out of range")
                domains[domain] = value
            present[name] = ";".join(f"{n}={value}" for n, value in domains.items())
        Path(path).write_text("".join(f"{n}:{rest}\n" for n, rest in present.items()))

    def _move(self, path: str, pid: str) -> None:
        if pid != "0" and not os.path.exists(f"/proc/{pid}"):
            raise self._refusal(errno.ESRCH, f"No task {pid}")
        group = Path(path).parent
        if group.parent.name == "mon_groups":
            if pid not in (group.parent.parent / "tasks").read_text().split():
                raise self._refusal(errno.EINVAL, "Can't move task to different class")
        else:
            for other in Path(self.root).rglob("tasks"):
                left = [line for line in other.read_text().split() if line != pid]
                other.write_text("".join(f"{line}\n" for line in left))
        with open(path, "a") as file:
            file.write(f"{pid}\n")

    def _refusal(self, code: int, reason: str) -> OSError:
        Path(self.root, "info/last_cmd_status").write_text(f"{reason}\n")
        error = OSError(code, os.strerror(code))
        error.add_note(reason)
        return error
