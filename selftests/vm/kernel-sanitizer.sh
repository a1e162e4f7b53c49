# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Kernels built with sanitizers, from Debian's kernel source package. Sourced by `kernel`.

# The newest version of package $1 that apt knows, or nothing.
candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '^(none)$' || true
}

# The unpacked source of series $1, in $source.
prepare_source() {
    local package=linux-source-$1 version
    version=$(candidate "$package")
    source=$cache/source/${package}_$version
    # Nobody needs to wait for those who build a kernel from it.
    if [ -n "$version" ] && [ -d "$source" ]; then
        return
    fi
    lock "source of Linux $1"
    if [ -z "$version" ]; then
        source=$(find "$cache/source" -mindepth 1 -maxdepth 1 -name "${package}_*" 2>/dev/null |
            sort -V | tail -n 1)
        [ -n "$source" ] || die "apt knows no package $package: run apt-get update"
        return
    fi
    [ ! -d "$source" ] || return 0
    say "Fetching and unpacking $package $version (about 150 MB, 1.7 GB unpacked)"
    begin "$source"
    mkdir "$work/package"
    (cd "$work/package" && fetch "$package=$version" &&
        dpkg-deb --fsys-tarfile ./*.deb | tar -x -O --wildcards "./usr/src/$package.tar.xz" |
        tar -x -J -C "$work" --strip-components=1)
    rm -r "$work/package"
    finish "$source"
}

# Show how far `make`, whose output is standard input, has come: one line per 250 files.
progress() {
    awk '/^  (CC|AS|LD|AR|HOSTCC|CHK|UPD|MODPOST|OBJCOPY|GZIP|ZSTD22) / || / \[M\] / {
             if (++n % 250 == 0) { printf "    %5d files, %s\n", n, $NF; fflush() } next }
         /warning:|error:|Error / { print; fflush() }' >&2
}

prepare() {
    local name=$1 series=${1%%-*} kind=${1#*-} source config key product
    prepare_source "$series"
    config=$(cat "$vm_dir/base.config" "$vm_dir/$kind.config")
    key=$({
        basename "$source"
        gcc -dumpfullversion
        printf '%s\n' "$config"
    } | sha256sum | cut -c 1-12)
    product=$cache/kernel/$name-$key
    [ -d "$product" ] || {
        lock "$name kernel"
        [ -d "$product" ] || build
    }
    printf '%s\n' "$product"
}

# Make $product from $source and $config.
build() {
    local log=$cache/kernel/$name-$key.log jobs missing unwanted
    jobs=$(nproc)
    say "Building the $name kernel with $jobs jobs (once; 5 to 10 minutes on two processors)"
    say "Its build log: $log"
    begin "$product"
    mkdir "$work/headers" "$work/modules"
    printf '%s\n' "$config" >"$work/config"
    make -C "$source" O="$work/headers" KCONFIG_ALLCONFIG="$work/config" allnoconfig >"$log" 2>&1 ||
        die "configuring the $name kernel failed, see $log"
    # An option that does not exist on this kernel, or lacks what it depends on, is dropped silently.
    missing=$(grep '^CONFIG_' "$work/config" | grep -vxFf "$work/headers/.config" || true)
    [ -z "$missing" ] || die "the $name kernel's configuration lacks: $missing"
    unwanted=$(sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1=/p' "$work/config" |
        grep -Ff - "$work/headers/.config" || true)
    [ -z "$unwanted" ] || die "the $name kernel's configuration has: $unwanted"
    if ! nice -n 19 make -C "$work/headers" -j"$jobs" bzImage modules 2>&1 |
        tee -a "$log" | progress; then
        die "building the $name kernel failed, see $log"
    fi
    cp "$work/headers/arch/x86/boot/bzImage" "$work/vmlinuz"
    cp "$work/headers/include/config/kernel.release" "$work/release"
    # Modules need the generated headers, the tools and Module.symvers, none of the objects.
    find "$work/headers" -path "$work/headers/scripts" -prune -o -path "$work/headers/tools" -prune \
        -o \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' -o -name 'vmlinux*' \) -type f -print0 |
        xargs -0 rm -f
    finish "$product"
    say "The $name kernel is ready"
}
