"""Programs that are killed at each moment in turn: before the n-th thing that they do.

What counts is what Python tells its audit hooks of (PEP 578) and others can see, and
each kernel call of ours. Killed before the n-th for all n, a program has been killed
after each, too.

    SOURCE = "async def main(name): ..."        # name: of whatever it makes
    points = death_sweep(SOURCE, check, str(rootfs))
"""

import itertools
import os
import signal
from collections.abc import Callable

from .programs import Program, program

DYING = '''
import asyncio, os, signal, sys

SEEN = {
    "os.mkdir", "os.rmdir", "os.rename", "os.remove", "os.link", "os.symlink",
    "os.chmod", "os.chown", "os.kill", "os.exec", "os.posix_spawn", "os.fork",
    "os.truncate", "fcntl.flock", "fcntl.lockf", "fcntl.ioctl", "socket.connect",
    "socket.bind", "socket.sendmsg", "socket.sendto", "subprocess.Popen",
}
done = last = 0

def act():
    global done
    if last:
        done += 1
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)

def hear(event, arguments):
    if event in SEEN or (event == "open" and arguments[2] & 0o1101):
        act()  # with O_WRONLY, O_CREAT or O_TRUNC: not what is only read

def die_before(number):
    """Die before the ``number``-th thing done from here on; 0: live."""
    global done, last
    done, last = 0, number

def listen():
    from aiocontainer._sys import libc

    libc.fault = lambda name: act()
    sys.addaudithook(hear)

listen()
'''

_LIVES = """
async def live(number):
    die_before(number)
    await main(f"dying-{os.getpid()}")
    die_before(0)

# Forks a program for each line: importing takes longer than what is tested.
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        asyncio.run(live(int(line)))
        os._exit(0)
    print(f"dying-{pid}", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

STRIDE = 31 if os.environ.get("AIOCONTAINER_GUEST") else 7
"""How many points further each time; in a guest all takes ten times as long."""
if os.environ.get("AIOCONTAINER_SWEEP") == "full":
    STRIDE = 1


def death_sweep(
    source: str, check: Callable[[Program, str], None], *arguments: str
) -> int:
    """Run ``main(name)`` of ``source`` killed at each point (each seventh, unless
    ``AIOCONTAINER_SWEEP=full``) till it lives through; how many points there are.

    ``check(child, name)`` is called after each; what a killed one leaves running is
    reaped by ``child.left_behind``.
    """
    with program(DYING + source + _LIVES, *arguments) as child:
        for number in itertools.chain([0], itertools.count(1, STRIDE)):
            child.send(f"{number}\n")
            name, status = child.line(30).split()
            check(child, name)
            if status == "0" and number:
                return number
            assert status == ("0" if number == 0 else str(-signal.SIGKILL)), number
    raise AssertionError
