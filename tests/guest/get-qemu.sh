#!/bin/sh
# Downloads and unpacks, without installing, QEMU with the libraries that this
# machine lacks, a static busybox and cpio, and prints QEMU=... BUSYBOX=...
# CPIO=... for run-guest.sh. What is installed already is taken from there.
#
#   get-qemu.sh DIR
set -eu
here=$(dirname "$0")
. "$here/mirror.sh"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || { echo "this is no Debian: set QEMU, BUSYBOX (static) and CPIO" >&2; exit 1; }

mirror=$(debian_mirror)
case $suite in
    # QEMU 7.2 has no igb, 10.0 has.
    bookworm) set -- "$mirror bookworm main" "$mirror bookworm-backports main"; newest=bookworm-backports ;;
    *) set -- "$mirror $suite main"; newest=$suite ;;
esac
{
    private_apt "$dir" "$@"
    apt apt-get install -y --download-only --no-install-recommends -t "$newest" qemu-system-x86 busybox-static cpio
} >"$dir/log" 2>&1 || { tail -n 1 "$dir/log" >&2; exit 1; }
root=$dir/root
for package in "$dir"/cache/archives/*.deb; do
    [ ! -f "$package" ] || dpkg -x "$package" "$root"
done
rm -f "$dir"/cache/archives/*.deb

program() {
    for place in "$root/usr/bin/$1" "$root/bin/$1"; do
        [ ! -x "$place" ] || { echo "$place"; return; }
    done
    command -v "$1"
}
qemu=$(program qemu-system-x86_64)
if [ "$qemu" = "$root/usr/bin/qemu-system-x86_64" ]; then
    cat >"$dir/qemu" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu \\
    exec $qemu -L $root/usr/share/qemu -L $root/usr/share/seabios -L /usr/share/qemu -L /usr/share/seabios "\$@"
EOF
    chmod 755 "$dir/qemu"
    qemu=$dir/qemu
fi
echo "QEMU=$qemu BUSYBOX=$(program busybox) CPIO=$(program cpio)"
