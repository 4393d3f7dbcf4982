#!/bin/sh
# Boots a throw-away Linux guest in QEMU, runs a busybox script in it as root,
# prints what that prints, and exits with its status.
#
#   run-guest.sh SCRIPT
#
# The guest has no disk and no outside network. Its NICs come in pairs wired back
# to back: eth0-eth1, eth2-eth3.
#
#   KERNEL    vmlinuz                            (required)
#   MODULES   .../lib/modules/RELEASE            (required)
#   NICS      virtio, igb, e1000e, vmxnet3, or several: one pair each  (none)
#   WIRE      socket: loses and reorders nothing; hub: delivers at once, and does both
#             to frames that find no room                            (socket)
#   FILES     static programs and data, copied to / of the guest
#   PROGRAMS  this machine's programs by name, copied with their libraries
#   QEMU (qemu-system-x86_64)  BUSYBOX (/bin/busybox, static)  CPIO (cpio)
#   SMP (2)  MEM (768)  ACCEL (tcg)  TIMEOUT (120)  LOG: keeps the serial line
#   OPTIONS: more of QEMU's  APPEND: more of the kernel's command line
#
# exit: the script's status; 124 timeout; 125 the guest died or never got there
set -eu
: "${KERNEL:?}" "${MODULES:?}" "${NICS:=}" "${FILES:=}" "${PROGRAMS:=}"
: "${QEMU:=qemu-system-x86_64}" "${BUSYBOX:=/bin/busybox}" "${CPIO:=cpio}"
: "${WIRE:=socket}" "${SMP:=2}" "${MEM:=768}" "${ACCEL:=tcg,thread=multi}" "${TIMEOUT:=120}" "${LOG:=}" "${OPTIONS:=}" "${APPEND:=}"
tmp=$(mktemp -d)
qemu=""
# Whoever ends this script ends the guest.
trap 'exit 143' HUP INT TERM
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true; rm -rf "$tmp"' EXIT
r=$tmp/root
mkdir -p "$r/bin" "$r/mod" "$r/proc" "$r/sys" "$r/dev" "$r/tmp"
cp "$BUSYBOX" "$r/bin/busybox"
for f in $FILES; do ln -s "$f" "$r/"; done
for p in $PROGRAMS; do
    p=$(command -v "$p")
    mkdir -p "$r/programs"
    ln -s "$p" "$r/programs/"
    for library in $(ldd "$p" | grep -o '/[^ ]*'); do
        mkdir -p "$r$(dirname "$library")"
        ln -sf "$(readlink -f "$library")" "$r$library"
    done
done
# In the order in which they need each other.
i=10
for m in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci \
    xsk_diag sch_tbf llc stp bridge failover net_failover virtio_net dca i2c-algo-bit igb e1000e vmxnet3 veth; do
    f=$(find "$MODULES/kernel" -name "$m.ko*" | head -n 1)
    case $f in
        *.xz) "$BUSYBOX" xzcat "$f" >"$r/mod/$i-$m.ko" ;;
        *.zst) zstd -qdc "$f" >"$r/mod/$i-$m.ko" ;;
        ?*) cp "$f" "$r/mod/$i-$m.ko" ;;
    esac
    i=$((i + 1))
done
printf '%s\n' "$1" >"$r/script"
cat >"$r/init" <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/programs:/bin
mount -t proc p /proc
mount -t sysfs s /sys
mount -t devtmpfs d /dev
mount -t bpf b /sys/fs/bpf
mount -t tmpfs t /tmp
for m in /mod/*; do insmod "$m"; done
/bin/busybox ip link set lo up
echo "@@BEGIN $(cut -d' ' -f1 /proc/uptime)"
sh /script
rc=$?
dmesg -n 1 # keeps kernel messages out of the next line
echo
echo "@@EXIT $rc"
poweroff -f
EOF
chmod 755 "$r/init"
# The links above save copying; the archive gets what they lead to.
(cd "$r" && find -L . | "$CPIO" -o -L -H newc --quiet) | gzip -1 >"$tmp/initrd"
nics='' n=0
for t in $NICS; do
    # Without these two, virtio_net refuses zero copy. Its rings have 256 entries;
    # 6.18 crawls when a queue has fewer chunks than that to fill them with.
    case $t in virtio) d=virtio-net-pci,disable-legacy=on,iommu_platform=on ;; *) d=$t ;; esac
    for other in $((n + 1)) $n; do
        case $WIRE in
            hub) wire=hubport,hubid=$((n / 2)) ;;
            # A sender that finds the other's queue full waits.
            *) wire=dgram,local.type=unix,local.path=$tmp/wire$n,remote.type=unix,remote.path=$tmp/wire$other ;;
        esac
        # A PCIe root port each: igb's virtual functions claim further slots.
        nics="$nics -netdev $wire,id=n$n -device pcie-root-port,id=p$n,chassis=$n"
        nics="$nics -device $d,bus=p$n,romfile=,netdev=n$n,mac=52:54:00:00:00:0$n"
        n=$((n + 1))
    done
done
rc=0
# shellcheck disable=SC2086 # $nics and $OPTIONS are several words
timeout -k 5 "$TIMEOUT" "$QEMU" -accel "$ACCEL" -cpu max -M q35 -smp "$SMP" -m "$MEM" -nodefaults -nographic \
    -no-reboot -serial stdio -kernel "$KERNEL" -initrd "$tmp/initrd" -append "console=ttyS0 quiet panic=-1 mitigations=off $APPEND" \
    $nics $OPTIONS </dev/null >"$tmp/log" 2>&1 &
qemu=$!
wait "$qemu" || rc=$?
qemu=""
[ -z "$LOG" ] || cp "$tmp/log" "$LOG"
sed -n '/@@BEGIN/,/@@EXIT/p' "$tmp/log" | tr -d '\r' | grep -v '@@BEGIN\|^@@EXIT' || true
st=$(tr -d '\r' <"$tmp/log" | sed -n 's/^@@EXIT \([0-9]*\)$/\1/p' | tail -n 1)
[ -z "$st" ] || exit "$st"
tail -n 30 "$tmp/log" >&2
case $rc in 124 | 137) exit 124 ;; esac
exit 125
