"""What waits on descriptors of its own, on every event loop."""

import os
import socket
from pathlib import Path

import anyio
import pytest

from aiocontainer import PIPE, Config, Container, Hook, Hooks, SetupError
from tests.support.capabilities import needs
from tests.support.inside import PYTHON, python_config

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

SAY = """
import os, socket, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"])
sock.send(b"STATUS=starting")
time.sleep(0.05)
sock.send(b"READY=1")
"""


async def test_notifications_are_heard_and_end() -> None:
    async with Container(python_config()) as container:
        process = await container.start([PYTHON, "-I", "-c", SAY], sd_notify=True)
        assert process.notifications is not None
        with anyio.fail_after(20):
            said = [dict(one.fields) async for one in process.notifications]
    assert said == [{"STATUS": "starting"}, {"READY": "1"}]


async def test_a_reader_of_notifications_hears_of_their_end(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        process = await container.start(["sleep", "60"], sd_notify=True)
        stream = process.notifications
        assert stream is not None

        async def read() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await anext(stream)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            stream.close()


async def test_hooks_run_fail_and_are_late(rootfs: Path, tmp_path: Path) -> None:
    def sh(script: str, **fields: float) -> Hook:
        return Hook(path="/bin/sh", args=["sh", "-c", script], **fields)

    hooks = Hooks(
        prestart=sh(f"cat > {tmp_path}/state"),
        poststart=sh(f"touch {tmp_path}/poststart"),
        poststop=sh(f"touch {tmp_path}/poststop"),
    )
    async with Container(Config(rootfs=rootfs, hooks=hooks)) as container:
        process = await container.start(["echo", "hi"], stdout=PIPE)
        assert (await process.communicate())[0] == b"hi\n"
    assert sorted(os.listdir(tmp_path)) == ["poststart", "poststop", "state"]
    hooks = Hooks(create_runtime=sh("exec sleep 60", timeout=0.05))
    async with Container(Config(rootfs=rootfs, hooks=hooks)) as container:
        with pytest.raises(SetupError, match="took longer"):
            await container.start(["true"])


async def test_a_terminal_is_handed_over(rootfs: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "console"))
        sock.listen()
        async with Container(Config(rootfs=rootfs)) as container:
            await container.start(
                ["sleep", "60"], terminal=True, console_socket=tmp_path / "console"
            )
            connection, _ = sock.accept()
            with connection:
                _, descriptors, _, _ = socket.recv_fds(connection, 100, 1)
            assert os.isatty(descriptors[0])
            os.close(descriptors[0])
