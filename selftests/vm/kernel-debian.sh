# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Debian's own kernels, unpacked beside the host's. Sourced by `kernel`.

# Field $2 of package $1 (NAME or NAME=VERSION), as apt knows it.
field() {
    { apt-cache show --no-all-versions "$1" 2>/dev/null || true; } | sed -n "s/^$2: //p;T;q"
}

# The newest cloud kernel of series $1: its $release and package $version, empty if apt knows none.
resolve() {
    local meta image
    release='' version=''
    # Debian's default series has no number in the metapackage's name.
    for meta in "linux-image-$1-cloud-amd64" linux-image-cloud-amd64; do
        image=$(field "$meta" Depends)
        if [[ $image =~ ^linux-image-("$1".[^ ]*)\ \(=\ ([^\)]*)\) ]]; then
            release=${BASH_REMATCH[1]} version=${BASH_REMATCH[2]}
            return
        fi
    done
}

# Find the newest kernel of series $1, $product; if it is not in the cache, download its packages.
# Fails if apt does not know it or cannot get it.
find_or_download() {
    resolve "$1"
    product=$cache/kernel/debian-${release}_$version
    [ -n "$release" ] && { [ -d "$product" ] || download; }
}

prepare() {
    local series=$1 release version product older
    mkdir -p "$cache/kernel"
    lock "Debian $series kernel"
    older=$(find "$cache/kernel" -mindepth 1 -maxdepth 1 -name "debian-$series.*" | sort -V |
        tail -n 1)
    if ! find_or_download "$series"; then
        if [ -n "$older" ]; then
            say "apt offers no newer kernel now: using ${older##*/}"
            product=$older
        else
            say "Updating apt's lists, which may be too old"
            as_root apt-get update -qq >&2 || true
            find_or_download "$series" || die "cannot get a cloud kernel of series $series" \
                "from apt (is the network up? are the sources Debian's?)"
        fi
    fi
    [ -d "$product" ] || unpack
    printf '%s\n' "$product"
}

# Download the packages of $release, $version to $work/download.
download() {
    local packages headers=linux-headers-$release
    say "Fetching Debian's kernel $release and its headers (about 60 MB)"
    begin "$product"
    # Of what the headers depend on, the parts of the same source: the common headers, the tools.
    packages=$(field "$headers=$version" Depends | tr ',|' '\n\n' |
        sed -n 's/^ *\(linux-headers-[^ ]*-common\|linux-kbuild-[^ ]*\).*/\1/p')
    mkdir "$work/download"
    # shellcheck disable=SC2046,SC2086
    (cd "$work/download" &&
        fetch $(printf "%s=$version " "linux-image-$release" "$headers" $packages))
}

# Make $product from the downloaded packages.
unpack() {
    local headers=linux-headers-$release package
    for package in "$work"/download/*.deb; do
        dpkg-deb -x "$package" "$work"
    done
    rm -r "$work/download"

    mkdir "$work/modules"
    printf '%s\n' "$release" >"$work/release"
    mv "$work/boot/vmlinuz-$release" "$work/vmlinuz"
    ln -s "usr/src/$headers" "$work/headers"
    sed -i "s|/usr/src/|$product/usr/src/|g" "$work/headers/Makefile"

    collect_modules "$work" "$release"
    rm -r "$work/boot" "$work/lib"
    finish "$product"
}
