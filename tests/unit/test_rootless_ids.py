"""Which ids stand behind a container's, for given facts of the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aiocontainer import Config, ConfigError, IdMapping, Namespaces, UnsupportedFeature
from aiocontainer.plan.host import HostFacts
from aiocontainer.plan.users import IdFacts, resolve, sub_ids, writers
from aiocontainer.proc.helper import id_maps

ROOT = replace(HostFacts.read(), effective=-1, uid=0, gid=0, no_new_privs=False)
USER = replace(ROOT, effective=0, uid=1000, gid=100)
INSIDE = replace(ROOT, is_initial=False)
NONE = IdFacts((), (), None, None)
HELPERS = IdFacts(
    ((100_000, 65_536),),
    ((200_000, 10), (300_000, 100_000)),
    "/usr/bin/newuidmap",
    "/usr/bin/newgidmap",
)
PLAIN = Config(rootfs="/x")


def one(container_id: int, host_id: int, size: int) -> tuple[IdMapping, ...]:
    return (IdMapping(container_id=container_id, host_id=host_id, size=size),)


def extents(mappings: tuple[IdMapping, ...]) -> list[tuple[int, int, int]]:
    return [(m.container_id, m.host_id, m.size) for m in mappings]


def mapped(uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...]) -> Config:
    spaces = Namespaces(user="new")
    return Config(rootfs="/x", namespaces=spaces, uid_mappings=uids, gid_mappings=gids)


def test_a_privileged_programs_config_stays_as_it_is() -> None:
    assert resolve(PLAIN, ROOT, lambda: NONE) is PLAIN


@pytest.mark.parametrize("user", ["host", "auto"])
def test_without_privileges_root_is_the_user(user: str) -> None:
    config = Config(rootfs="/x", namespaces=Namespaces(user=user))
    found = resolve(config, USER, lambda: NONE)
    assert found.namespaces.user == "new"
    assert extents(found.uid_mappings) == [(0, 1000, 1)]
    assert extents(found.gid_mappings) == [(0, 100, 1)]


def test_subordinate_ids_follow_one_after_the_other() -> None:
    found = resolve(PLAIN, USER, lambda: HELPERS)
    assert extents(found.uid_mappings) == [(0, 1000, 1), (1, 100_000, 65_535)]
    assert extents(found.gid_mappings) == [
        (0, 100, 1),
        (1, 200_000, 10),
        (11, 300_000, 65_525),
    ]


@pytest.mark.parametrize("lack", ["newuidmap", "newgidmap", "uids", "gids"])
def test_both_helpers_and_both_kinds_of_ranges_are_needed(lack: str) -> None:
    facts = replace(HELPERS, **{lack: getattr(NONE, lack)})
    found = resolve(PLAIN, USER, lambda: facts)
    assert extents(found.uid_mappings) == [(0, 1000, 1)]


@pytest.mark.parametrize(
    ("uids", "gids", "field"),
    [
        pytest.param(one(0, 1001, 1), one(0, 100, 1), "uid_mappings[0]", id="other"),
        pytest.param(one(0, 1000, 2), one(0, 100, 1), "uid_mappings[0]", id="two"),
        pytest.param(one(0, 99_999, 2), one(0, 100, 1), "uid_mappings[0]", id="low"),
        pytest.param(
            one(0, 165_535, 2), one(0, 100, 1), "uid_mappings[0]", id="too-long"
        ),
        pytest.param(one(0, 1000, 1), one(0, 0, 1), "gid_mappings[0]", id="gid-0"),
        pytest.param(
            one(0, 1000, 1), one(0, 200_000, 11), "gid_mappings[0]", id="gids"
        ),
    ],
)
def test_ids_of_others_are_refused_by_field(
    uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(mapped(uids, gids), USER, lambda: HELPERS)
    assert caught.value.field == f"{field}.host_id"


def test_more_than_ones_own_id_takes_the_helpers() -> None:
    facts = replace(HELPERS, newuidmap=None)
    with pytest.raises(UnsupportedFeature) as caught:
        resolve(mapped(one(0, 100_000, 9), one(0, 100, 1)), USER, lambda: facts)
    assert "newuidmap" in str(caught.value)


def test_the_hosts_namespaces_cant_be_joined_without_privileges() -> None:
    config = Config(rootfs="/x", namespaces=Namespaces(ipc="/proc/1/ns/ipc"))
    with pytest.raises(UnsupportedFeature) as caught:
        resolve(config, USER, lambda: HELPERS)
    assert caught.value.feature == "namespaces.ipc"


@pytest.mark.parametrize("user", ["host", "auto"])
def test_root_of_a_user_namespace_gives_all_ids_of_it_on(user: str) -> None:
    config = Config(rootfs="/x", namespaces=Namespaces(user=user))
    facts = replace(NONE, own_uids=((0, 1), (1, 500)), own_gids=((0, 9),))
    found = resolve(config, INSIDE, lambda: facts)
    assert extents(found.uid_mappings) == [(0, 0, 1), (1, 1, 500)]
    assert extents(found.gid_mappings) == [(0, 0, 9)]
    assert writers(found, INSIDE, lambda: facts).files


def test_who_has_capabilities_but_not_the_id_of_root_is_root_inside() -> None:
    facts = replace(NONE, own_uids=((1000, 1),), own_gids=((100, 1),))
    host = replace(INSIDE, uid=1000, gid=100)
    found = resolve(PLAIN, host, lambda: facts)
    assert extents(found.uid_mappings) == [(0, 1000, 1)]


def test_a_user_namespace_may_be_joined_with_what_it_owns() -> None:
    spaces = Namespaces(user="/x/user", network="/x/net")
    config = Config(rootfs="/x", namespaces=spaces)
    assert resolve(config, USER, lambda: NONE) is config


def test_the_privileged_write_the_maps_themselves() -> None:
    config = mapped(one(0, 5, 9), one(0, 6, 8))
    found = writers(config, ROOT, lambda: NONE)
    assert found.files == (("gid_map", b"0 6 8\n"), ("uid_map", b"0 5 9\n"))
    assert not found.commands
    assert not found.denies_groups


def test_before_ones_own_group_is_mapped_setgroups_is_denied() -> None:
    found = writers(resolve(PLAIN, USER, lambda: NONE), USER, lambda: NONE)
    assert found.files[0] == ("setgroups", b"deny")
    assert [name for name, _ in found.files] == ["setgroups", "gid_map", "uid_map"]
    assert found.denies_groups


def test_helpers_get_the_extents_as_words() -> None:
    config = resolve(PLAIN, USER, lambda: HELPERS)
    found = writers(config, USER, lambda: HELPERS)
    assert not found.files
    assert b" ".join(found.commands[1]) == (
        b"/usr/bin/newuidmap 0 1000 1 1 100000 65535"
    )
    assert found.commands[0][0] == b"/usr/bin/newgidmap"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", (), id="empty"),
        pytest.param("me:1:2\nyou:3:4\n1000:5:6\n", ((1, 2), (5, 6)), id="name-and-id"),
        pytest.param("me:1\nme::2\nme:x:2\nme:1:0\nme\n\n#\n", (), id="broken"),
        pytest.param("me:7:8:9\n", ((7, 8),), id="more-fields"),
        pytest.param("me:1:2", ((1, 2),), id="no-line-end"),
    ],
)
def test_subid_files_are_read(
    tmp_path: Path, text: str, found: tuple[tuple[int, int], ...]
) -> None:
    path = tmp_path / "subuid"
    path.write_text(text)
    assert sub_ids(str(path), ("me", "1000")) == found


def test_a_missing_subid_file_grants_nothing(tmp_path: Path) -> None:
    assert sub_ids(str(tmp_path / "subuid"), ("me",)) == ()


@pytest.mark.parametrize(
    "given",
    [
        {"uid_mappings": "auto"},
        {"gid_mappings": "auto"},
        {"uid_mappings": "auto", "gid_mappings": "auto"},
        {"uid_mappings": "auto", "namespaces": {"user": "new"}},
    ],
)
def test_automatic_mappings_are_short_for_an_automatic_namespace(
    given: dict[str, object],
) -> None:
    config = Config.model_validate({"rootfs": "/x", **given})
    assert config.namespaces.user == "auto"
    assert config.uid_mappings == ()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param(
            {"uid_mappings": "auto", "gid_mappings": one(0, 1, 1)},
            "gid_mappings",
            id="one-of-two",
        ),
        pytest.param(
            {"gid_mappings": "auto", "namespaces": {"user": "/proc/1/ns/user"}},
            "gid_mappings",
            id="joined",
        ),
        pytest.param(
            {"uid_mappings": one(0, 1, 1), "namespaces": {"user": "auto"}},
            "uid_mappings",
            id="both",
        ),
        pytest.param({"namespaces": {"pid": "auto"}}, "namespaces.pid", id="pid"),
    ],
)
def test_automatic_mappings_contradict_others(
    given: dict[str, object], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.model_validate({"rootfs": "/x", **given})
    assert caught.value.field == field


def test_a_helper_that_hangs_is_killed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_maps, "PATIENCE_MS", 50)
    with pytest.raises(TimeoutError) as caught:
        id_maps.write(100, ((b"/bin/sleep",),))
    assert caught.value.filename == b"/bin/sleep"


def test_a_helper_that_cant_be_executed_is_an_error() -> None:
    with pytest.raises(PermissionError, match="No such file"):
        id_maps.write(1, ((b"/nonexistent/newuidmap",),))


def test_all_helpers_have_ended_when_one_has_failed() -> None:
    id_maps.write(0, ((b"/bin/sleep",), (b"/bin/true", b"0", b"1")))
    with pytest.raises(PermissionError, match="failed without a word"):
        id_maps.write(0, ((b"/bin/false",), (b"/bin/sleep", b"0.05")))
