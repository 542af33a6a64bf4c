"""Mounts inside the container, and the ones that every container has."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .base import AbsolutePath, ConfigError, Model, StrPath, Text, as_text
from .hooks import Hook
from .mount_ids import parse_id_ranges
from .namespaces import IdMapping, require_disjoint
from .options import MOUNT_ATTR_RDONLY, MountOptions, parse_options
from .units import parse_size

__all__ = (
    "DEFAULT_MASKED_PATHS",
    "DEFAULT_READONLY_PATHS",
    "SYSTEM_MOUNTS",
    "Mount",
    "MountCommand",
)

# What may be covered below /proc, so that tools see a container's own figures
# (lxcfs does this). Anything else would let a mount stand in for kernel files that
# we or the program trust (CVE-2019-16884).
_PROC_FILES: Final = """
/proc/cpuinfo /proc/diskstats /proc/loadavg /proc/meminfo /proc/slabinfo /proc/stat
/proc/swaps /proc/uptime /proc/sys/crypto/fips_enabled /proc/sys/kernel/ns_last_pid
"""


class MountCommand(Hook):
    """A program of the host that is run around a mount: with the program's rights, in
    the container's namespaces, before its root becomes its root.

    It gets nothing but its arguments and environment. It has failed when it can't be
    executed, ends with anything but status 0, or takes too long; the end of what it
    printed is part of the error.
    """

    directory: AbsolutePath = "/"
    """Where it starts."""
    timeout: Annotated[float, Field(gt=0, le=1_000_000, strict=True)] | None = 10.0
    """Seconds after which it is killed, with its process group, and has failed."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            path: StrPath,
            args: Iterable[str] = ...,
            env: Mapping[str, str] = ...,
            directory: StrPath = ...,
            timeout: float | None = ...,
        ) -> None: ...


class Mount(Model):
    """One mount: a file system, a bind of something on the host, or a change of what
    is mounted there already (neither ``type`` nor ``source``)."""

    destination: AbsolutePath
    """Where, in the container; made if missing. Links are followed inside the
    container's root only."""
    source: Annotated[Text, BeforeValidator(as_text)] | None = None
    """For a bind mount the absolute path on the host; else what the file system takes
    (its type's name when ``None``)."""
    type: Text | None = None
    """File system type, ``"bind"``, or ``None`` when the options say ``bind``."""
    options: tuple[Text, ...] = ()
    """Words as in mount(8) and the OCI table; unknown ones are the file system's."""
    uid_mappings: tuple[IdMapping, ...] = ()
    """For an id-mapped mount (option ``idmap``, or ``ridmap`` for the mounts below
    too): from the owners in the file system to those in the mount. Without any, the
    container's own mapping is taken."""
    gid_mappings: tuple[IdMapping, ...] = ()
    """The same for groups; both or neither are given."""
    relabel: Literal["z", "Z"] | None = None
    """Give all files of a bind's source the container's ``mount_label``, where it has
    one: ``Z`` for this container alone, ``z`` for all. They keep it on the host."""
    premount_commands: tuple[MountCommand, ...] = ()
    """Run before it is mounted. A failure ends the start."""
    postmount_commands: tuple[MountCommand, ...] = ()
    """Run after it was mounted, while the host's root is still seen."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            destination: StrPath,
            source: StrPath | None = None,
            type: str | None = None,
            options: Iterable[str] = (),
            uid_mappings: Iterable[IdMapping] = (),
            gid_mappings: Iterable[IdMapping] = (),
            relabel: Literal["z", "Z"] | None = None,
            premount_commands: Iterable[MountCommand] = (),
            postmount_commands: Iterable[MountCommand] = (),
        ) -> None: ...

    @property
    def parsed(self) -> MountOptions:
        """The options, sorted by what they do."""
        words = self.options
        return parse_options(("bind", *words) if self.type == "bind" else words)

    @property
    def is_bind(self) -> bool:
        """A bind mount; ``type`` then doesn't matter."""
        return self.type == "bind" or not {"bind", "rbind"}.isdisjoint(self.options)

    @property
    def changes(self) -> bool:
        """Nothing is mounted: what is mounted there already is changed."""
        nothing_else = self.type is None and self.source is None and not self.is_bind
        return nothing_else or "remount" in self.options

    @property
    def is_id_mapped(self) -> bool:
        """A bind mount whose files have other owners than on the host."""
        flags = self.parsed.flags
        return bool(self.uid_mappings) or not flags.isdisjoint(("idmap", "ridmap"))

    @classmethod
    def bind(
        cls,
        source: StrPath,
        destination: StrPath | None = None,
        *,
        readonly: bool = False,
    ) -> Self:
        """A file or directory of the host, with the mounts below it.

        The same path is used inside unless ``destination`` says otherwise. Read-only
        holds for the mounts below too; without, what is read-only on the host stays so.
        """
        return cls(
            destination=source if destination is None else destination,
            source=source,
            type="bind",
            options=("rbind", "nosuid", "nodev", *(("rro",) if readonly else ())),
        )

    @classmethod
    def tmpfs(
        cls, destination: StrPath, *, size: str | int | None = None, mode: int = 0o1777
    ) -> Self:
        """An empty directory in memory, of at most ``size`` (as ``"64MiB"``)."""
        if not isinstance(mode, int) or not 0 <= mode <= 0o7777:
            raise ConfigError("mode", "should be permission bits, at most 0o7777")
        options = ["nosuid", "nodev", f"mode={mode:04o}"]
        if size is not None:
            try:
                options.append(f"size={parse_size(size)}")
            except ConfigError as error:
                raise ConfigError("size", error.reason) from None
        return cls(
            destination=destination, source="tmpfs", type="tmpfs", options=options
        )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self._check_destination()
        if self.is_bind:
            self._check_bind()
        elif self.type is None and not (self.source is None or self.changes):
            raise ConfigError("type", "is missing: a source needs a type, or bind")
        elif self.type == "":
            raise ConfigError("type", "is empty")
        for index, word in enumerate(self.options):
            # A comma would smuggle a second word into a file system's option string.
            if not word or ("," in word and self.type != "overlay"):
                raise ConfigError(f"options[{index}]", "should be one word")
        self._check_mappings()
        self._check_relabel()
        return self

    def _check_relabel(self) -> None:
        if self.relabel is None:
            return
        if not self.is_bind or self.source is None:
            raise ConfigError("relabel", "only the source of a bind has files to label")
        if self.source.rstrip("/") in ("", "/usr", "/etc"):
            raise ConfigError("relabel", f"{self.source} is the host's own")

    def _check_destination(self) -> None:
        path = self.destination
        if path == "/":
            raise ConfigError("destination", "can't be the root directory")
        if path.startswith("/proc/") and path not in _PROC_FILES.split():
            raise ConfigError("destination", "is below /proc")
        if path == "/proc" and not (self.is_bind or self.type in ("proc", None)):
            raise ConfigError("destination", "/proc can only be a proc file system")

    def _check_bind(self) -> None:
        if self.source is None:
            if "remount" not in self.options:
                raise ConfigError("source", "is missing")
        elif not self.source.startswith("/"):
            raise ConfigError("source", "should be an absolute path")
        if data := self.parsed.data:
            index = self.options.index(data[0])
            raise ConfigError(
                f"options[{index}]", f"{data[0]!r} has no meaning on a bind mount"
            )

    def _check_mappings(self) -> None:
        given = (("uid_mappings", "gid_mappings"), ("gid_mappings", "uid_mappings"))
        for field, other in given:
            mappings = getattr(self, field)
            if mappings and not self.is_bind:
                raise ConfigError(field, "only a bind mount can be id-mapped")
            if getattr(self, other) and not mappings:
                raise ConfigError(field, f"is missing beside {other}")
            require_disjoint(field, mappings)
        for index, word in enumerate(self.options):
            name, _, ranges = word.partition("=")
            if name in ("idmap", "ridmap"):
                self._check_id_ranges(f"options[{index}]", ranges)

    def _check_id_ranges(self, field: str, ranges: str) -> None:
        if not self.is_bind:
            raise ConfigError(field, "only a bind mount can be id-mapped")
        if ranges and self.uid_mappings:
            raise ConfigError(field, "contradicts uid_mappings")
        try:
            if ranges:
                parse_id_ranges(ranges)
        except ConfigError as error:
            raise ConfigError(field, error.reason) from None


# Each mount of these has a superblock of its own, so nobody else is concerned.
_RECONFIGURABLE: Final = frozenset({"tmpfs", "proc", "devpts"})


def require_own_file_systems(earlier: Iterable[Mount], mounts: Iterable[Mount]) -> None:
    """Refuse to change options of a file system that isn't the container's alone.

    Raises:
        ConfigError: naming the mount.
    """
    own = {
        mount.destination: _is_its_own(mount) for mount in earlier if not mount.changes
    }
    for index, mount in enumerate(mounts):
        options = mount.parsed
        if not mount.changes:
            own[mount.destination] = _is_its_own(mount)
        elif (options.data or options.superblock) and not own.get(mount.destination):
            word = (*options.data, *options.superblock)[0]
            raise ConfigError(
                f"mounts[{index}].options[{mount.options.index(word)}]",
                f"{word!r} can only be changed of a tmpfs, proc or devpts made before",
            )


def _is_its_own(mount: Mount) -> bool:
    return not mount.is_bind and mount.type in _RECONFIGURABLE


def require_no_commands(field: str, mounts: Iterable[Mount]) -> None:
    """Refuse programs of the host where processes of another container could see them,
    and reach their executables by /proc (CVE-2019-5736).

    Raises:
        ConfigError: naming the mount.
    """
    for index, mount in enumerate(mounts):
        for commands in ("premount_commands", "postmount_commands"):
            if getattr(mount, commands):
                reason = "can't be run in a pid namespace of others"
                raise ConfigError(f"{field}[{index}].{commands}", reason)


def require_readonly_cgroups(field: str, mounts: Iterable[Mount]) -> None:
    """Refuse a writable view of cgroups without a cgroup namespace (CVE-2023-25809).

    Raises:
        ConfigError: naming the mount.
    """
    for index, mount in enumerate(mounts):
        options = mount.parsed
        cleared = (options.attr_clear | options.recursive_clear) & MOUNT_ATTR_RDONLY
        if cleared and mount.type in ("cgroup", "cgroup2") and not mount.is_bind:
            reason = "rw needs a cgroup namespace of the container's own"
            raise ConfigError(f"{field}[{index}].options", reason)


SYSTEM_MOUNTS: Final = (
    Mount(
        destination="/proc",
        source="proc",
        type="proc",
        options=("nosuid", "noexec", "nodev"),
    ),
    Mount(
        destination="/dev",
        source="tmpfs",
        type="tmpfs",
        options=("nosuid", "strictatime", "mode=755", "size=65536k"),
    ),
    Mount(
        destination="/dev/pts",
        source="devpts",
        type="devpts",
        options=(
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
    ),
    Mount(
        destination="/dev/shm",
        source="shm",
        type="tmpfs",
        options=("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
    ),
    Mount(
        destination="/dev/mqueue",
        source="mqueue",
        type="mqueue",
        options=("nosuid", "noexec", "nodev"),
    ),
    Mount(
        destination="/sys",
        source="sysfs",
        type="sysfs",
        options=("nosuid", "noexec", "nodev", "ro"),
    ),
)
"""What every container has mounted; the ``mounts`` of a config come after."""

DEFAULT_MASKED_PATHS: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""Paths that tell of the host and not of the container; hidden."""

DEFAULT_READONLY_PATHS: Final = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
"""Paths whose change would be felt by the host; read-only."""
