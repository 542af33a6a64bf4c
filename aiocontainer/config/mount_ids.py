"""Which owners the files of an id-mapped mount have, by any of three ways to say it.

Mappings of the mount itself (OCI), words of one option (crun), or neither: then those
of the container's own user namespace. In all of them ``container_id`` is the id in the
file system and ``host_id`` the one that it has in the mount.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from .base import ConfigError
from .namespaces import IdMapping, require_disjoint

if TYPE_CHECKING:
    from .mounts import Mount

__all__ = ("IdRanges", "mount_mappings", "parse_id_ranges", "require_mappings")

IdRanges = tuple[tuple[IdMapping, bool], ...]
"""((range, whether its ``host_id`` is one of the container's), ...)"""

_EVERY_ID: Final = (IdMapping(container_id=0, host_id=0, size=4_294_967_295),)


def parse_id_ranges(text: str) -> tuple[IdRanges, IdRanges]:
    """Read ``uids=0-1000-10#10-2000-1;gids=@0-0-10`` (crun): for users and for groups.

    Each range is the id in the file system, the one in the mount, and how many. With
    an ``@`` the one in the mount is an id of the container.

    Raises:
        ConfigError: another form, or ids out of range.
    """
    found: dict[str, IdRanges] = {"uids": (), "gids": ()}
    for part in text.split(";"):
        kind, equals, ranges = part.partition("=")
        if kind not in found or not equals or found[kind]:
            raise ConfigError("", f"{part[:40]!r} should be uids=... or gids=..., once")
        found[kind] = tuple(_id_range(word) for word in ranges.split("#"))
    return found["uids"], found["gids"]


def _id_range(word: str) -> tuple[IdMapping, bool]:
    relative = word.startswith("@")
    numbers = word.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(n.isascii() and n.isdecimal() for n in numbers):
        raise ConfigError("", f"{word[:40]!r} should be three numbers, as 0-1000-1")
    if max(map(len, numbers)) > 10:
        raise ConfigError("", f"{word[:40]!r} has an id that is out of range")
    inside, outside, size = map(int, numbers)
    return IdMapping(container_id=inside, host_id=outside, size=size), relative


def mount_mappings(
    mount: "Mount", uids: Sequence[IdMapping], gids: Sequence[IdMapping]
) -> tuple[Sequence[IdMapping], Sequence[IdMapping]] | None:
    """What an id-mapped mount maps, in a container with these mappings.

    ``None`` where the mount says nothing of its own: then the container's user
    namespace is the mapping.

    Raises:
        ConfigError: a relative range isn't all within one of the container's.
    """
    if mount.uid_mappings:
        return mount.uid_mappings, mount.gid_mappings
    words = mount.parsed.id_ranges
    if not words:
        return None
    own = (uids, gids)
    found = [
        tuple(_absolute(ranges, mine)) or mine or _EVERY_ID
        for ranges, mine in zip(parse_id_ranges(words), own, strict=True)
    ]
    for mappings in found:
        require_disjoint("options", mappings)
    return found[0], found[1]


def _absolute(ranges: IdRanges, own: Sequence[IdMapping]) -> Iterator[IdMapping]:
    for wanted, relative in ranges:
        if not relative or not own:
            yield wanted
            continue
        for mapping in own:
            offset = wanted.host_id - mapping.container_id
            if offset >= 0 and offset + wanted.size <= mapping.size:
                host = mapping.host_id + offset
                yield wanted.model_copy(update={"host_id": host})
                break
        else:
            raise ConfigError("options", f"id {wanted.host_id} isn't the container's")


def require_mappings(
    field: str,
    mounts: "Sequence[Mount]",
    user: str,
    uids: Sequence[IdMapping],
    gids: Sequence[IdMapping],
) -> None:
    """Refuse id-mapped mounts that no mapping is to be had for.

    Raises:
        ConfigError: naming the mount.
    """
    for index, mount in enumerate(mounts):
        if not mount.is_id_mapped:
            continue
        try:
            mappings = mount_mappings(mount, uids, gids)
        except ConfigError as error:
            raise ConfigError(f"{field}[{index}].{error.field}", error.reason) from None
        if "@" in mount.parsed.id_ranges and user.startswith("/"):
            reason = "ranges can't be relative to a mapping that isn't known"
            raise ConfigError(f"{field}[{index}].options", reason)
        if mappings is None and user == "host":
            raise ConfigError(
                f"{field}[{index}].uid_mappings",
                "is missing: there is no user namespace whose mapping could be taken",
            )
