"""Owners in id-mapped mounts: three ways to say which."""

from typing import Any

import pytest

from aiocontainer import Config, ConfigError, IdMapping, Mount, Namespaces
from aiocontainer.config.mount_ids import mount_mappings, parse_id_ranges


def mapping(inside: int, outside: int, size: int = 1) -> IdMapping:
    return IdMapping(container_id=inside, host_id=outside, size=size)


OWN = [mapping(0, 100_000, 1000), mapping(1000, 5000, 10)]


def bound(*words: str, **settings: Any) -> Mount:
    return Mount(destination="/m", source="/s", options=["bind", *words], **settings)


@pytest.mark.parametrize(
    ("text", "uids", "gids"),
    [
        ("uids=0-1-2", [(0, 1, 2, False)], []),
        ("gids=0-1-2", [], [(0, 1, 2, False)]),
        ("gids=0-1-2;uids=3-4-5", [(3, 4, 5, False)], [(0, 1, 2, False)]),
        ("uids=@0-1-2", [(0, 1, 2, True)], []),
        (
            "uids=0-1-2#@10-11-12#20-21-1",
            [(0, 1, 2, False), (10, 11, 12, True), (20, 21, 1, False)],
            [],
        ),
    ],
)
def test_words_of_crun_are_read(text: str, uids: Any, gids: Any) -> None:
    def plain(ranges: Any) -> list[Any]:
        return [(m.container_id, m.host_id, m.size, r) for m, r in ranges]

    found = parse_id_ranges(text)
    assert [plain(ranges) for ranges in found] == [uids, gids]


@pytest.mark.parametrize(
    "text",
    [
        *("uids", "uids=", "uids=0-1", "uids=0-1-2-3", "uids=a-b-c", "uids=0-1--2"),
        *(
            "pids=0-1-2",
            "uids=0-1-2;",
            "uids=0-1-2;uids=0-1-2",
            "uids=0-1-2,gids=0-1-2",
        ),
        *("uids=-1-0-1", "uids=0-1-0", "uids=0-1-4294967296", "uids=٣-1-2"),
        *("uids=99999999999-0-1", "uids=@@0-1-2", "uids= 0-1-2", "@uids=0-1-2"),
    ],
)
def test_what_is_no_range_is_a_config_error_of_that_option(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bound(f"idmap={text}")
    assert caught.value.field == "options[1]"


@pytest.mark.parametrize(
    ("mount", "own", "wanted"),
    [
        pytest.param(bound("idmap"), OWN, None, id="the container's"),
        pytest.param(
            bound(uid_mappings=[mapping(1, 2)], gid_mappings=[mapping(3, 4)]),
            OWN,
            ([mapping(1, 2)], [mapping(3, 4)]),
            id="its own",
        ),
        pytest.param(
            bound("idmap=uids=7-8-9"),
            OWN,
            ([mapping(7, 8, 9)], OWN),
            id="the other kind is the container's",
        ),
        pytest.param(
            bound("idmap=uids=7-8-9"),
            [],
            ([mapping(7, 8, 9)], [mapping(0, 0, 4_294_967_295)]),
            id="or every id",
        ),
        pytest.param(
            bound("idmap=uids=@7-8-9;gids=@0-1005-5"),
            OWN,
            ([mapping(7, 100_008, 9)], [mapping(0, 5005, 5)]),
            id="relative",
        ),
        pytest.param(
            bound("idmap=uids=@7-8-9;gids=@1-1-1"),
            [],
            ([mapping(7, 8, 9)], [mapping(1, 1)]),
            id="relative to the host",
        ),
    ],
)
def test_the_mapping_of_a_mount(mount: Mount, own: Any, wanted: Any) -> None:
    found = mount_mappings(mount, own, own)
    plain = None if found is None else tuple(list(ids) for ids in found)
    assert plain == wanted


@pytest.mark.parametrize(
    ("mount", "settings", "field"),
    [
        pytest.param(bound("idmap"), {}, "uid_mappings", id="no mapping to take"),
        pytest.param(bound("ridmap"), {}, "uid_mappings", id="nor for ridmap"),
        pytest.param(
            bound("idmap=uids=@0-998-5"),
            {"uid_mappings": OWN, "gid_mappings": OWN},
            "options",
            id="over the end of a range",
        ),
        pytest.param(
            bound("idmap=uids=@0-2000-1"),
            {"uid_mappings": OWN, "gid_mappings": OWN},
            "options",
            id="not the container's",
        ),
        pytest.param(
            bound("idmap=uids=0-1-5#3-10-1"), {}, "options", id="mapped twice"
        ),
        pytest.param(
            bound("idmap=uids=@0-0-1"),
            {"namespaces": Namespaces(user="/proc/1/ns/user")},
            "options",
            id="relative to what isn't known",
        ),
    ],
)
def test_a_mapping_that_can_not_be_had_names_the_mount(
    mount: Mount, settings: dict[str, Any], field: str
) -> None:
    if "uid_mappings" in settings:
        settings = {**settings, "namespaces": Namespaces(user="new")}
    with pytest.raises(ConfigError) as caught:
        Config(rootfs="/x", mounts=[Mount.tmpfs("/t"), mount], **settings)
    assert caught.value.field.startswith(f"mounts[1].{field}")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"uid_mappings": [mapping(0, 1)]}, "gid_mappings"),
        ({"gid_mappings": [mapping(0, 1)]}, "uid_mappings"),
        (
            {
                "options": ["bind", "idmap=uids=0-1-2"],
                "uid_mappings": [mapping(0, 1)],
                "gid_mappings": [mapping(0, 1)],
            },
            "options[1]",
        ),
        ({"type": "tmpfs", "source": None, "options": ["idmap"]}, "options[0]"),
    ],
)
def test_half_a_mapping_or_two_are_config_errors(
    settings: dict[str, Any], field: str
) -> None:
    whole = {"destination": "/m", "source": "/s", "type": "bind", **settings}
    with pytest.raises(ConfigError) as caught:
        Mount(**whole)
    assert caught.value.field == field
