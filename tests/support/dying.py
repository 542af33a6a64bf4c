"""Programs that die at a chosen moment: before the n-th thing that they do outside.

What counts is what Python tells its audit hooks of (PEP 578) and can be seen by
others, and each kernel call of ours. Killed before the n-th for all n, a program has
been killed after each, too.

    SOURCE = DYING + "..." + "die_before(int(sys.argv[1]))" + "..."
"""

DYING = '''
import os, signal, sys

_SEEN = {
    "os.mkdir", "os.rmdir", "os.rename", "os.remove", "os.link", "os.symlink",
    "os.chmod", "os.chown", "os.kill", "os.exec", "os.posix_spawn", "os.fork",
    "os.truncate", "fcntl.flock", "fcntl.lockf", "fcntl.ioctl", "socket.connect",
    "socket.bind", "socket.sendmsg", "socket.sendto", "subprocess.Popen",
}
_done = _last = 0


def _act():
    global _done
    if _last:
        _done += 1
        if _done == _last:
            os.kill(os.getpid(), signal.SIGKILL)


def _hear(event, arguments):
    if event in _SEEN or (event == "open" and arguments[2] & 0o1101):
        _act()  # with O_WRONLY, O_CREAT or O_TRUNC: not what is only read


def die_before(number):
    """Die before the ``number``-th thing done outside from here on; 0: live."""
    global _done, _last
    _done, _last = 0, number


def _listen():
    from aiocontainer._sys import libc

    libc.fault = lambda name: _act()
    sys.addaudithook(_hear)


_listen()
'''
