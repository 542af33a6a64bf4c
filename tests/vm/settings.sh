# Sourced by the scripts beside it: where the guest is kept, and how its tools are run.
guest=${AIOCONTAINER_GUEST_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/aiocontainer/guest}
rootfs=$guest/rootfs
disk=$guest/disk.img
kernel=$guest/vmlinux
tools=$guest/tools
libraries=$tools/usr/lib/x86_64-linux-gnu
