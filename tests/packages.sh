# Sourced by scripts that install Debian packages: `install_packages LOG PACKAGE...`
# as root, without questions.
#
# Another process may hold the package manager's locks, as the daily update does for
# minutes. DPkg::Lock::Timeout makes `apt-get install` wait for them, but not `apt-get
# update` (apt 2.6: it fails at once on /var/lib/apt/lists/lock), so that is repeated.

install_packages() {
    local log=$1 begin=$SECONDS said=
    shift
    until apt-get -q update >"$log" 2>&1; do
        grep -q "Could not get lock" "$log" || return 1
        [ $((SECONDS - begin)) -lt 600 ] || return 1
        [ -n "$said" ] || echo "${0##*/}: waiting for another package manager, up to ten minutes"
        said=1
        sleep 5
    done
    DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=600 install "$@" >>"$log" 2>&1
}
