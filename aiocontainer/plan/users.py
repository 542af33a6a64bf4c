"""Which ids of the host stand behind a container's, and who may write that down.

A program with privileges maps what it likes. One without maps its own id alone, or asks
newuidmap(1), which knows from ``/etc/subuid`` what else belongs to its user.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from ..config import (
    Config,
    IdMapping,
    Loopback,
    ProcessSettings,
    UserNetwork,
    parse_user,
    replace,
)
from ..errors import ConfigError, UnsupportedFeature
from .host import HostFacts
from .parts import remembered
from .user_network import with_forwarders

__all__ = ("IdFacts", "Ids", "Writers", "resolved", "sub_ids", "writers")

Mappings: TypeAlias = tuple[IdMapping, ...]
Ids: TypeAlias = tuple[tuple[int, int], ...]
"""Ranges of the host's ids: (first, how many), ..."""

SIZE: Final = 65_536
"""Ids that an automatic mapping gives a container; without privileges, as far as there
are so many."""

# Not the caller's PATH: what is found there becomes root by its set-user-id bit.
_HELPER_PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin:/run/wrappers/bin:/usr/local/bin"


@dataclass(frozen=True, slots=True)
class IdFacts:
    """What this user may map besides the own id."""

    uids: Ids
    gids: Ids
    newuidmap: str | None
    """Absolute path, if it is installed and would work for this program."""
    newgidmap: str | None
    own_uids: Ids = ()
    """All that there are in the program's own user namespace."""
    own_gids: Ids = ()

    @staticmethod
    @cache
    def read() -> IdFacts:
        """Of this program's user; the answer is kept."""
        import shutil  # 4 ms

        host = HostFacts.read()
        names = {str(host.uid), *_name_of(host.uid)}
        # It asks who *really* calls it; and no set-user-id program works after nnp.
        works = host.uid == host.real_uid and not host.no_new_privs
        return IdFacts(
            sub_ids("/etc/subuid", names),
            sub_ids("/etc/subgid", names),
            shutil.which("newuidmap", path=_HELPER_PATH) if works else None,
            shutil.which("newgidmap", path=_HELPER_PATH) if works else None,
            _own_ids("/proc/self/uid_map"),
            _own_ids("/proc/self/gid_map"),
        )

    @property
    def has_helpers(self) -> bool:
        """More than one id can be mapped by a user without privileges."""
        return bool(self.newuidmap and self.newgidmap)


def _own_ids(path: str) -> Ids:
    try:
        return tuple(sorted((m.container_id, m.size) for m in _read_map(path)))
    except OSError:
        return ()


def _name_of(uid: int) -> tuple[str, ...]:
    try:
        return (pwd.getpwuid(uid).pw_name,)
    except KeyError:
        return ()


def sub_ids(path: str, names: Iterable[str]) -> Ids:
    """The ranges that a file in the form of subuid(5) grants to any of ``names``."""
    wanted = frozenset(names)
    try:
        with open(path, errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        name, first, count = (*line.strip().split(":"), "", "")[:3]
        if name in wanted and first.isdigit() and count.isdigit() and int(count):
            found.append((int(first), int(count)))
    return tuple(found)


# -- which mapping -----------------------------------------------------------------


@remembered
def resolved(config: Config) -> Config:
    """The config with the user namespace that it gets by this program, on this machine.

    Raises:
        ConfigError: it maps ids that aren't this user's.
        UnsupportedFeature: this user can't have what it asks for.
    """
    if any(isinstance(network, UserNetwork) for network in config.network):
        config = with_forwarders(config)
    return resolve(config, HostFacts.read(), IdFacts.read)


def resolve(config: Config, host: HostFacts, ids: Callable[[], IdFacts]) -> Config:
    """`resolved`, for given facts: pure."""
    user = config.namespaces.user
    if host.is_privileged and host.is_initial:
        return config if user != "auto" else _leased(config, ids())
    if host.is_privileged:
        nested = user in ("auto", "host")
        return _with_mappings(config, *_identity(host, ids())) if nested else config
    _check_networks(config)
    if user not in ("auto", "host"):
        if user == "new":
            _check_mappings(config, host, ids())
        return config
    _check_joined(config)
    return _with_mappings(config, *automatic(host, ids()))


def windows(ranges: Ids) -> Iterator[int]:
    """The first ids of all parts of `SIZE` that the ranges have room for."""
    for first, count in ranges:
        yield from range(first, first + count - SIZE + 1, SIZE)


def _identity(host: HostFacts, ids: IdFacts) -> tuple[Mappings, Mappings]:
    """All ids of the user namespace that the program is root in, as they are there.

    In a further one, since in its own it could make no device, and no overlay that
    keeps trusted attributes.
    """
    sides = []
    for granted, own in ((ids.own_uids, host.uid), (ids.own_gids, host.gid)):
        if granted[:1] and granted[0][0] == 0:
            found = (IdMapping(container_id=a, host_id=a, size=n) for a, n in granted)
            sides.append(tuple(found))
        else:
            sides.append((IdMapping(container_id=0, host_id=own, size=1),))
    return sides[0], sides[1]


def is_leased(config: Config) -> bool:
    """Whether a range of ids is to be had for each container of this config."""
    host = HostFacts.read()
    automatic = config.namespaces.user == "auto"
    return automatic and host.is_privileged and host.is_initial


def _leased(config: Config, ids: IdFacts) -> Config:
    """With the first range that there is, which may be another container's."""
    uid, gid = (next(windows(ranges), None) for ranges in (ids.uids, ids.gids))
    if uid is None or gid is None:
        raise UnsupportedFeature(
            "namespaces.user: auto",
            f"/etc/subuid and /etc/subgid grant root no {SIZE} ids",
            "usermod --add-subuids 1000000-9999999 --add-subgids 1000000-9999999 root",
        )
    return with_range(config, uid, gid)


def with_range(config: Config, uid: int, gid: int) -> Config:
    """The config with the `SIZE` ids of users and groups from these on."""
    sides = (IdMapping(container_id=0, host_id=id, size=SIZE) for id in (uid, gid))
    return _with_mappings(config, *((side,) for side in sides))


def with_mappings_of(config: Config, pid: int) -> Config:
    """The config with the mappings that a process has, which was made by it.

    Raises:
        OSError: it is gone.
    """
    sides = (_read_map(f"/proc/{pid}/{name}") for name in ("uid_map", "gid_map"))
    return _with_mappings(config, *sides)


def _read_map(path: str) -> Mappings:
    with open(path) as file:
        lines = [tuple(map(int, line.split())) for line in file]
    return tuple(IdMapping(container_id=a, host_id=b, size=n) for a, b, n in lines)


def _with_mappings(config: Config, uids: Mappings, gids: Mappings) -> Config:
    spaces = replace(config.namespaces, user="new")
    return config.model_copy(
        update={"namespaces": spaces, "uid_mappings": uids, "gid_mappings": gids}
    )


def automatic(host: HostFacts, ids: IdFacts) -> tuple[Mappings, Mappings]:
    """Root is the user, and what comes after is the user's from subuid(5), if any."""
    own = (
        (IdMapping(container_id=0, host_id=host.uid, size=1),),
        (IdMapping(container_id=0, host_id=host.gid, size=1),),
    )
    # newgidmap refuses a mapping beyond one id where uids have none: both, or none.
    if not (ids.has_helpers and ids.uids and ids.gids):
        return own
    uids, gids = tuple(_laid_out(ids.uids)), tuple(_laid_out(ids.gids))
    return own[0] + uids, own[1] + gids


def _laid_out(ranges: Ids) -> Iterator[IdMapping]:
    """The ranges one after the other, from id 1 on."""
    at = 1
    for first, count in ranges:
        size = min(count, SIZE - at)
        if size > 0:
            yield IdMapping(container_id=at, host_id=first, size=size)
            at += size


def _check_joined(config: Config) -> None:
    for kind, choice in config.namespaces.model_dump().items():
        if choice.startswith("/"):
            raise UnsupportedFeature(
                f"namespaces.{kind}",
                "a program without privileges can only join what belongs to a user"
                " namespace that it joins too",
                "name that user namespace in namespaces.user",
            )


def _check_networks(config: Config) -> None:
    for network in config.network:
        if not isinstance(network, Loopback | UserNetwork):
            raise UnsupportedFeature(
                f"network: {type(network).__name__}",
                "interfaces on the host take privileges",
                "use Network.user()",
            )


def _check_mappings(config: Config, host: HostFacts, ids: IdFacts) -> None:
    _check_joined(config)
    for kind, own, granted, mappings in (
        ("uid", host.uid, ids.uids, config.uid_mappings),
        ("gid", host.gid, ids.gids, config.gid_mappings),
    ):
        for index, mapping in enumerate(mappings):
            if not _is_granted(mapping, own, granted):
                ranges = ", ".join(f"{a}-{a + n - 1}" for a, n in granted) or "none"
                raise ConfigError(
                    f"{kind}_mappings[{index}].host_id",
                    f"isn't all this user's: {own} is, and of /etc/sub{kind} {ranges}",
                )
    if not (is_own_alone(config, host) or ids.has_helpers):
        raise UnsupportedFeature(
            "uid_mappings",
            "more than the user's own id takes newuidmap and newgidmap",
            "install the package uidmap (shadow-utils); no_new_privs must be off",
        )


def _is_granted(mapping: IdMapping, own: int, granted: Ids) -> bool:
    first, last = mapping.host_id, mapping.host_id + mapping.size
    if (first, mapping.size) == (own, 1):
        return True
    return any(start <= first and last <= start + size for start, size in granted)


def is_own_alone(config: Config, host: HostFacts) -> bool:
    """Each side maps nothing but the program's own id, which takes no helper."""
    sides = ((config.uid_mappings, host.uid), (config.gid_mappings, host.gid))
    return all(
        len(mappings) == 1 and (mappings[0].host_id, mappings[0].size) == (own, 1)
        for mappings, own in sides
    )


def check_process(
    config: Config, settings: ProcessSettings, *, keeps_groups: bool
) -> None:
    """Refuse ids that the user namespace of a resolved config doesn't have.

    Raises:
        ConfigError: naming the field.
    """
    user = parse_user(settings.user)
    _check_mapped("user", user.user, config.uid_mappings)
    _check_mapped("user", user.group, config.gid_mappings)
    for index, group in enumerate(settings.groups):
        if keeps_groups:
            reason = "can't be had: with one id mapped, setgroups(2) is denied"
            raise ConfigError(f"groups[{index}]", reason)
        _check_mapped(f"groups[{index}]", group, config.gid_mappings)


def _check_mapped(field: str, wanted: int | str | None, mappings: Mappings) -> None:
    if not isinstance(wanted, int):
        return  # a name, which only the container's own files know
    if not any(0 <= wanted - m.container_id < m.size for m in mappings):
        raise ConfigError(field, f"{wanted} isn't mapped into the user namespace")


# -- who writes it -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Writers:
    """How the mappings of a new user namespace come to the kernel."""

    files: tuple[tuple[str, bytes], ...] = ()
    """Files in ``/proc/<child>/`` that the spawner writes."""
    commands: tuple[tuple[bytes, ...], ...] = ()
    """Or programs that it runs, each as (path, arguments after the child's pid...)."""
    denies_groups: bool = False
    """Processes keep the groups that the program has."""


def writers(config: Config, host: HostFacts, ids: Callable[[], IdFacts]) -> Writers:
    """For the mappings of a resolved config: pure."""
    files = (
        ("gid_map", _lines(config.gid_mappings)),
        ("uid_map", _lines(config.uid_mappings)),
    )
    if host.is_privileged:
        return Writers(files, denies_groups=host.denies_groups)
    if is_own_alone(config, host):
        # Or a group could be left whose members are refused a file (CVE-2014-8989).
        return Writers((("setgroups", b"deny"), *files), denies_groups=True)
    known = ids()
    assert known.newuidmap is not None  # by `resolve`
    assert known.newgidmap is not None
    return Writers(
        commands=(
            (os.fsencode(known.newgidmap), *_words(config.gid_mappings)),
            (os.fsencode(known.newuidmap), *_words(config.uid_mappings)),
        )
    )


def _lines(extents: Iterable[IdMapping]) -> bytes:
    """One write a file, as user_namespaces(7) wants it."""
    lines = (f"{e.container_id} {e.host_id} {e.size}\n" for e in extents)
    return "".join(lines).encode()


def _words(extents: Sequence[IdMapping]) -> tuple[bytes, ...]:
    return tuple(
        b"%d" % number
        for extent in extents
        for number in (extent.container_id, extent.host_id, extent.size)
    )
