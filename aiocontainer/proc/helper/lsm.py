"""Steps of the security modules: Landlock, AppArmor, SELinux."""

from __future__ import annotations

import os

from ..._sys import landlock, paths, procfs
from ..._sys.libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def make_landlock(
    context: Context,
    files: int,
    network: int,
    scoped: int,
    allowed: tuple[tuple[bytes, int], ...],
    ports: tuple[tuple[int, int], ...],
    at_once: bool,
) -> None:
    """Make the rules as root, who may look up every path of the container."""
    ruleset = landlock.create_ruleset(files, network, scoped)
    for path, access in allowed:
        found = paths.open_in_root(context.root, path)
        try:
            landlock.allow_beneath(ruleset, found, access)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(found)
    access = files & (landlock.EXECUTE | landlock.READ_FILE)
    landlock.allow_beneath(ruleset, context.init_program, access)
    for port, access in ports:
        landlock.allow_port(ruleset, port, access)
    if at_once:
        landlock.restrict_self(ruleset)
        os.close(ruleset)
    else:
        context.ruleset = ruleset


def open_attributes(context: Context, files: tuple[bytes, ...]) -> None:
    """In a proc file system of our own: in the container's, mounts could lead us
    elsewhere."""
    proc = procfs.open_private()
    for name in files:
        context.attributes[name] = procfs.open_file(proc, b"thread-self/attr/" + name)
    os.close(proc)


def write_attributes(context: Context, values: tuple[tuple[bytes, bytes], ...]) -> None:
    """Write to files that were opened when there was nothing of the container yet."""
    for name, value in values:
        file = context.attributes.pop(name)
        call("write", os.write, file, value, path=b"attr/" + name)
        os.close(file)
