"""inotify, as far as we use it."""

import os
import struct

import pytest

from aiocontainer._sys.inotify import (
    IN_DELETE,
    InotifyEvent,
    inotify_add_watch,
    inotify_init,
    inotify_read,
    inotify_rm_watch,
    parse_events,
)


def encoded(wd, mask, name):
    padded = name + b"\0" * (-len(name) % 16) if name else b""
    return struct.pack("iIII", wd, mask, 0, len(padded)) + padded


@pytest.mark.parametrize(
    ("data", "events"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(
            encoded(1, 0x4000, b""), [InotifyEvent(1, 0x4000, "")], id="without-name"
        ),
        pytest.param(
            encoded(1, 0x200, b"a" * 16) + encoded(2, 0x200, b"b"),
            [InotifyEvent(1, 0x200, "a" * 16), InotifyEvent(2, 0x200, "b")],
            id="two",
        ),
    ],
)
def test_what_the_kernel_writes_is_taken_apart(data, events):
    assert parse_events(data) == events


def test_a_removed_directory_is_told_by_name(tmp_path):
    (tmp_path / "box").mkdir()
    fd = inotify_init()
    try:
        assert not os.get_inheritable(fd)
        wd = inotify_add_watch(fd, str(tmp_path), IN_DELETE)
        assert inotify_add_watch(fd, str(tmp_path), IN_DELETE) == wd
        assert inotify_read(fd) == []
        (tmp_path / "box").rmdir()
        (event,) = inotify_read(fd)
        assert (event.wd, event.name) == (wd, "box")
        assert event.mask & IN_DELETE
        inotify_rm_watch(fd, wd)
        with pytest.raises(OSError, match="Invalid argument"):
            inotify_rm_watch(fd, wd)
    finally:
        os.close(fd)


def test_a_missing_directory_is_an_error_that_names_it(tmp_path):
    fd = inotify_init()
    try:
        with pytest.raises(FileNotFoundError, match="missing"):
            inotify_add_watch(fd, str(tmp_path / "missing"), IN_DELETE)
    finally:
        os.close(fd)
