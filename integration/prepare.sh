#!/bin/sh
# Makes a Debian machine ready for the tests with real clients: packages, and the modules of the guest's kernel. Needs root.
# What is there already is left alone, so that a second run takes a moment.
set -eu
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive

packages="user-mode-linux nfs-common rpcbind uml-utilities iproute2 kmod libnfs-utils rsync git procps python3 vim-tiny"
# What is run on the mount.
packages="$packages fio make e2fsprogs"
# For the short form of the benchmarks: their store, and what their clients are made with.
packages="$packages nginx openssl gcc libc6-dev libssl-dev"
# User Mode Linux doesn't get along with processors that have more state than AVX (uml-xstate.c): they need the shim.
shim=
if grep -Eqw 'avx512f|pku' /proc/cpuinfo; then shim=dist/uml-xstate.so; fi

missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  apt-get -q -y update </dev/null
  # The machine's own rpcbind, statd and nginx are not wanted: guests and benchmarks start theirs. Without systemd this changes nothing.
  # shellcheck disable=SC2086
  apt-get -q -y install --no-install-recommends $missing </dev/null
fi

for modules in /usr/lib/uml/modules/*; do
  version=${modules##*/}
  mkdir -p /lib/modules
  [ -e "/lib/modules/$version" ] || ln -s "$modules" "/lib/modules/$version"
  [ -s "/lib/modules/$version/modules.dep.bin" ] || depmod -a "$version"
done

# Not -nt alone: dash takes it for false where the second file is missing.
if [ -n "$shim" ] && { [ ! -e "$shim" ] || [ integration/uml-xstate.c -nt "$shim" ]; }; then
  mkdir -p dist
  gcc -O2 -shared -fPIC -o "$shim.new" integration/uml-xstate.c -ldl
  mv "$shim.new" "$shim"
fi

[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
echo "ready for the tests with real clients: $(uname -m), guest kernel $(ls /usr/lib/uml/modules | tr '\n' ' ')"
