"""`Config`: all that a container is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, model_validator

from .base import AbsolutePath, ConfigError, Flag, FrozenMap, StrPath, Text, as_map
from .capabilities import Capabilities
from .cgroup import CgroupSettings
from .devices import DEFAULT_DEVICES, Device
from .hooks import Hooks
from .intel_rdt import IntelRdt
from .labels import SelinuxLabel
from .landlock import Landlock
from .mount_ids import require_mappings
from .mounts import (
    DEFAULT_MASKED_PATHS,
    DEFAULT_READONLY_PATHS,
    SYSTEM_MOUNTS,
    Mount,
    require_no_commands,
    require_own_file_systems,
    require_readonly_cgroups,
)
from .namespaces import IdMapping, Namespaces, TimeOffsets, require_disjoint
from .network import Attached, Loopback
from .networks import AnyNetwork, check_networks
from .process import ProcessSettings, Rlimit
from .requirements import Requirements
from .resources import DeviceRule, Resources
from .rootfs import AnyRootfs, Rootfs
from .scheduling import (
    ExecCpuAffinity,
    IoPriority,
    MemoryPolicy,
    Personality,
    Scheduler,
)
from .seccomp import Seccomp, require_answerable
from .shorthands import fold_automatic_ids, fold_shorthands
from .sysctls import SysctlMap, require_namespaces

if TYPE_CHECKING:
    from .foreign import Foreign
    from .oci import CgroupManager

__all__ = ("Config", "device_rules")


def _uts_name(name: str) -> str:
    # __NEW_UTS_LEN in include/uapi/linux/utsname.h
    if not name or len(name.encode()) > 64:
        raise ConfigError("", "should be 1 to 64 bytes long")
    if any(c.isspace() or not c.isprintable() for c in name):
        raise ConfigError("", "contains a space or a control character")
    return name


_UtsName: TypeAlias = Annotated[Text, AfterValidator(_uts_name)]


class Config(ProcessSettings):
    """All that a container is. ``Config(rootfs=...)`` alone is the safe choice: own
    namespaces, few capabilities, no_new_privs, a system call filter, masked kernel
    files, and no network but loopback.

    ``memory``, ``cpus`` and ``pids`` are short for fields of ``resources``.

    Raises:
        ConfigError: a value is wrong or doesn't fit the others; nothing was touched.
    """

    rootfs: AnyRootfs
    """The root directory. A path means that directory."""
    hostname: _UtsName | None = None
    """``None`` is the container's id."""
    domainname: _UtsName | None = None
    namespaces: Namespaces = Namespaces()
    uid_mappings: tuple[IdMapping, ...] = ()
    """Of a new user namespace; ``"auto"`` is short for ``namespaces.user="auto"``."""
    gid_mappings: tuple[IdMapping, ...] = ()
    """Of a new user namespace."""
    time_offsets: TimeOffsets = TimeOffsets()
    """Of the clocks of a new time namespace."""
    mounts: tuple[Mount, ...] = ()
    """Made in this order, after ``system_mounts``."""
    system_mounts: tuple[Mount, ...] = SYSTEM_MOUNTS
    devices: tuple[Device, ...] = ()
    """Further devices; each may also be used (see `device_rules`)."""
    system_devices: tuple[Device, ...] = DEFAULT_DEVICES
    masked_paths: tuple[AbsolutePath, ...] = DEFAULT_MASKED_PATHS
    """Hidden, where they exist."""
    readonly_paths: tuple[AbsolutePath, ...] = DEFAULT_READONLY_PATHS
    """Made read-only, where they exist."""
    sysctl: SysctlMap = FrozenMap()
    """Kernel parameters of the container's own namespaces, by dotted name."""
    network: AnyNetwork = (Loopback(),)
    """Interfaces and routes of a new network namespace, made in this order."""
    session_keyring: Flag = True
    """A new session keyring, so that the program's keys can't be reached."""
    pivot_root: Flag = True
    """False moves the mount instead: pivot_root(2) can't leave an initial ramfs."""
    pivot_dir: AbsolutePath | None = None
    """A directory of the root for the host's root, for an instant. Not needed: for
    configurations of libcontainer that name one."""
    rootfs_propagation: Literal["private", "slave", "shared", "unbindable"] = "private"
    """Propagation of the container's root mount."""
    mount_label: SelinuxLabel | None = None
    """SELinux context of what is in the file systems that are made for it."""
    intel_rdt: IntelRdt | None = None
    """Class of service for caches and memory bandwidth; ``None`` is the program's."""
    hooks: Hooks = Hooks()
    """Programs run at turns of the container's life."""
    annotations: Annotated[Mapping[Text, Text], *as_map] = FrozenMap()
    """Anything, for hooks: they find it in the state."""
    bundle: AbsolutePath | None = None
    """Directory where hooks on the host start, and which the state names; ``None`` is
    ``/``."""
    resources: Resources = Resources()
    cgroup: CgroupSettings = CgroupSettings()
    require: Requirements = frozenset()
    """What has to be in force, as ``{"userns", "seccomp", "cgroup.memory"}``: without
    it no process is started. See `REQUIREMENTS`."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            rootfs: Rootfs | StrPath,
            memory: str | int | None = ...,
            cpus: float | str | None = ...,
            pids: int | None = ...,
            user: str | int = ...,
            groups: Iterable[str | int] = ...,
            umask: int = ...,
            cwd: StrPath = ...,
            env: Mapping[str, str] = ...,
            capabilities: Capabilities = ...,
            no_new_privs: bool = ...,
            rlimits: Mapping[
                str, Rlimit | int | tuple[int | None, int | None] | None
            ] = ...,
            oom_score_adj: int | None = ...,
            seccomp: Seccomp | None = ...,
            landlock: Landlock | None = ...,
            apparmor_profile: str | None = ...,
            selinux_label: str | None = ...,
            mount_label: str | None = ...,
            hostname: str | None = ...,
            domainname: str | None = ...,
            namespaces: Namespaces = ...,
            uid_mappings: Iterable[IdMapping] | Literal["auto"] = ...,
            gid_mappings: Iterable[IdMapping] | Literal["auto"] = ...,
            scheduler: Scheduler | None = ...,
            io_priority: IoPriority | None = ...,
            memory_policy: MemoryPolicy | None = ...,
            personality: Personality | None = ...,
            cpu_affinity: str | None = ...,
            exec_cpu_affinity: ExecCpuAffinity | None = ...,
            parent_death_signal: int | str | None = ...,
            time_offsets: TimeOffsets = ...,
            mounts: Iterable[Mount] = ...,
            system_mounts: Iterable[Mount] = ...,
            devices: Iterable[Device] = ...,
            system_devices: Iterable[Device] = ...,
            masked_paths: Iterable[StrPath] = ...,
            readonly_paths: Iterable[StrPath] = ...,
            sysctl: Mapping[str, str] = ...,
            network: Attached | Iterable[Attached] = ...,
            session_keyring: bool = ...,
            pivot_root: bool = ...,
            pivot_dir: StrPath | None = ...,
            rootfs_propagation: Literal[
                "private", "slave", "shared", "unbindable"
            ] = ...,
            intel_rdt: IntelRdt | None = ...,
            hooks: Hooks = ...,
            annotations: Mapping[str, str] = ...,
            bundle: StrPath | None = ...,
            resources: Resources = ...,
            cgroup: CgroupSettings = ...,
            require: Iterable[str] = ...,
        ) -> None: ...

    @classmethod
    def from_oci(
        cls,
        document: "Foreign",
        *,
        bundle: StrPath | None = None,
        cgroup_manager: "CgroupManager" = "cgroupfs",
    ) -> Self:
        """The container that an OCI ``config.json`` describes (runtime-spec 1.x).

        What is absent there is absent here: none of this library's defaults is put in
        its place. `Bundle.read` gives the program and what else is in the
        document, and warnings about what is ignored.

        Args:
            document: the path of the file or of the bundle; or its JSON, as bytes or as
                text; or what ``json.load`` made of it.
            bundle: directory that relative paths are taken from; ``None`` is that of
                the file.
            cgroup_manager: how ``linux.cgroupsPath`` is written: a path, or (systemd)
                ``slice:prefix:name``.

        Raises:
            ConfigError: names the field by its path in the document, as
                ``linux.resources.memory.limit``. Nothing was touched.
            UnsupportedFeature: a field that isn't acted on; none is ignored.
        """
        from .foreign import built, read_oci

        return built(cls, read_oci(document, bundle, cgroup_manager))

    @classmethod
    def from_libcontainer(
        cls,
        document: "Foreign",
        *,
        rootfs: StrPath | None = None,
        cgroup_manager: "CgroupManager" = "cgroupfs",
    ) -> Self:
        """The container that libcontainer's own ``container.json`` describes.

        The documents of nsinit (2014 and 2015) and those in runc's ``state.json`` are
        taken. User, environment and directory are mostly not in them, and then those of
        this library. Unknown fields are ignored.

        Args:
            document: as for `from_oci`.
            rootfs: the root directory; ``None`` is what the document says, or as for
                nsinit the directory that the file is in.
            cgroup_manager: who makes the cgroup.

        Raises:
            ConfigError: names the field by its path in the document, as
                ``cgroups.memory_swap``. Nothing was touched.
            UnsupportedFeature: a field that isn't acted on.
        """
        from .foreign import read_libcontainer

        return read_libcontainer(cls, document, rootfs, cgroup_manager)

    def to_oci(
        self,
        args: Sequence[str] = (),
        *,
        terminal: bool | tuple[int, int] = False,
    ) -> dict[str, Any]:
        """An OCI document that means the same, as JSON takes it.

        The bundle, and how the cgroup is managed, aren't parts of it. Conditions of the
        filter are settled for this machine and these capabilities.

        Args:
            args: the program and its arguments; without, the document has none.
            terminal: whether it gets one; (rows, columns) says its size.

        Raises:
            UnsupportedFeature: OCI has no word for something, which is never left out.
        """
        from .oci.write import write_document

        return write_document(self.model_dump(), args, terminal)

    @model_validator(mode="before")
    @classmethod
    def _take_shorthands(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        return fold_shorthands(fold_automatic_ids(data))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._check_names()
        self._check_user_namespace()
        self._check_mount_namespace()
        ids = (self.namespaces.user, self.uid_mappings, self.gid_mappings)
        require_mappings("system_mounts", self.system_mounts, *ids)
        require_mappings("mounts", self.mounts, *ids)
        if getattr(self.rootfs, "idmap", False) and self.namespaces.user == "host":
            raise ConfigError("rootfs.idmap", "needs a user namespace")
        require_own_file_systems(self.system_mounts, self.mounts)
        if self.namespaces.pid not in ("new", "host"):
            require_no_commands("system_mounts", self.system_mounts)
            require_no_commands("mounts", self.mounts)
        if self.pivot_dir is not None and not self.pivot_root:
            raise ConfigError("pivot_dir", "contradicts pivot_root")
        if self.namespaces.cgroup == "host":
            require_readonly_cgroups("system_mounts", self.system_mounts)
            require_readonly_cgroups("mounts", self.mounts)
        self._check_devices()
        require_namespaces(self.sysctl, self.namespaces)
        if self.seccomp is not None and not self.no_new_privs:
            try:
                require_answerable(self.seccomp)
            except ConfigError as error:
                raise ConfigError(f"seccomp.{error.field}", error.reason) from None
        if self.time_offsets != TimeOffsets() and self.namespaces.time != "new":
            raise ConfigError("time_offsets", "needs a new time namespace")
        check_networks(self.network, self.namespaces)
        return self

    def _check_names(self) -> None:
        if self.namespaces.uts == "host":
            for field in ("hostname", "domainname"):
                if getattr(self, field) is not None:
                    raise ConfigError(field, "needs a uts namespace of its own")
        if self.domainname is not None and "kernel.domainname" in self.sysctl:
            raise ConfigError("sysctl[kernel.domainname]", "contradicts domainname")

    def _check_user_namespace(self) -> None:
        for field in ("uid_mappings", "gid_mappings"):
            mappings: tuple[IdMapping, ...] = getattr(self, field)
            require_disjoint(field, mappings)
            if self.namespaces.user == "new":
                if not mappings:
                    raise ConfigError(field, "is needed for a new user namespace")
            elif mappings:
                raise ConfigError(field, "needs a new user namespace")

    def _check_mount_namespace(self) -> None:
        if self.namespaces.mount == "new":
            return
        for field in _MOUNT_FIELDS:
            if getattr(self, field):
                raise ConfigError(field, "needs a new mount namespace")

    def _check_devices(self) -> None:
        seen = {device.path for device in self.system_devices}
        for index, device in enumerate(self.devices):
            if device.path in seen:
                raise ConfigError(
                    f"devices[{index}].path", f"{device.path} is there twice"
                )
            seen.add(device.path)


# All of these are mounts, which would be made in a namespace that is not the
# container's alone, and would stay there.
_MOUNT_FIELDS: Final = ("system_mounts", "mounts", "masked_paths", "readonly_paths")


def device_rules(config: Config) -> tuple[DeviceRule, ...]:
    """Rules for the devices cgroup: those of ``resources``, then one per device."""
    return config.resources.devices + tuple(
        DeviceRule(
            allow=True,
            type="b" if device.type == "b" else "c",
            major=device.major,
            minor=device.minor,
        )
        for device in config.devices
        if device.type != "p"
    )
