"""What each step of a plan is done by; the other half of `aiocontainer.plan.steps`."""

from __future__ import annotations

from . import become, execute, namespaces, pivot, rootfs, terminals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

STEPS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        namespaces.join_cgroups,
        namespaces.be_root_of_user_namespace,
        namespaces.unshare,
        namespaces.join_namespace,
        namespaces.join_container,
        namespaces.open_root,
        namespaces.set_hostname,
        namespaces.set_domainname,
        namespaces.bring_up_loopback,
        namespaces.new_session_keyring,
        terminals.open_terminal,
        become.stop,
        become.find_user,
        become.raise_limits,
        become.no_new_privs,
        become.load_filter,
        become.own_stdio,
        become.change_directory,
        become.change_identity,
        become.say_ready,
        execute.execute,
        execute.execute_init,
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
