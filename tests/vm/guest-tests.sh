#!/bin/bash
# guest-tests.sh [PYTEST ARGUMENTS]: run inside the guest, in the shared project.
set -euo pipefail
# Off the share: in emulation its every system call is a message to the host.
mkdir -p /root/project
tar -cf - aiocontainer tests examples pyproject.toml README.md | tar -xf - -C /root/project
cd /root/project

fallocate -l 64M /root/swap
chmod 600 /root/swap
mkswap -q /root/swap
swapon /root/swap

promises=root,mount-namespace,pid-namespace,uts-namespace,ipc-namespace
promises+=,network-namespace,cgroup-namespace,user-namespace,time-namespace,overlay
promises+=,seccomp,landlock,apparmor,pressure,swap,fuse,newuidmap,criu,strace
if [ -d /sys/fs/cgroup/unified ]; then
  promises+=,cgroup-v2,cgroup-v1-cpu,cgroup-v1-pids,cgroup-v1-freezer,cgroup-v1-devices
else
  promises+=,cgroup-v2,cgroup-v2-pure,cgroup-v2-cpu,cgroup-v2-cpuset,cgroup-v2-io
  promises+=,cgroup-v2-memory,cgroup-v2-pids
fi
[ -d /run/systemd/system ] && promises+=,systemd
export AIOCONTAINER_REQUIRE=$promises
export AIOCONTAINER_GUEST=1 AIOCONTAINER_BACKENDS=${AIOCONTAINER_BACKENDS:-asyncio}

# What depends on the cgroup layout, on systemd or on AppArmor. The rest is the same on
# every kernel, and in emulation everything takes 11 to 15 times as long.
if [ $# -eq 0 ] && [ -d /sys/fs/cgroup/unified ]; then
  # The kernel of the guest has memory and cpuset on v2 only.
  set -- tests/kernel/test_cgroup_systemd_v1.py tests/kernel/test_cgroup_{kill,life}.py
elif [ $# -eq 0 ]; then
  set -- tests/kernel/test_{cgroup,notify}_*.py \
    tests/kernel/test_{container_events,events_on_request,oci_limits}.py \
    tests/kernel/test_{hogs,labels,lifecycle,process_stdio,program_killed,runs}.py \
    tests/kernel/test_rootless_delegated.py tests/security/test_s08_*.py
  # Of the others in that file cgroups are no concern.
  runtime=tests/kernel/test_runtime.py::test
  set -- "$@" "${runtime}_a_scope_of_systemd_outlives_its_program_and_goes_in_the_end" \
    "${runtime}"_{a_loaded_container_has_the_whole_api,another_program_may_begin_it}
fi
exec python3 -m pytest -v --tb=short --timeout=90 -p no:cacheprovider --durations=15 "$@"
