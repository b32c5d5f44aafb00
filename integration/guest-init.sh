#!/bin/sh
# Init of the guest (integration/guest.ts): brings up the network and an NFS client, then runs the scripts that the host leaves in /out.
# The root is the host's, read-only; a tmpfs over it makes it writable for the guest alone.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# Guests have no AVX-512 state of their own (uml-xstate.c).
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512CD,-AVX512DQ,-AVX512ER,-AVX512PF,-AVX512VBMI,-AVX512_VBMI2,-EVEX OPENSSL_ia32cap=:~0xd0230000
mount -t proc proc /proc
modprobe overlay
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
for option in $(cat /proc/cmdline); do
  case "$option" in
    guest.out=*) out=${option#guest.out=} ;;
    guest.address=*) address=${option#guest.address=} ;;
    guest.project=*) project=${option#guest.project=} ;;
  esac
done
cd /mnt/root && mkdir -p out mnt/s3 oldroot
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev 2>/dev/null || mount -t tmpfs tmpfs dev
mkdir -p dev/pts dev/shm && mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs tmp && chmod 1777 tmp
mount -t tmpfs tmpfs run && mkdir -p run/rpcbind run/lock
mount -t hostfs -o "$out" none out
# The project may lie below what was just covered.
mkdir -p ".$project" && mount -t hostfs -o "$project,ro" none ".$project"
exec chroot . /bin/sh /out/guest-loop.sh "$address"
