"""A container as an asynchronous fixture of every scope, with both pytest plugins."""

import contextlib

import pytest

from tests.support.capabilities import needs
from tests.support.programs import program

pytestmark = needs("root", "mount-namespace", "pid-namespace")

SCOPES = ("function", "class", "module", "package", "session")

WITH_PYTEST_ASYNCIO = """
import pytest, pytest_asyncio
from aiocontainer import Config, Container

pytestmark = pytest.mark.asyncio(loop_scope="session")
"""

ASYNCIO_FIXTURE = """
@pytest_asyncio.fixture(loop_scope="session", scope="{scope}")
async def of_{scope}():
    async with Container(Config(rootfs="ROOTFS")) as container:
        yield container
    assert container.status() == "stopped"
"""

OWN_LOOP = """
@pytest_asyncio.fixture
async def of_own_loop():
    async with Container(Config(rootfs="ROOTFS")) as container:
        yield container

@pytest.mark.asyncio
async def test_a_loop_for_each_test(of_own_loop):
    assert (await of_own_loop.run(["echo", "x"])).stdout == b"x\\n"
"""

WITH_ANYIO = """
import anyio, pytest
from aiocontainer import Config, Container

pytestmark = pytest.mark.anyio

@pytest.fixture(scope="session", params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
"""

ANYIO_FIXTURE = """
@pytest.fixture(scope="{scope}")
async def of_{scope}(anyio_backend):
    async with Container(Config(rootfs="ROOTFS")) as container:
        yield container
    assert container.status() == "stopped"
"""

TESTS = """
class TestOf{title}:
    async def test_runs(self, of_{scope}):
        assert (await of_{scope}.run(["echo", "x"])).stdout == b"x\\n"

    async def test_runs_again(self, of_{scope}):
        result = await of_{scope}.run(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.3)
        assert result.returncode == -9
"""

SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
filterwarnings = error
addopts = -p no:cacheprovider
"""


@pytest.mark.parametrize(
    ("head", "fixture", "rest", "runs"),
    [
        pytest.param(
            WITH_PYTEST_ASYNCIO, ASYNCIO_FIXTURE, OWN_LOOP, 1, id="pytest-asyncio"
        ),
        pytest.param(WITH_ANYIO, ANYIO_FIXTURE, "", 2, id="anyio"),
    ],
)
def test_a_container_is_a_fixture_of_every_scope(
    rootfs, tmp_path, head, fixture, rest, runs
):
    text = head + "".join(fixture.format(scope=scope) for scope in SCOPES)
    text += "".join(TESTS.format(scope=s, title=s.capitalize()) for s in SCOPES) + rest
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_fixtures.py").write_text(text.replace("ROOTFS", str(rootfs)))
    source = f"import pytest, sys; sys.exit(pytest.main(['-q', '{tmp_path}']))"
    with program(source) as child:
        lines = []
        with contextlib.suppress(EOFError):
            while True:
                lines.append(child.line(40))
        assert child.wait() == 0, "\n".join(lines)
        assert child.left_behind() == []
    expected = 2 * len(SCOPES) * runs + rest.count("def test_")
    assert f"{expected} passed" in lines[-1]
