"""A root file system whose every library and module reports that it was loaded."""

import _socket
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import aiocontainer
from aiocontainer.proc import fork_server

MARK = "pwned"
"""What a trojan leaves in the root directory that it finds itself in."""

_MODULE = """\
import os
file = os.open("/pwned", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
os.write(file, (__name__ + "\\n").encode())
os.close(file)
"""

_LIBRARY = """\
#include <fcntl.h>
#include <sys/syscall.h>
static long call(long n, long a, long b, long c, long d) {
    register long r10 __asm__("r10") = d;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return r;
}
__attribute__((constructor)) static void loaded(void) {
    static const char name[] = "/pwned", word[] = "library\\n";
    long f = call(SYS_openat, -100, (long)name, O_WRONLY | O_CREAT | O_APPEND, 0666);
    call(SYS_write, f, (long)word, sizeof word - 1, 0);
}
"""

_LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libutil.so.1"),
    *("libgcc_s.so.1", "libseccomp.so.2", "libcap.so.2", "libffi.so.8", "libz.so.1"),
    *("libnss_files.so.2", "libnss_dns.so.2", "libnss_evil.so.2", "libnss_compat.so.2"),
    *("libnss_systemd.so.2", "libresolv.so.2", "libpython3.so", "libcrypto.so.3"),
    *("gconv/UTF-16.so", "gconv/UTF-32.so", "gconv/ISO8859-1.so", "gconv/IBM037.so"),
)


def compile_trojan(folder: Path) -> Path:
    """A shared library that says when it is loaded; it needs nothing itself."""
    source = folder / "trojan.c"
    source.write_text(_LIBRARY)
    made = folder / "trojan.so"
    command = ["cc", "-shared", "-fPIC", "-nostdlib", "-O1", "-o", made, source]
    subprocess.run(command, check=True)
    return made


def infest(root: Path, trojan: Path) -> int:
    """Put a trojan at every path where the helper's interpreter, its C library or ours
    could look; how many there are."""
    count = 0
    standard = {os.path.dirname(os.__file__), sysconfig.get_path("platstdlib")}
    dynamic = os.path.dirname(_socket.__file__ or "")
    package = os.path.dirname(aiocontainer.__file__)
    for folder in {*standard, dynamic, package, *fork_server.import_paths()}:
        count += _modules(root, folder, deep=folder in (*standard, package))
    zipped = f"{sys.prefix}/lib/python{sys.version_info[0]}{sys.version_info[1]}.zip"
    _write(root, zipped, "not a zip file")
    for folder in _library_folders():
        for name in _LIBRARIES:
            _link(root, f"{folder}/{name}", trojan)
            count += 1
    _link(root, "/trojan.so", trojan)
    _write(root, "/etc/ld.so.preload", "/trojan.so\n")
    _write(
        root,
        "/etc/nsswitch.conf",
        "passwd: evil files\ngroup: evil files\nhosts: evil\ninitgroups: evil\n",
    )
    _write(root, "/etc/ld.so.cache", "")
    return count


def _modules(root: Path, folder: str, *, deep: bool) -> int:
    """Trojans for all modules of a folder of the host, in the same folder inside."""
    count = 0
    for name in ("sitecustomize.py", "usercustomize.py", "pwd.py", "_evil.py"):
        _write(root, f"{folder}/{name}", _MODULE)
    for where, folders, files in os.walk(folder):
        skipped = {"__pycache__", "site-packages", "test", "idlelib", "tests"}
        folders[:] = set(folders) - skipped if deep else ()
        for name in files:
            if name.endswith((".py", ".so")):
                # An extension module is looked for first, whatever the host has.
                stem = name.partition(".")[0]
                _write(root, f"{where}/{stem}.py", _MODULE)
                count += 1
    return count


def _library_folders() -> list[str]:
    found = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"]
    machine = os.uname().machine
    found += [f"{top}/{machine}-linux-gnu" for top in ("/lib", "/usr/lib")]
    return [*found, f"{sys.base_prefix}/lib"]


def _write(root: Path, path: str, text: str) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.write_text(text)


def _link(root: Path, path: str, trojan: Path) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.link(trojan, target)
