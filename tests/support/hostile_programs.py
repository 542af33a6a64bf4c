"""Hostile programs, user files and roots; and the table of all cases."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .hostile import Build, Case, Scene, Table
from .hostile_paths import mount_targets, paths, volumes

# -- the program -----------------------------------------------------------------------


def programs(table: Table) -> None:
    table.add("program-is-a-directory", lambda s: None, args=("/bin",), must_fail=True)
    table.add("program-is-missing", lambda s: None, args=("/no/such",), must_fail=True)
    table.add(
        "program-is-a-fifo",
        lambda scene: scene.fifo("/program"),
        args=("/program",),
        must_fail=True,
    )
    table.add(
        "program-is-a-link-to-our-executable",
        lambda scene: scene.link("/program", "/proc/self/exe"),
        args=("/program",),
        origin="CVE-2019-5736",
    )
    table.add(
        "program-is-a-script-of-our-executable",
        lambda scene: scene.file("/program", "#!/proc/self/exe\n", 0o755),
        args=("/program",),
        origin="CVE-2019-5736",
    )
    table.add(
        "program-is-a-script-of-itself",
        lambda scene: scene.file("/program", "#!/program\n", 0o755),
        args=("/program",),
        must_fail=True,
    )
    table.add(
        "program-is-no-executable",
        lambda scene: scene.file("/program", "\x7fELF and nothing more", 0o755),
        args=("/program",),
        must_fail=True,
    )

    def long_path(scene: Scene) -> None:
        for number in range(100):
            folder = scene / f"p/{number}"
            folder.mkdir(parents=True)
            (folder / "wanted").symlink_to("wanted")
        scene.fifo("/p/50/wanted")

    table.add(
        "path-of-a-thousand-traps",
        long_path,
        settings=lambda scene: {
            "env": {"PATH": ":".join(f"/p/{n % 100}" for n in range(1000))}
        },
        args=("wanted",),
        must_fail=True,
    )


# -- users -----------------------------------------------------------------------------


def users(table: Table) -> None:
    def spoil(name: str, build: Build, user: str = "tester", **details: Any) -> None:
        table.add(
            name, build, settings=lambda scene, user=user: {"user": user}, **details
        )

    for file in ("passwd", "group"):
        where = f"/etc/{file}"
        spoil(f"{file}-is-a-fifo", lambda s, w=where: s.fifo(w), must_fail=True)
        spoil(
            f"{file}-is-a-directory",
            lambda s, w=where: s.clear(w).mkdir(),
            must_fail=True,
        )
        spoil(
            f"{file}-is-a-device",
            lambda s, w=where: s.device(w, 1, 5),
            must_fail=True,
        )
        spoil(
            f"{file}-is-10-gib",
            lambda s, w=where: _sparse(s.clear(w), 10 << 30),
            must_fail=True,
        )
        spoil(f"{file}-is-a-link-to-itself", lambda s, w=where: s.link(w, w))
        spoil(
            f"{file}-has-nul-bytes",
            lambda s, w=where: s.file(w, "tester\0:x:0:0\n\0\0\n" * 100),
        )
        spoil(
            f"{file}-has-one-endless-line",
            lambda s, w=where: s.file(w, "tester:x:" + "1" * (100 << 10)),
        )
    spoil(
        "passwd-is-the-hosts",
        lambda scene: scene.link("/etc/passwd", scene.canary / "passwd"),
        user="canary",
        must_fail=True,
    )
    spoil(
        "etc-is-the-hosts",
        lambda scene: scene.link("/etc", scene.canary),
        user="canary",
        must_fail=True,
    )
    # The numeric name must not make user 1000 root: numbers are never looked up.
    spoil(
        "passwd-has-the-name-1000-with-uid-0",
        lambda scene: scene.file("/etc/passwd", "1000:x:0:0::/:/bin/sh\n"),
        user="1000",
        origin="CVE-2016-3697",
    )
    # Even as root, whose lookup of a home directory hung other runtimes.
    spoil("passwd-is-a-fifo-for-root", lambda s: s.fifo("/etc/passwd"), user="0")
    spoil("group-is-a-fifo-for-root", lambda s: s.fifo("/etc/group"), user="0")


def _sparse(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


# -- the root itself -------------------------------------------------------------------


def roots(table: Table) -> None:
    def empty(scene: Scene) -> None:
        shutil.rmtree(scene.root)
        scene.root.mkdir()

    def missing(scene: Scene) -> None:
        shutil.rmtree(scene.root)

    def a_file(scene: Scene) -> None:
        shutil.rmtree(scene.root)
        scene.root.write_text("")

    def a_fifo(scene: Scene) -> None:
        shutil.rmtree(scene.root)
        os.mkfifo(scene.root)

    def a_link(scene: Scene) -> None:
        moved = scene.root.with_name("moved")
        scene.root.rename(moved)
        scene.root.symlink_to(moved)

    def dangling(scene: Scene) -> None:
        shutil.rmtree(scene.root)
        scene.root.symlink_to(scene.canary / "new")

    table.add("root-is-empty", empty, must_fail=True)
    table.add("root-is-missing", missing, must_fail=True)
    table.add("root-is-a-file", a_file, must_fail=True)
    table.add("root-is-a-fifo", a_fifo, must_fail=True)
    table.add("root-is-a-link", a_link)
    table.add("root-is-a-dangling-link", dangling, must_fail=True)
    table.add("root-is-closed", lambda scene: scene.root.chmod(0))


def _all() -> tuple[Case, ...]:
    table = Table()
    for part in (mount_targets, volumes, paths, programs, users, roots):
        part(table)
    names = [case.name for case in table.cases]
    assert len(names) == len(set(names))
    return tuple(table.cases)


CASES = _all()


def hostile_cases() -> list[Any]:
    """All cases as parameters of a test, with their names as ids."""
    return [pytest.param(case, id=case.name) for case in CASES]
