"""Containers of a user without privileges, and what of them is in force.

Run it as anybody; as root it works too, but root inside is then root outside.
"""

import anyio
import anyio.to_thread

from aiocontainer import Config, Container, Rootfs, doctor

SCRIPT = (
    "echo $(id -un) with $(grep -c . /proc/self/uid_map) range of ids; touch /tmp/x"
)


async def main() -> None:
    lacks = [f for f in await anyio.to_thread.run_sync(doctor) if not f.works]
    for finding in lacks:
        if finding.needed or finding.name.startswith("userns"):
            print(f"{finding.name} lacks: {finding.cause}\n  cure: {finding.cure}")

    config = Config(rootfs=Rootfs.host(), require={"pidns", "seccomp", "no_new_privs"})
    async with Container(config) as container:
        result = await container.run(["sh", "-c", SCRIPT])
        print("inside:", result.stdout.decode().strip())
        isolation = container.isolation
        print("outside: root inside is uid", isolation.root_uid)
        print("cgroup:", isolation.cgroup, *sorted(isolation.controllers))
        print("in force:", *sorted(isolation.in_force))


anyio.run(main)
