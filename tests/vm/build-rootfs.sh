#!/bin/bash
# build-rootfs.sh SUITE TARGETDIR : Debian root file system from the mirror of debian.sources
set -eu
suite=${1:-trixie} target=$2
mirror=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources)
inc=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,udev,kmod,python3,python3-prctl
inc=$inc,crun,runc,criu,libcriu2,iproute2,busybox-static,uidmap,strace,apparmor,procps,iptables,nftables,passwd,login,util-linux,mount,e2fsprogs,xz-utils,linux-image-cloud-amd64
nice -n 10 mmdebstrap --variant=apt --mode=root --include="$inc" \
  --aptopt='Apt::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --customize-hook='rm -f "$1"/etc/resolv.conf; echo guest > "$1"/etc/hostname' \
  "$suite" "$target" "$mirror"
