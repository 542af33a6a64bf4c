"""Mount options: every word of the OCI table, and which of two counts."""

import pytest

from aiocontainer.config import MountOptions, Propagation, options, parse_options

RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
ATIME, NOATIME, STRICT, NODIRATIME, NOSYMFOLLOW = 0x70, 0x10, 0x20, 0x80, 0x200000


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("ro", (RDONLY, 0)),
        ("rw", (0, RDONLY)),
        ("nosuid", (NOSUID, 0)),
        ("suid", (0, NOSUID)),
        ("nodev", (NODEV, 0)),
        ("dev", (0, NODEV)),
        ("noexec", (NOEXEC, 0)),
        ("exec", (0, NOEXEC)),
        ("nodiratime", (NODIRATIME, 0)),
        ("diratime", (0, NODIRATIME)),
        ("nosymfollow", (NOSYMFOLLOW, 0)),
        ("symfollow", (0, NOSYMFOLLOW)),
        ("noatime", (NOATIME, ATIME)),
        ("strictatime", (STRICT, ATIME)),
        ("relatime", (0, ATIME)),
        ("atime", (0, ATIME)),
        ("norelatime", (0, ATIME)),
        ("nostrictatime", (0, ATIME)),
    ],
)
def test_an_attribute_is_set_or_cleared(word: str, wanted: tuple[int, int]) -> None:
    plain = parse_options([word])
    assert plain == MountOptions(attr_set=wanted[0], attr_clear=wanted[1])
    deep = parse_options(["r" + word])
    assert deep == MountOptions(recursive_set=wanted[0], recursive_clear=wanted[1])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["ro", "rw"], (0, RDONLY)),
        (["rw", "ro"], (RDONLY, 0)),
        (["nosuid", "ro", "suid"], (RDONLY, NOSUID)),
        (["noatime", "strictatime"], (STRICT, ATIME)),
        (["strictatime", "relatime"], (0, ATIME)),
        (["noatime", "ro"], (NOATIME | RDONLY, ATIME)),
    ],
)
def test_the_last_of_two_attributes_counts(
    words: list[str], wanted: tuple[int, int]
) -> None:
    found = parse_options(words)
    assert (found.attr_set, found.attr_clear) == wanted


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("private", Propagation(1 << 18, recursive=False)),
        ("rprivate", Propagation(1 << 18, recursive=True)),
        ("slave", Propagation(1 << 19, recursive=False)),
        ("rslave", Propagation(1 << 19, recursive=True)),
        ("shared", Propagation(1 << 20, recursive=False)),
        ("rshared", Propagation(1 << 20, recursive=True)),
        ("unbindable", Propagation(1 << 17, recursive=False)),
        ("runbindable", Propagation(1 << 17, recursive=True)),
    ],
)
def test_propagation_words_are_kept_in_order(word: str, wanted: Propagation) -> None:
    assert parse_options([word, "slave"]).propagation == (
        wanted,
        Propagation(options.MS_SLAVE, recursive=False),
    )


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param([], MountOptions(), id="nothing"),
        pytest.param(["defaults", "loud"], MountOptions(), id="without effect"),
        pytest.param(["iversion", "noiversion"], MountOptions(), id="i_version"),
        pytest.param(
            ["rsync", "rdirsync", "rasync"],
            MountOptions(superblock=("sync", "dirsync", "async")),
            id="recursive words of crun",
        ),
        pytest.param(
            ["idmap=uids=0-1-2;gids=3-4-5"],
            MountOptions(flags=frozenset({"idmap"}), id_ranges="uids=0-1-2;gids=3-4-5"),
            id="owners",
        ),
        pytest.param(
            ["ridmap=uids=0-1-2"],
            MountOptions(flags=frozenset({"ridmap"}), id_ranges="uids=0-1-2"),
            id="owners, recursively",
        ),
        pytest.param(["bind"], MountOptions(bind=True), id="bind"),
        pytest.param(["rbind"], MountOptions(bind=True, recursive=True), id="rbind"),
        pytest.param(
            ["rbind", "bind"], MountOptions(bind=True, recursive=True), id="both"
        ),
        pytest.param(
            ["sync", "dirsync", "lazytime", "mand"],
            MountOptions(superblock=("sync", "dirsync", "lazytime", "mand")),
            id="superblock",
        ),
        pytest.param(
            ["sync", "async"], MountOptions(superblock=("async",)), id="async"
        ),
        pytest.param(
            ["tmpcopyup", "idmap", "copy-symlink", "src-nofollow", "dest-nofollow"],
            MountOptions(
                flags=frozenset(
                    {
                        "tmpcopyup",
                        "idmap",
                        "copy-symlink",
                        "src-nofollow",
                        "dest-nofollow",
                    }
                )
            ),
            id="ours",
        ),
        pytest.param(
            ["remount", "silent", "ridmap"],
            MountOptions(flags=frozenset({"remount", "silent", "ridmap"})),
            id="more of ours",
        ),
        pytest.param(
            ["mode=755", "ro", "size=5k", "acl", "RO"],
            MountOptions(attr_set=RDONLY, data=("mode=755", "size=5k", "acl", "RO")),
            id="data",
        ),
    ],
)
def test_words_are_sorted_by_what_they_do(
    words: list[str], wanted: MountOptions
) -> None:
    assert parse_options(words) == wanted
