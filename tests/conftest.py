"""What every test gets: the event loops, the leak check, root file systems, probes."""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aiocontainer._sys import libc

from .support import capabilities, leaks, spawners
from .support.rootfs import make_rootfs

PR_SET_CHILD_SUBREAPER = 36

MARKERS = (
    "needs(name): skipped where this machine lacks the capability (see"
    " tests/support/capabilities.py); fails where AIOCONTAINER_REQUIRE promised it",
    "leaves_behind(reason): not to be leak-checked, and why",
    "slow: takes seconds; left out in the guest",
    "host_only(reason): left out in the guest, and why",
    "covers(*names, where=None): shows that these fields or features work (see"
    " tests/support/coverage.py)",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    # Orphans come to this process, so that the leak check sees them and nobody else's.
    prctl = libc.function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)
    libc.call("prctl", prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Ignored where nohup(1) or a shell's background began us, and so by all we start.
    for number, default in (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


def pytest_report_header() -> list[str]:
    return capabilities.describe_machine()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the guest, leave out what is slow there or says that it isn't for it."""
    if os.environ.get("AIOCONTAINER_GUEST") != "1":
        return
    for item in items:
        reason = next((mark.args[0] for mark in item.iter_markers("host_only")), None)
        if reason is None and item.get_closest_marker("slow"):
            reason = "slow"
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"not in the guest: {reason}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            lack = capabilities.lack(name)
            if lack is not None and capabilities.promised(name):
                pytest.fail(f"{name} was promised, but: {lack}", pytrace=False)
            if lack is not None:
                pytest.skip(f"{name}: {lack}")


def _backends() -> list[Any]:
    wanted = os.environ.get("AIOCONTAINER_BACKENDS", "asyncio,uvloop,trio").split(",")
    lacks_uvloop = pytest.mark.skipif(
        find_spec("uvloop") is None and not capabilities.promised("uvloop"),
        reason="uvloop is not installed",
    )
    table = (
        pytest.param(("asyncio", {}), id="asyncio"),
        pytest.param(
            ("asyncio", {"use_uvloop": True}), id="uvloop", marks=lacks_uvloop
        ),
        pytest.param(("trio", {}), id="trio"),
    )
    return [backend for backend in table if backend.id in wanted]


@pytest.fixture(scope="module", params=_backends())
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The event loops that a test marked ``anyio`` runs on, one after the other."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_directory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Temporary files of the library go where no other program puts its own."""
    folder = tmp_path_factory.mktemp("temporary")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    yield
    tempfile.tempdir = before


@pytest.fixture(scope="session", autouse=True)
def _first_use() -> None:
    """What event loops make once for the process isn't the leak of the first test."""
    if find_spec("uvloop"):
        import uvloop

        uvloop.new_event_loop().close()  # libuv: one pipe for the signals of all loops


@pytest.fixture(scope="session", autouse=True)
def _own_cgroups() -> None:
    """Cgroups of another run of these tests, on the same machine, are not our leaks."""
    from aiocontainer.proc import spawner

    spawners.record_names(spawner)


@pytest.fixture(autouse=True)
def _leak_check(
    request: pytest.FixtureRequest, _own_temporary_directory: None, _first_use: None
) -> Iterator[None]:
    """Fails a test that leaves anything behind, or changes what is the caller's."""
    marker = request.node.get_closest_marker("leaves_behind")
    if marker is not None:
        assert marker.args, "leaves_behind needs a reason"
        yield
        return
    before = leaks.take()
    yield
    left = leaks.find(before)
    if left:
        pytest.fail("\n".join(left), pytrace=False)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small root file system with busybox. Shared: tests must leave it as it is."""
    # Not below pytest's own folder, which other users may not enter.
    folder = Path(tempfile.mkdtemp(prefix="rootfs-", dir="/tmp"))
    folder.chmod(0o755)
    yield make_rootfs(folder / "rootfs")
    shutil.rmtree(folder)


@pytest.fixture
def own_rootfs() -> Iterator[Path]:
    """A root file system like `rootfs`, of this test alone."""
    folder = Path(tempfile.mkdtemp(prefix="rootfs-", dir="/tmp"))
    folder.chmod(0o755)
    yield make_rootfs(folder / "rootfs")
    shutil.rmtree(folder)


assert sys.platform == "linux", "containers are a thing of Linux"
