"""What each step of a plan is done by; the other half of `aiocontainer.plan.steps`."""

from __future__ import annotations

from . import (
    become,
    binds,
    cgroup_mounts,
    covers,
    execute,
    filesystems,
    gate,
    hooks,
    namespaces,
    nodes,
    pivot,
    rootfs,
    scheduling,
    terminals,
    time_namespace,
)

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
        time_namespace.new_time_namespace,
        scheduling.set_affinity,
        scheduling.set_scheduler,
        scheduling.set_io_priority,
        scheduling.set_memory_policy,
        scheduling.set_personality,
        scheduling.set_parent_death_signal,
        gate.await_gate,
        execute.execute,
        execute.execute_init,
        hooks.run_hook,
        hooks.execute_hook,
        rootfs.set_propagation,
        rootfs.root_directory,
        rootfs.root_overlay,
        rootfs.root_tmpfs,
        filesystems.mount_filesystem,
        binds.bind,
        binds.prepare_tree,
        binds.attach_tree,
        filesystems.change_propagation,
        filesystems.change_attributes,
        nodes.make_nodes,
        nodes.bind_nodes,
        nodes.make_symlinks,
        nodes.make_directories,
        covers.mask,
        covers.make_readonly,
        filesystems.reconfigure,
        filesystems.write_sysctl,
        cgroup_mounts.mount_cgroups,
        rootfs.root_attributes,
        rootfs.root_propagation,
        pivot.pivot,
        pivot.move_root,
    )
}
