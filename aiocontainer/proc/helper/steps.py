"""What each step of a plan is done by; the other half of `aiocontainer.plan.steps`."""

from __future__ import annotations

from . import become, pivot, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

STEPS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        become.join_cgroups,
        become.be_root_of_user_namespace,
        become.unshare,
        become.join_namespace,
        become.join_container,
        become.open_root,
        become.set_hostname,
        become.set_domainname,
        become.bring_up_loopback,
        become.new_session_keyring,
        become.open_terminal,
        become.find_user,
        become.raise_limits,
        become.no_new_privs,
        become.load_filter,
        become.own_stdio,
        become.change_directory,
        become.change_identity,
        become.execute,
        become.execute_init,
        rootfs.set_propagation,
        rootfs.root_directory,
        rootfs.root_overlay,
        rootfs.root_tmpfs,
        rootfs.mount_filesystem,
        rootfs.bind,
        rootfs.change_propagation,
        rootfs.change_attributes,
        rootfs.make_nodes,
        rootfs.bind_nodes,
        rootfs.make_symlinks,
        rootfs.make_directories,
        rootfs.mask,
        rootfs.make_readonly,
        rootfs.write_sysctl,
        rootfs.root_attributes,
        rootfs.root_propagation,
        pivot.pivot,
        pivot.move_root,
    )
}
