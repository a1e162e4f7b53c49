# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Debian's newest kernel, from the backports of a newer release. Sourced by `kernel`.
#
# Its build tools need that release's C library and compiler: they live in a folder of their own,
# with the headers, and modules are built there (see `module`).

backports_compiler=gcc-14

# In the new release's root $1: install the newest headers of series 7, and fetch the kernel.
install_newest() {
    cat <<'SCRIPT'
set -eu
headers=$(apt-cache pkgnames linux-headers-7. | grep -- '[0-9]-cloud-amd64$' | sort -V | tail -n 1)
[ -n "$headers" ] || { echo "no headers of a kernel 7.x" >&2; exit 1; }
release=${headers#linux-headers-}
apt-get -y -q --no-install-recommends install "$headers"
mkdir /kernel
cd /kernel
apt-get -q download "linux-binary-$release" "linux-modules-$release" "linux-base-$release"
printf '%s\n' "$release" >release
SCRIPT
}

prepare() {
    local product uri
    mkdir -p "$cache/kernel"
    lock "Debian $1 kernel"
    product=$(find "$cache/kernel" -mindepth 1 -maxdepth 1 -name "backports-$1.*" | sort -V |
        tail -n 1)
    [ -n "$product" ] || make_product "$1"
    printf '%s\n' "$product"
}

make_product() {
    local release module
    uri=$(repository)
    say "Fetching Debian's newest $1.x kernel and what modules are built with (about 150 MB)"
    begin "$cache/kernel/backports-$1"
    install_newest >"$work/install"
    printf 'deb %s %s main\n' "$uri" "$next_release" "$uri" "$next_release-backports" \
        >"$work/sources.list"
    as_root mmdebstrap --variant=apt --include="make,$backports_compiler,libc6-dev,pahole,sparse" \
        "${root_options[@]}" --aptopt='Acquire::Check-Valid-Until "false"' \
        --customize-hook="upload $work/install /install" \
        --customize-hook='chroot "$1" sh /install' \
        "$next_release" "$work/chroot" "$work/sources.list" >&2 ||
        die "making a root with Debian's newest kernel headers failed, see the lines above"
    release=$(cat "$work/chroot/kernel/release")
    product=$cache/kernel/backports-$release

    mkdir "$work/unpacked" "$work/modules"
    for module in "$work"/chroot/kernel/*.deb; do
        dpkg-deb -x "$module" "$work/unpacked"
    done
    printf '%s\n' "$release" >"$work/release"
    ln -s "chroot/usr/src/linux-headers-$release" "$work/headers"
    cp "$work/unpacked/usr/lib/modules/$release/vmlinuz" "$work/vmlinuz"
    ln -s usr/lib "$work/unpacked/lib"
    collect_modules "$work/unpacked" "$release"
    rm -r "$work/unpacked" "$work/install"
    as_root rm -r "$work/chroot/kernel"
    finish "$product"
}
