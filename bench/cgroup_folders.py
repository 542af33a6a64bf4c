"""Folders of the comparison's own in every cgroup hierarchy, and their removal."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy: its controllers (empty for cgroup2) and where we are."""

    controllers: str
    mount: Path
    own: str

    @property
    def here(self) -> Path:
        """The cgroup that this program is in."""
        return self.mount / self.own.lstrip("/")


def hierarchies() -> list[Hierarchy]:
    """All that are mounted, in the kernel's order."""
    mounted = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind, _, options = fields[fields.index("-") + 1 :]
        if kind == "cgroup2":
            mounted[""] = Path(fields[4])
        elif kind == "cgroup":
            for option in options.split(","):
                mounted[option] = Path(fields[4])
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        mount = mounted.get(controllers.split(",")[0])
        if mount is not None:
            found.append(Hierarchy(controllers, mount, own))
    return found


def make_folders(name: str) -> list[Path]:
    """Make ``name`` below this program's own cgroups, ready for containers."""
    folders = []
    for hierarchy in hierarchies():
        if hierarchy.controllers.startswith("name="):
            continue  # no controller: a manager's bookkeeping, which we leave alone
        folder = hierarchy.here / name
        folder.mkdir(exist_ok=True)
        folders.append(folder)
        if hierarchy.controllers == "cpuset":
            # A new v1 cpuset is empty and takes no task; with clone_children its
            # children start with a copy, so a life needs no write.
            (folder / "cgroup.clone_children").write_text("1")
            for file in ("cpuset.cpus", "cpuset.mems"):
                (folder / file).write_text((hierarchy.here / file).read_text())
    return folders


def remove_folders(name: str) -> None:
    """Remove ``name`` and what a peer left below it, at the top and where we are."""
    for hierarchy in hierarchies():
        for top in {hierarchy.mount / name, hierarchy.here / name}:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
