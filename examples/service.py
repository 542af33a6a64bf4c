"""A service with a socket of ours: activated, ready when it says so, and with hooks."""

import os
import socket
import sys

import anyio

from aiocontainer import Config, Container, Hook, Hooks, Rootfs, Scheduler

SERVICE = """
import os, socket
say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
say.connect(os.environ["NOTIFY_SOCKET"])
say.send(b"STATUS=warming up")
say.send(b"READY=1\\nSTATUS=serving")
peer, _ = socket.socket(fileno=3).accept()
peer.send(b"hello from " + os.environ["LISTEN_FDNAMES"].encode())
"""
HOOK = Hook(path="/bin/sh", args=["sh", "-c", 'read -r state; test -n "$state"'])
CONFIG = Config(
    rootfs=Rootfs.host(extra=[sys.base_prefix]),
    scheduler=Scheduler(policy="batch", nice=19),
    hooks=Hooks(create_runtime=HOOK, poststop=HOOK),
)


async def main() -> None:
    args = [os.path.realpath(sys.executable), "-I", "-c", SERVICE]
    with socket.create_server(("127.0.0.1", 0)) as web:
        async with Container(CONFIG) as container:
            service = await container.start(
                args, listen_fds={"web": web}, sd_notify=True
            )
            async for said in service.notifications:
                print("it says:", said.status)
                if said.ready:
                    break
            async with await anyio.connect_tcp(*web.getsockname()) as stream:
                print("it answers:", (await stream.receive()).decode())


anyio.run(main)
