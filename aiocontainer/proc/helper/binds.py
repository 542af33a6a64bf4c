"""Steps that show files and directories of the host in the container."""

from __future__ import annotations

import os
import stat

from ..._sys import mounts, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def bind(
    context: Context,
    source: bytes,
    destination: bytes,
    recursive: bool,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: int,
) -> None:
    """Show a host file or directory in the container."""
    tree = mounts.clone_tree_at(source, recursive=recursive)
    if attr_set or attr_clr:
        mounts.set_attributes(tree, attr_set, attr_clr)
    if rec_set or rec_clr:
        mounts.set_attributes(tree, rec_set, rec_clr, recursive=True)
    if propagation:
        mounts.set_attributes(tree, propagation=propagation, recursive=True)
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        target = paths.ensure_directory(context.root, destination)
    else:
        target = paths.ensure_file(context.root, destination)
    mounts.attach(tree, target)
    os.close(target)
    os.close(tree)
