"""Steps of the security modules: Landlock, AppArmor, SELinux."""

from __future__ import annotations

import os

from ..._sys import landlock, paths, procfs

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


def write_attributes(
    _context: Context, values: tuple[tuple[bytes, bytes], ...]
) -> None:
    """Write through a proc file system of our own: in the container's, mounts could
    lead the write elsewhere."""
    proc = procfs.open_private()
    for name, value in values:
        procfs.write(proc, b"thread-self/attr/" + name, value)
    os.close(proc)
