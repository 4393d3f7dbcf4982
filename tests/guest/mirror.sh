# Sourced by get-kernel.sh and get-qemu.sh. `private_apt DIR LINE...` sets up an
# apt of its own under DIR with these sources, so that the machine's own
# configuration is neither read for packages nor changed; then `apt COMMAND
# ARGS...` uses it.

# The mirror that this machine uses for Debian's own packages.
debian_mirror() {
    for attempt in 1 2; do
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
            grep -v security | head -n 1) || true
        [ -z "$mirror" ] || break
        # Where nothing was ever updated, apt does not know whose a source is.
        [ "$attempt" = 2 ] || apt-get -qq update >/dev/null 2>&1 || true
    done
    echo "${mirror:-http://deb.debian.org/debian}"
}

private_apt() {
    apt_dir=$1
    shift
    mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial"
    for line; do echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $line"; done >"$apt_dir/sources.list"
    apt apt-get update
}

apt() {
    command=$1
    shift
    "$command" -qq -o Dir::Etc::SourceList="$apt_dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$apt_dir/lists" -o Dir::Cache="$apt_dir/cache" \
        -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20 \
        -o APT::Sandbox::User=root "$@"
}
