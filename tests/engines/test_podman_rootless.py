"""Podman of a user without privileges, with our runtime."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import needs
from tests.support.engines import IMAGE, Engine, engine_host, rootless_podman

pytestmark = [
    needs("root", "podman", "newuidmap", "user-namespace"),
    pytest.mark.leaves_behind("what an engine keeps ends with its namespaces"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def engine(rootfs: Path) -> Iterator[Engine]:
    with engine_host() as host, rootless_podman(host, rootfs) as made:
        yield made


def test_root_inside_is_nobody_outside(engine: Engine) -> None:
    told = engine("run", "--rm", IMAGE, "sh", "-c", "id -u; echo works")
    assert told.split() == ["0", "works"]


def test_other_users_are_mapped_too(engine: Engine) -> None:
    assert engine("run", "--rm", "--user", "1000:100", IMAGE, "id", "-u") == "1000"


def test_a_container_is_joined_and_ended(engine: Engine) -> None:
    id = engine("run", "--detach", IMAGE, "sleep", "1000")
    assert "sleep 1000" in engine("exec", id, "ps")
    assert engine.call("exec", id, "sh", "-c", "exit 5").returncode == 5
    assert engine("exec", "--tty", id, "tty") == "/dev/pts/0"
    engine("kill", id)
    assert engine("wait", id) == "137"
    engine("rm", id)


def test_exit_statuses_are_what_engines_expect(engine: Engine) -> None:
    assert engine.call("run", "--rm", IMAGE, "sh", "-c", "exit 3").returncode == 3
    assert engine.call("run", "--rm", IMAGE, "nope").returncode == 127
