#!/bin/sh
# Downloads and unpacks, without installing, Debian's newest kernel of a version,
# and prints KERNEL=... and MODULES=... for run-guest.sh.
#
#   get-kernel.sh DIR VERSION [FLAVOUR]
#
#   VERSION   5.10, 6.1, 6.12, or one that trixie-backports has: 6.18, 7.2, 7.3...
#   FLAVOUR   cloud-amd64, 50 MB and of NICs virtio_net only, is the default;
#             amd64, 170 MB, also has igb, e1000e and vmxnet3
set -eu
here=$(dirname "$0")
. "$here/mirror.sh"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
version=$2
flavour=${3:-cloud-amd64}

case $version in
    5.10) suite=bullseye ;;
    6.1) suite=bookworm ;;
    6.12) suite=bookworm-backports ;;
    *) suite=trixie-backports ;;
esac

# Suites without support move to the archive in the end.
private_apt "$dir/../apt-$suite" "$(debian_mirror) $suite main" 2>"$dir/log" ||
    private_apt "$dir/../apt-$suite" "http://archive.debian.org/debian $suite main" 2>>"$dir/log" ||
    { tail -n 1 "$dir/log" >&2; exit 1; }
image=$(apt apt-cache pkgnames "linux-image-$version." |
    grep -E "^linux-image-[0-9a-z.+~]*(-[0-9]+)?-$flavour\$" | sort -V | tail -n 1) || true
[ -n "$image" ] || { echo "Debian's $suite has no kernel $version for $flavour" >&2; exit 1; }

# Since 7.1 an image is split: -binary has vmlinuz, -modules the modules.
parts=$(apt apt-cache depends "$image" | sed -n 's/^ *Depends: //p' | grep -E '^linux-(binary|modules)-') || true
rm -rf "$dir/debs" "$dir/root"
mkdir -p "$dir/debs"
# shellcheck disable=SC2086 # one word a package
(cd "$dir/debs" && apt apt-get download "$image" $parts)
for package in "$dir"/debs/*.deb; do dpkg -x "$package" "$dir/root"; done
rm -rf "$dir/debs"

release=${image#linux-image-}
for place in "$dir/root/usr/lib/modules/$release" "$dir/root/lib/modules/$release"; do
    [ ! -d "$place/kernel" ] || modules=$place
done
for place in "$modules/vmlinuz" "$dir/root/boot/vmlinuz-$release"; do
    [ ! -f "$place" ] || kernel=$place
done
echo "KERNEL=$kernel MODULES=$modules"
