# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the shell scripts in this folder share: messages, the cache and its locks. Sourced.
set -euo pipefail

vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$vm_dir/../.." && pwd)
# depmod and modprobe work for everybody, but are not on everybody's path.
PATH=$PATH:/usr/sbin:/sbin
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kdbus

# Standard output of these scripts is their result; people read standard error.
say() { printf '==> %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Kernel builds cannot live below a path with white space or a colon.
case $cache in
    *[[:space:]:]*) die "the cache folder '$cache' has white space or a colon in its name, which" \
        "kernel builds cannot handle: set XDG_CACHE_HOME to another folder" ;;
esac

# lock NAME: until this process ends, nobody else is past `lock NAME`, in any checkout.
lock() {
    local fd
    mkdir -p "$cache/lock"
    exec {fd}>"$cache/lock/$1"
    if ! flock --nonblock "$fd"; then
        say "waiting for another run that is preparing the $1"
        flock "$fd"
    fi
}

# begin PRODUCT: an empty folder beside the product, in which it is made; its name in $work. The
# caller holds the product's lock, so what an interrupted run left there is nobody's.
begin() {
    work=$(dirname "$1")/.unfinished-$(basename "$1")
    rm -rf "$work"
    mkdir -p "$work"
}

# finish PRODUCT: the product appears, complete, in one step.
finish() {
    rm -rf "$1"
    mv -T "$work" "$1"
}

# as_root COMMAND...: run a command that needs root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root: run it as root, or install sudo"
    fi
}

# fetch PACKAGE...: download Debian packages into the current folder.
fetch() {
    local sandbox=()
    # apt's own download user cannot write to a folder in somebody's home.
    [ "$(id -u)" != 0 ] || sandbox=(-o APT::Sandbox::User=root)
    apt-get "${sandbox[@]}" -o Acquire::Retries=3 download "$@" >&2
}

# What carries the root of a guest and its ports.
needed_modules=(virtio_pci virtio_blk virtio_console squashfs overlay)

# collect_modules ROOT RELEASE: the modules a guest with that kernel, unpacked in ROOT, needs before
# it reaches its root, uncompressed in $work/modules and named in loading order.
collect_modules() {
    local module name target order=0
    depmod -b "$1" "$2"
    # Which modules are needed, in which order; those built in are not.
    for module in "${needed_modules[@]}"; do
        modprobe -d "$1" -S "$2" --show-depends "$module"
    done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' | while read -r module; do
        order=$((order + 1))
        name=$(basename "${module%.xz}")
        target=$(printf '%s/modules/%02d-%s' "$work" "$order" "$name")
        # From 6.12 on modules are compressed.
        case $module in
            *.xz) xz -dc "$module" >"$target" ;;
            *) cp "$module" "$target" ;;
        esac
    done
}

# The Debian release after that of guests.
next_release=trixie

# Where the machine gets Debian from.
repository() {
    local suite uri
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    uri=$(apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)' \
        'Created-By: Packages' | sed -n "s/^Debian|$suite|main|//p" | head -n 1)
    [ -n "$uri" ] || die "apt has no Debian sources: run apt-get update"
    printf '%s\n' "$uri"
}

# Options of mmdebstrap for every root.
root_options=(
    --aptopt='Acquire::Retries "3"' --aptopt='APT::Sandbox::User "root"'
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*'
    --dpkgopt='path-exclude=/usr/share/locale/*'
)
