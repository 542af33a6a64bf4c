"""Socket activation, notifications, and descriptors handed to who listens."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import PIPE, Config, ConfigError, Container
from aiocontainer.proc.listen import checked_listen_fds
from aiocontainer.proc.sd_notify import Notification
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, python_config

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

SLEEP = ["sleep", "60"]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def python(source: str) -> list[str]:
    return [PYTHON, "-I", "-c", source]


# -- LISTEN_FDS ------------------------------------------------------------------------

ACTIVATED = """
import os, socket
for number in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    print(socket.socket(fileno=number).getsockname(), end=" ")
names = os.environ.get("LISTEN_FDNAMES")
print(int(os.environ["LISTEN_PID"]) == os.getpid(), names)
"""


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in "ab"
        ]


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.covers("LISTEN_FDS")
async def test_sockets_are_found_from_three_on_by_who_they_are_for(
    sockets: list[socket.socket], joins: bool
) -> None:
    async with Container(python_config(user="1000:1000")) as container:
        if joins:
            await container.start(SLEEP)
        args = python(ACTIVATED)
        process = await container.start(args, stdout=PIPE, listen_fds=sockets)
        said, _ = await process.communicate()
    one, other = (sock.getsockname() for sock in sockets)
    assert (said or b"").decode() == f"{one} {other} True None\n"


async def test_sockets_may_have_names(sockets: list[socket.socket]) -> None:
    named = {"web": sockets[0], "admin": sockets[1].fileno()}
    async with Container(python_config()) as container:
        args = python(ACTIVATED)
        process = await container.start(args, stdout=PIPE, listen_fds=named)
        said, _ = await process.communicate()
    assert (said or b"").endswith(b"True web:admin\n")


async def test_nothing_is_said_where_nothing_was_given() -> None:
    source = "import os; print([n for n in os.environ if n.startswith('LISTEN')])"
    async with Container(python_config()) as container:
        process = await container.start(python(source), stdout=PIPE)
        assert (await process.communicate())[0] == b"[]\n"


async def test_a_connection_is_served_from_inside(sockets: list[socket.socket]) -> None:
    source = (
        "import socket; peer, _ = socket.socket(fileno=3).accept(); peer.send(b'hi')"
    )
    async with Container(python_config()) as container:
        await container.start(python(source), listen_fds=sockets[:1])
        port = sockets[0].getsockname()[1]
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            assert await stream.receive() == b"hi"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param([9999], "listen_fds[0]", id="closed"),
        pytest.param([-1], "listen_fds[0]", id="negative"),
        pytest.param(["x"], "listen_fds[0]", id="text"),
        pytest.param([0, None], "listen_fds[1]", id="nothing"),
        pytest.param({"a:b": 0}, "listen_fds[a:b]", id="colon"),
        pytest.param({"": 0}, "listen_fds[]", id="empty name"),
        pytest.param({"x" * 256: 0}, "listen_fds[" + "x" * 40 + "]", id="long name"),
        pytest.param({"a\nb": 0}, "listen_fds[a\nb]", id="line break"),
    ],
)
async def test_wrong_descriptors_are_refused(
    rootfs: Path, given: Any, field: str
) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        with pytest.raises(ConfigError) as caught:
            await container.start(SLEEP, listen_fds=given)
        assert caught.value.field == field


def test_a_number_can_t_be_taken_twice() -> None:
    with pytest.raises(ConfigError) as caught:
        checked_listen_fds([0, 0], [5, 4])
    assert caught.value.field == "pass_fds[1]"


# -- NOTIFY_SOCKET ---------------------------------------------------------------------

SAY = """
import os, socket
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"])
"""


async def heard(source: str, **settings: Any) -> list[Notification]:
    """All that a program says by sd_notify, which does what ``source`` does."""
    async with Container(python_config(**settings)) as container:
        process = await container.start(python(SAY + source), sd_notify=True)
        assert process.notifications is not None
        with anyio.fail_after(20):
            return [notification async for notification in process.notifications]


@pytest.mark.parametrize("user", ["0", "1000:1000"])
@pytest.mark.covers("NOTIFY_SOCKET")
async def test_what_a_program_says_is_heard_until_it_ends(user: str) -> None:
    source = (
        "sock.send(b'STATUS=starting = up\\n')\n"
        "sock.send(b'READY=1\\nSTATUS=serving\\nMAINPID=1')\n"
        "sock.send(b'STOPPING=1')\n"
    )
    said = await heard(source, user=user)
    assert [dict(one.fields) for one in said] == [
        {"STATUS": "starting = up"},
        {"READY": "1", "STATUS": "serving", "MAINPID": "1"},
        {"STOPPING": "1"},
    ]
    assert [one.ready for one in said] == [False, True, False]
    assert [one.stopping for one in said] == [False, False, True]
    assert said[1].status == "serving"
    assert {one.uid for one in said} == {int(user.partition(":")[0])}


async def test_who_said_it_is_the_kernels_word() -> None:
    async with Container(python_config()) as container:
        source = SAY + "sock.send(b'READY=1'); import time; time.sleep(60)"
        process = await container.start(python(source), sd_notify=True)
        assert process.notifications is not None
        notification = await anext(process.notifications)
        assert notification.pid == process.pid


async def test_a_joining_process_has_a_socket_of_its_own() -> None:
    async with Container(python_config()) as container:
        source = SAY + "sock.send(b'READY=1'); import time; time.sleep(60)"
        first = await container.start(python(source), sd_notify=True)
        later = await container.start(python(source), sd_notify=True)
        for process in (first, later):
            assert process.notifications is not None
            with anyio.fail_after(10):
                assert await process.notifications.wait_ready()
                assert process.returncode is None


async def test_one_that_ends_is_never_ready(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        process = await container.start(["true"], sd_notify=True)
        assert process.notifications is not None
        with anyio.fail_after(10):
            assert not await process.notifications.wait_ready()


async def test_a_barrier_is_answered_and_descriptors_are_not_kept() -> None:
    before = len(os.listdir("/proc/self/fd"))
    source = (
        "reader, writer = os.pipe()\n"
        "socket.send_fds(sock, [b'BARRIER=1'], [writer])\n"
        "os.close(writer)\n"
        "os.read(reader, 1)\n"
        "files = [os.open('/', 0) for _ in range(200)]\n"
        "socket.send_fds(sock, [b'FDSTORE=1'], files)\n"
        "sock.send(b'READY=1')\n"
    )
    said = await heard(source)
    assert said[-1].ready
    assert len(os.listdir("/proc/self/fd")) == before


async def test_what_is_no_message_is_left_out() -> None:
    source = (
        "sock.send(b'')\n"
        "sock.send(b'\\xff=1')\n"
        "sock.send(b'no line of it has an equals sign')\n"
        "sock.send(b'STATUS=' + b'x' * 5000)\n"
        "sock.send(b'READY=1')\n"
    )
    said = await heard(source)
    assert [dict(one.fields) for one in said] == [{"READY": "1"}]


async def test_a_reader_that_was_cancelled_can_go_on() -> None:
    async with Container(python_config()) as container:
        source = SAY + "import time; time.sleep(0.3); sock.send(b'READY=1')"
        process = await container.start(python(source), sd_notify=True)
        stream = process.notifications
        assert stream is not None
        with anyio.move_on_after(0.01):
            await anext(stream)
        with anyio.fail_after(10):
            assert (await anext(stream)).ready


async def test_closed_under_a_reader_it_says_so(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        process = await container.start(SLEEP, sd_notify=True)
        stream = process.notifications
        assert stream is not None

        async def read() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await anext(stream)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await anext(stream)
            await stream.aclose()
        await stream.aclose()


async def test_without_a_dev_of_its_own_there_is_no_place_for_a_socket(
    rootfs: Path,
) -> None:
    bare = Config(rootfs=rootfs, system_mounts=[], system_devices=[])
    async with Container(bare) as container:
        with pytest.raises(ConfigError) as caught:
            await container.start(SLEEP, sd_notify=True)
        assert caught.value.field == "sd_notify"


@pytest.fixture
def own_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """What is this program's own NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


async def test_messages_are_forwarded_with_the_pid_that_we_see(
    own_socket: socket.socket,
) -> None:
    source = SAY + (
        "sock.send(b'READY=1\\nMAINPID=%d\\nSTATUS=x' % os.getpid())\n"
        "sock.send(b'MAINPID=4711\\nSTATUS=y')\n"
        "import time; time.sleep(60)\n"
    )
    async with Container(python_config()) as container:
        await container.start(SLEEP)
        process = await container.start(python(source), sd_notify="forward")
        assert process.notifications is not None
        for _ in range(2):
            await anext(process.notifications)
        first = own_socket.recv(4096).split(b"\n")
        assert set(first) == {b"READY=1", b"STATUS=x", b"MAINPID=%d" % process.pid}
        assert own_socket.recv(4096) == b"STATUS=y"


async def test_a_barrier_is_forwarded_with_its_descriptor(
    own_socket: socket.socket,
) -> None:
    source = SAY + (
        "reader, writer = os.pipe()\n"
        "socket.send_fds(sock, [b'BARRIER=1'], [writer])\n"
        "os.close(writer)\n"
        "os.read(reader, 1)\n"
    )
    async with Container(python_config()) as container:
        process = await container.start(python(source), sd_notify="forward")
        assert process.notifications is not None
        await anext(process.notifications)
        message, descriptors, _, _ = socket.recv_fds(own_socket, 4096, 4)
        assert message == b"BARRIER=1"
        assert process.returncode is None
        os.close(descriptors[0])
        with anyio.fail_after(10):
            await process.wait()


async def test_without_a_socket_of_our_own_forwarding_is_hearing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    async with Container(python_config()) as container:
        source = python(SAY + "sock.send(b'READY=1')")
        process = await container.start(source, sd_notify="forward")
        assert process.notifications is not None
        assert await process.notifications.wait_ready()
