"""The step that makes a process's terminal."""

from __future__ import annotations

import os

from ..._sys import constants as c
from ..._sys import mounts, paths, terminal
from .. import init_pipe
from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def open_terminal(context: Context, rows: int, columns: int, console: bool) -> None:
    """Make a terminal in the container's own devpts, give the other side away."""
    flags = os.O_RDONLY | c.O_DIRECTORY
    devpts = paths.open_in_root(context.root, b"/dev/pts", flags)
    pty = terminal.open_pty(devpts)
    slave = pty.slave
    os.close(devpts)
    if rows and columns:
        terminal.set_size(pty.master, rows, columns)
    wire.send_descriptor(context.pipe, init_pipe.TERMINAL, pty.master)
    os.close(pty.master)
    terminal.set_controlling(slave)
    if console:
        target = paths.ensure_file(context.root, b"/dev/console")
        tree = mounts.clone_tree(slave)
        mounts.attach(tree, target)
        os.close(tree)
        os.close(target)
    context.stdio = {0: slave, 1: slave, 2: slave}
