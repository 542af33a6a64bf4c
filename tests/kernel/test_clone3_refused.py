"""Where clone3 answers ENOSYS, as other engines' seccomp profiles have it, clone(2)
does its work."""

from tests.support.capabilities import needs
from tests.support.programs import program

pytestmark = needs("root", "mount-namespace", "pid-namespace", "seccomp")

SOURCE = """
import asyncio, struct, sys
from aiocontainer import Config, Container, ExecError, ExitReason, run
from aiocontainer._sys import constants as c
from aiocontainer._sys.seccomp import Filter

LOAD_NUMBER = (0x20, 0, 0, 0)
SKIP_UNLESS = (0x15, 0, 1, c.SYS_CLONE3)
ENOSYS = (0x06, 0, 0, 0x00050000 | 38)
ALLOW = (0x06, 0, 0, 0x7FFF0000)
program = (LOAD_NUMBER, SKIP_UNLESS, ENOSYS, ALLOW)
Filter(b"".join(struct.pack("HBBI", *line) for line in program), 0).load()

rootfs = sys.argv[1]
mapping = [{"container_id": 0, "host_id": 0, "size": 65536}]
inside = {"uid_mappings": mapping, "gid_mappings": mapping}
inside["namespaces"] = {"user": "new"}

async def main():
    for options in ({}, {"pids": 32}, inside, {"cgroup": {"mode": "off"}}):
        config = Config(rootfs=rootfs, **options)
        result = await run(config, ["sh", "-c", "echo $$; exit 3"])
        assert (result.returncode, result.stdout) == (3, b"1\\n"), result
        async with Container(config) as container:
            forever = ["sh", "-c", "sleep 60 & sleep 60"]
            result = await container.run(forever, timeout=0.3)
            assert result.reason is ExitReason.TIMED_OUT
            assert (await container.run(["cat"], input=b"x")).stdout == b"x"
            inside_of = container.processes()
            assert inside_of == [container.pid], inside_of
            try:
                await container.run(["missing"])
            except ExecError:
                pass
            else:
                raise AssertionError
    print("done")

asyncio.run(main())
"""


def test_all_works_without_clone3(rootfs):
    with program(SOURCE, str(rootfs)) as child:
        assert child.line() == "done"
        assert child.wait() == 0
        assert child.left_behind() == []


def test_the_filter_of_this_test_does_hide_clone3(rootfs):
    head, _, _ = SOURCE.partition("rootfs = ")
    tail = """
from aiocontainer._sys import namespaces
namespaces.probe_clone3()
print(namespaces.clone3_refused)
"""
    with program(head + tail, str(rootfs)) as child:
        assert child.line() == "True"
