"""Programs with threads, forks, several event loops, and their own ideas of SIGCHLD."""

import pytest

from tests.support.capabilities import needs
from tests.support.programs import program

pytestmark = needs("root", "mount-namespace", "pid-namespace")

HEAD = """
import asyncio, os, signal, subprocess, sys, threading, time
from aiocontainer import Config, Container, ExitReason, run
from aiocontainer.proc.stdio import PIPE

config = Config(rootfs=sys.argv[1], pids=64)

async def lives(count):
    for number in range(count):
        result = await run(config, ["sh", "-c", f"echo {number}; exit 3"])
        assert result.returncode == 3, result
        assert result.stdout == b"%d\\n" % number, result

async def joins(count):
    async with Container(config) as container:
        for number in range(count):
            result = await container.run(["sh", "-c", "cat; exit 4"], input=b"x")
            assert result.returncode == 4, result
            assert result.stdout == b"x", result
"""


def outcome(source, rootfs, *arguments, timeout_s=40):
    with program(HEAD + source, str(rootfs), *arguments) as child:
        lines = []
        while not lines or lines[-1] != "done":
            lines.append(child.line(timeout_s))
        assert child.wait() == 0
        assert child.left_behind() == []
        return lines[:-1]


def test_a_program_of_forty_threads(rootfs):
    """Half of them busy with memory and locks, the state a fork would find them in."""
    source = """
stop = threading.Event()

def busy():
    while not stop.is_set():
        bytearray(4096).hex()
        time.sleep(0.001)

threads = [threading.Thread(target=busy if n % 2 else stop.wait) for n in range(40)]
for thread in threads:
    thread.start()
asyncio.run(lives(15))
asyncio.run(joins(15))
stop.set()
for thread in threads:
    thread.join()
print("done")
"""
    outcome(source, rootfs)


@pytest.mark.parametrize("loops", ["asyncio asyncio", "asyncio trio", "uvloop trio"])
def test_event_loops_of_several_threads_share_the_spawner(rootfs, loops):
    source = """
import anyio
from aiocontainer.proc import spawner

def work(name):
    options = {"use_uvloop": True} if name == "uvloop" else {}
    backend = "trio" if name == "trio" else "asyncio"
    try:
        for _ in range(3):
            anyio.run(lives, 4, backend=backend, backend_options=options)
            anyio.run(joins, 4, backend=backend, backend_options=options)
            pids.add(spawner.current().pid)
    except BaseException as error:
        failed.append(error)
        raise

pids, failed = set(), []
threads = [threading.Thread(target=work, args=(n,)) for n in sys.argv[2:] for _ in "12"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
assert len(pids) == 1, pids
print("done")
"""
    outcome(source, rootfs, *loops.split())


def test_the_spawner_outlives_the_thread_that_started_it(rootfs):
    source = """
from aiocontainer.proc import spawner
thread = threading.Thread(target=lambda: asyncio.run(lives(1)))
thread.start()
thread.join()
pid = spawner.current().pid
asyncio.run(lives(2))
assert spawner.current().pid == pid
print("done")
"""
    outcome(source, rootfs)


def test_a_container_outlives_the_thread_that_started_it(rootfs):
    source = """
async def start():
    container = Container(config)
    await container.start(["sleep", "60"])
    return container

container = None
def work():
    global container
    container = asyncio.run(start())

thread = threading.Thread(target=work)
thread.start()
thread.join()
time.sleep(0.1)  # PR_SET_PDEATHSIG would have come by now
assert container.status() == "running"
asyncio.run(container.destroy())
print("done")
"""
    outcome(source, rootfs)


def test_a_forked_child_has_a_spawner_of_its_own(rootfs):
    source = """
from aiocontainer.proc import spawner

async def first():
    container = Container(config)
    process = await container.start(["cat"], stdin=PIPE, stdout=PIPE)
    return container, process

async def second(container, process):
    await process.stdin.send(b"x")
    assert await process.stdout.receive() == b"x"
    assert container.status() == "running"
    await container.destroy()

loop = asyncio.new_event_loop()
container, process = loop.run_until_complete(first())
ours = spawner.current().pid
child = os.fork()
if child == 0:
    assert spawner.peek() is None
    asyncio.run(lives(2))
    assert spawner.current().pid != ours
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert status == 0, status
assert spawner.current().pid == ours
loop.run_until_complete(second(container, process))
loop.close()
print("done")
"""
    outcome(source, rootfs)


STATUS_KNOWN = """
import platform
release = tuple(int(n) for n in platform.release().split(".")[:2])
print(release >= (6, 15))  # PIDFD_GET_INFO tells the status of who was reaped
"""


def test_an_ignored_sigchld_loses_no_status(rootfs):
    source = f"""
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
{STATUS_KNOWN}
result = asyncio.run(run(config, ["sh", "-c", "exit 3"]))
print(result.returncode, result.reason)
result = asyncio.run(run(config, ["sleep", "60"], timeout=0.3))
print(result.returncode, result.reason)
assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
print("done")
"""
    known, *told = outcome(source, rootfs)
    expected = ["3 exited", "-9 timed_out"] if known == "True" else ["None unknown"] * 2
    assert told == expected


def test_somebody_elses_waitpid_loses_no_status(rootfs):
    source = f"""
{STATUS_KNOWN}
stop = threading.Event()

def steal():
    while not stop.is_set():
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass

thread = threading.Thread(target=steal)
thread.start()
for _ in range(5):
    result = asyncio.run(run(config, ["sh", "-c", "exit 3"]))
    print(result.returncode, result.reason)
stop.set()
thread.join()
print("done")
"""
    known, *told = outcome(source, rootfs)
    if known == "True":
        assert set(told) == {"3 exited"}
    assert set(told) <= {"3 exited", "None unknown"}


def test_subprocesses_of_the_program_are_none_of_our_business(rootfs):
    source = """
async def others(count):
    for number in range(count):
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
        assert await process.wait() == number

async def main():
    await asyncio.gather(lives(8), others(15), joins(8), others(15))

before = subprocess.Popen(["sleep", "0.2"])
asyncio.run(main())
assert before.wait() == 0
print("done")
"""
    outcome(source, rootfs)


def test_asyncio_debug_mode_has_nothing_to_say(rootfs):
    source = """
import warnings
warnings.simplefilter("error")
asyncio.run(lives(3), debug=True)
asyncio.run(joins(3), debug=True)
print("done")
"""
    outcome(source, rootfs)
