"""Hostile paths: what mounts, volumes, masks and the working directory may meet."""

from typing import Any

from .hostile import Build, Scene, Settings, Table

# -- mount targets: /dev, /proc, /sys --------------------------------------------------


def mount_targets(table: Table) -> None:
    def without(destination: str) -> Settings:
        """The defaults but for one system mount, so that the image's own is used."""

        def settings(scene: Scene) -> dict[str, Any]:
            from aiocontainer.config import SYSTEM_MOUNTS

            mounts = [m for m in SYSTEM_MOUNTS if m.destination != destination]
            if destination == "/dev":
                mounts = [m for m in mounts if not m.destination.startswith("/dev/")]
            return {"system_mounts": tuple(mounts)}

        return settings

    for target in ("/dev", "/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue"):
        name = target.strip("/").replace("/", "-")
        table.add(
            f"{name}-is-a-link-to-a-host-directory",
            lambda scene, target=target: scene.link(target, scene.canary / "empty"),
            origin="CVE-2019-19921",
        )
        table.add(
            f"{name}-is-a-link-up-and-out",
            lambda scene, target=target: scene.link(
                target, "../" * 40 + str(scene.canary / "empty").lstrip("/")
            ),
        )
        table.add(
            f"{name}-is-a-file",
            lambda scene, target=target: scene.file(target),
        )
        table.add(
            f"{name}-is-a-fifo",
            lambda scene, target=target: scene.fifo(target),
        )
    table.add(
        "dev-without-a-mount-is-a-link-to-a-host-directory",
        lambda scene: scene.link("/dev", scene.canary / "empty"),
        settings=without("/dev"),
        origin="CVE-2026-41579",
    )
    table.add(
        "proc-is-a-link-to-sys",
        lambda scene: scene.link("/proc", "/sys"),
        origin="CVE-2019-19921",
    )
    table.add("sys-is-missing", lambda scene: scene.clear("/sys") and None)
    bound = lambda scene: {  # noqa: E731
        "mounts": (
            {"destination": "/dev", "source": str(scene / "dev"), "options": ("bind",)},
        ),
        "system_mounts": (),
    }
    for node, target in (
        ("null", "/proc/sys/kernel/core_pattern"),
        ("console", "CANARY/file"),
        ("ptmx", "CANARY/file"),
        ("fd", "CANARY/directory"),
        ("stdin", "CANARY/file"),
    ):
        table.add(
            f"bound-dev-has-{node}-as-a-link-to-the-host",
            lambda scene, node=node, target=target: scene.link(
                f"/dev/{node}", target.replace("CANARY", str(scene.canary))
            ),
            settings=bound,
            origin="CVE-2025-31133",
        )
    table.add(
        "bound-dev-has-ptmx-as-a-file",
        lambda scene: scene.file("/dev/ptmx"),
        settings=bound,
    )
    for target in ("/proc", "/proc/self", "/proc/self/attr", "/sys"):
        table.add(
            f"volume-over-{target.strip('/').replace('/', '-')}",
            lambda scene: None,
            settings=lambda scene, target=target: {
                "mounts": (
                    {
                        "destination": target,
                        "source": str(scene.canary / "directory"),
                        "options": ("bind",),
                    },
                )
            },
            origin="CVE-2015-3631, CVE-2019-16884",
        )


# -- destinations of volumes -----------------------------------------------------------


def volumes(table: Table) -> None:
    def volume(destination: str, source: str = "volume") -> Settings:
        def settings(scene: Scene) -> dict[str, Any]:
            folder = scene.root.parent / source
            folder.mkdir(exist_ok=True)
            mount = {"source": str(folder), "options": ("rbind",)}
            return {"mounts": ({"destination": destination, **mount},)}

        return settings

    def add(
        name: str, build: Build, destination: str = "/data", **details: Any
    ) -> None:
        settings = volume(destination)
        table.add(f"volume-{name}", build, settings=settings, **details)

    add(
        "at-a-link-to-a-host-directory",
        lambda scene: scene.link("/data", scene.canary / "empty"),
        origin="CVE-2015-3629",
    )
    add(
        "at-a-dangling-link-to-the-host",
        lambda scene: scene.link("/data", scene.canary / "new"),
        origin="CVE-2024-45310",
    )
    add(
        "below-a-link-to-a-host-directory",
        lambda scene: scene.link("/l", scene.canary),
        "/l/created/here",
        origin="CVE-2026-87766",
    )
    add(
        "with-dots-after-a-link",
        lambda scene: scene.link("/l", scene.canary / "directory/inner"),
        "/l/../x",
    )
    add("below-a-fifo", lambda scene: scene.fifo("/f"), "/f/x", must_fail=True)
    add("at-a-fifo", lambda scene: scene.fifo("/data"))
    add("below-a-file", lambda scene: scene.file("/f"), "/f/x", must_fail=True)

    def chain(scene: Scene) -> None:
        for number in range(60):
            scene.link(f"/chain{number}", f"chain{number + 1}")
        (scene / "chain60").mkdir()

    add("at-a-chain-of-60-links", chain, "/chain0", must_fail=True)
    add("at-a-link-to-itself", lambda s: s.link("/data", "data"), must_fail=True)
    add("at-the-root", lambda scene: None, "/")
    add(
        "at-a-magic-link",
        lambda scene: scene.link("/data", "/proc/self/root/tmp"),
    )
    add(
        "at-a-magic-link-to-a-descriptor",
        lambda scene: scene.link("/data", "/proc/self/fd/3"),
    )
    add("at-an-immutable-looking-name", lambda scene: None, "/" + "n" * 255 + "/x")

    table.add(
        "tmpfs-copied-up-from-a-directory-of-traps",
        _traps,
        settings=lambda scene: {
            "mounts": (
                {
                    "destination": "/traps",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ("tmpcopyup",),
                },
            )
        },
    )


def _traps(scene: Scene) -> None:
    (scene / "traps").mkdir()
    scene.fifo("/traps/fifo")
    scene.device("/traps/zero", 1, 5)
    scene.link("/traps/link", scene.canary / "directory")
    scene.link("/traps/file-link", scene.canary / "file")
    with open(scene / "traps/sparse", "wb") as file:
        file.truncate(1 << 40)


# -- masked and read-only paths, the working directory ---------------------------------


def paths(table: Table) -> None:
    for field_name, kind in (
        ("masked_paths", "masked"),
        ("readonly_paths", "readonly"),
    ):
        for name, target in (
            ("file", "CANARY/file"),
            ("directory", "CANARY/directory"),
            ("sysctl", "/proc/sys/kernel"),
        ):
            table.add(
                f"{kind}-path-is-a-link-to-a-host-{name}",
                lambda scene, target=target: scene.link(
                    "/m", target.replace("CANARY", str(scene.canary))
                ),
                settings=lambda scene, field_name=field_name: {field_name: ("/m",)},
            )
        table.add(
            f"{kind}-path-is-a-fifo",
            lambda scene: scene.fifo("/m"),
            settings=lambda scene, field_name=field_name: {field_name: ("/m",)},
        )
    for cwd in ("/proc/self/cwd", "/proc/1/root", "/proc/self/fd/3", "/proc/self/fd/7"):
        table.add(
            f"cwd-is{cwd.replace('/', '-')}",
            lambda scene: None,
            settings=lambda scene, cwd=cwd: {"cwd": cwd},
            origin="CVE-2024-21626",
        )
    table.add(
        "cwd-is-a-link-to-a-descriptor",
        lambda scene: scene.link("/w", "/proc/self/fd/7"),
        settings=lambda scene: {"cwd": "/w"},
        origin="CVE-2024-21626",
    )
    table.add(
        "cwd-is-a-file",
        lambda scene: scene.file("/w"),
        settings=lambda scene: {"cwd": "/w"},
        must_fail=True,
    )
    table.add(
        "cwd-is-a-link-to-itself",
        lambda scene: scene.link("/w", "w"),
        settings=lambda scene: {"cwd": "/w"},
        must_fail=True,
    )
    table.add(
        "cwd-is-a-link-out",
        lambda scene: scene.link("/w", scene.canary),
        settings=lambda scene: {"cwd": "/w"},
        must_fail=True,
    )
